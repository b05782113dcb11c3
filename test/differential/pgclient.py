"""A small PostgreSQL client: protocol version 3, trust authentication, text results.

Just what the differential test needs and libpq hides: the command tag of every statement,
its SQLSTATE, the transaction status, and a choice between the simple and the extended protocol.
"""
import socket
import struct
import time


class ConnectionLost(Exception):
    pass


class Outcome:
    """What one statement gave: rows with their columns, or an error."""

    def __init__(self):
        self.columns = None         # [(name, type oid)], None: the statement returns no rows
        self.rows = []              # tuples of str or None
        self.tag = None
        self.sqlstate = None
        self.message = ''
        self.names = {}             # of an error: its message, detail, hint, position and the fields that drivers read
        self.notices = []
        self.status = '?'           # I idle, T in a transaction, E in a failed one
        self.lost = False
        self.seconds = 0.0
        self.too_many = False       # more rows than Client.max_rows: the rest is not here


class Client:
    max_rows = None

    def __init__(self, host, port, database, user='postgres', options=''):
        self.where = '%s:%d/%s' % (host, port, database)
        self.socket = socket.create_connection((host, port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(120)
        self.buffer = b''
        start = {'user': user, 'database': database, 'application_name': 'differential',
                 'client_encoding': 'UTF8', 'options': options}
        body = struct.pack('!i', 196608)
        for key, value in start.items():
            body += key.encode() + b'\0' + value.encode() + b'\0'
        body += b'\0'
        self.socket.sendall(struct.pack('!i', len(body) + 4) + body)
        outcome = Outcome()
        self._read_until_ready(outcome, None)
        if outcome.sqlstate:
            raise ConnectionError('%s: %s %s' % (self.where, outcome.sqlstate, outcome.message))

    def close(self):
        try:
            self._send(b'X', b'')
            self.socket.close()
        except (OSError, ConnectionLost):
            pass

    def run(self, sql, protocol='simple', copy_data=None, params=()):
        """Run one statement.  copy_data: what COPY FROM STDIN will read (bytes, or a function that gives them)."""
        outcome = Outcome()
        begin = time.time()
        try:
            if protocol == 'simple' or copy_data is not None:
                self._send(b'Q', sql.encode() + b'\0')
            else:
                name = b'' if protocol == 'extended' else b'diff_statement'
                if name:
                    self._send(b'C', b'S' + name + b'\0')
                self._send(b'P', name + b'\0' + sql.encode() + b'\0' + struct.pack('!h', 0))
                values = b''.join(struct.pack('!i', -1) if value is None else
                                  struct.pack('!i', len(value.encode())) + value.encode() for value in params)
                self._send(b'B', b'\0' + name + b'\0' + struct.pack('!hh', 0, len(params)) + values
                           + struct.pack('!h', 0))
                self._send(b'D', b'P\0')
                self._send(b'E', b'\0' + struct.pack('!i', 0))
                self._send(b'S', b'')
            self._read_until_ready(outcome, copy_data)
        except (OSError, ConnectionLost) as problem:
            outcome.lost = True
            outcome.message = outcome.message or str(problem)
        outcome.seconds = time.time() - begin
        return outcome

    def must(self, sql, copy_data=None):
        outcome = self.run(sql, copy_data=copy_data)
        if outcome.sqlstate or outcome.lost:
            raise RuntimeError('%s: %s %s\n  %s' % (self.where, outcome.sqlstate, outcome.message, sql[:300]))
        return outcome

    def _send(self, kind, body):
        self.socket.sendall(kind + struct.pack('!i', len(body) + 4) + body)

    def _message(self):
        while True:
            if len(self.buffer) >= 5:
                size = struct.unpack('!i', self.buffer[1:5])[0] + 1
                if len(self.buffer) >= size:
                    kind, body = self.buffer[:1], self.buffer[5:size]
                    self.buffer = self.buffer[size:]
                    return kind, body
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise ConnectionLost('server closed the connection')
            self.buffer += piece

    def _read_until_ready(self, outcome, copy_data):
        while True:
            kind, body = self._message()
            if kind == b'Z':
                outcome.status = body.decode()
                return
            if kind == b'T':
                outcome.columns, outcome.rows = self._columns(body), []
            elif kind == b'D':
                if self.max_rows is None or len(outcome.rows) < self.max_rows:
                    outcome.rows.append(self._row(body))
                else:
                    outcome.too_many = True
            elif kind == b'C':
                outcome.tag = body[:-1].decode()
            elif kind == b'E':
                fields = self._fields(body)
                outcome.sqlstate, outcome.message = fields['C'], fields['M']
                outcome.names = {key: fields.get(key) for key in 'MDHPstcdn'}
                for key in 'DH':
                    if key in fields:
                        outcome.message += ' | ' + fields[key]
                if fields.get('S') in ('FATAL', 'PANIC'):
                    raise ConnectionLost(outcome.message)
            elif kind == b'N':
                outcome.notices.append(self._fields(body)['M'])
            elif kind == b'G':
                self._send(b'd', (copy_data() if callable(copy_data) else copy_data) or b'')
                self._send(b'c', b'')
            elif kind == b'H':
                outcome.columns = [('copy', 25)]
            elif kind == b'd':
                outcome.rows.append((body.decode('utf-8', 'backslashreplace'),))
            elif kind == b'R' and struct.unpack('!i', body[:4])[0] != 0:
                raise ConnectionError('%s asks for a password' % self.where)

    @staticmethod
    def _columns(body):
        count, at, columns = struct.unpack('!h', body[:2])[0], 2, []
        for _ in range(count):
            end = body.index(b'\0', at)
            columns.append((body[at:end].decode(), struct.unpack('!i', body[end + 7:end + 11])[0]))
            at = end + 19
        return columns

    @staticmethod
    def _row(body):
        count, at, row = struct.unpack('!h', body[:2])[0], 2, []
        for _ in range(count):
            size = struct.unpack('!i', body[at:at + 4])[0]
            at += 4
            if size < 0:
                row.append(None)
            else:
                row.append(body[at:at + size].decode('utf-8', 'backslashreplace'))
                at += size
        return tuple(row)

    @staticmethod
    def _fields(body):
        return {part[:1].decode(): part[1:].decode('utf-8', 'replace')
                for part in body.split(b'\0') if part}
