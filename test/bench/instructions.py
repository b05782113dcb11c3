"""Instructions and system calls of a transaction, in the backends that carry it out.

Unlike times they hardly depend on how busy the machine is.  The servers run below callgrind;
a session ends, and with it the workers' sessions that it has, so the difference of a long and
a short one is that of their transactions, if nothing else differs.  So one session goes ahead
of the first pair on each side: after a restart the first one in a database makes relcache's
files again on each server (a hundred times what is measured), and the first pages of a table.
Nothing else may work meanwhile: no autovacuum, no ANALYZE of the maintenance worker, which
would have the sessions plan anew.  Kernel time is not seen: hence the system calls.
"""
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import time

from common import HERE, note
from pgclient import Client

KEYS = 2000
SHORT, LONG = 100, 600          # transactions of the two sessions: both beyond the warming up
PAIRS = 3                       # of such sessions, whose median counts
TRACED = 300                    # transactions whose system calls are counted

# name, table of which factor, statements with their parameters (k: a key, j: a greater one;
# K: a key as a constant in the text, by the simple protocol), what is to be reached: instructions here, on the worker, system calls here
JOBS = [
    ('point read', 1, [('SELECT v FROM %s WHERE k = $1', 'k')], 48, None, 5),
    ('point read, simple', 1, [('SELECT v FROM %s WHERE k = $1', 'K')], None, None, None),
    ('update by key, simple', 1, [("UPDATE %s SET v = 'x' WHERE k = $1", 'K')], None, None, None),
    ('update by key', 1, [("UPDATE %s SET v = 'x' WHERE k = $1", 'k')], 60, 130, 6),
    ('insert', 1, [("INSERT INTO %s_log VALUES ($1, 'x')", 'k')], 75, 90, None),
    ('two statements, one shard', 1, [('BEGIN', ''), ("UPDATE %s SET v = 'y' WHERE k = $1", 'k'),
                                      ('SELECT v FROM %s WHERE k = $1', 'k'), ('END', '')], None, None, None),
    ('transfer', 1, [('BEGIN', ''), ("UPDATE %s SET v = 'a' WHERE k = $1", 'k'),
                     ("UPDATE %s SET v = 'b' WHERE k = $1", 'j'), ('END', '')], None, None, None),
    ('point read, factor 2', 2, [('SELECT v FROM %s WHERE k = $1', 'k')], None, None, None),
    ('update by key, factor 2', 2, [("UPDATE %s SET v = 'x' WHERE k = $1", 'k')], 110, None, 14),
]


class Session:
    """Statements are prepared once, then bound and executed, each with a Sync, as pgbench does."""

    def __init__(self, port, database):
        self.client = Client('127.0.0.1', port, database)
        self.client.socket.settimeout(600)
        self.pid = int(self.client.must('SELECT pg_backend_pid()').rows[0][0])
        self.count = 0

    def prepare(self, statements, table):
        self.names = []
        for i, (sql, kind) in enumerate(statements):
            name = b'p%d' % i
            text = (sql % table if '%s' in sql else sql).encode()
            if kind == 'K':
                self.names.append((text, kind))
                continue
            self.client._send(b'P', name + b'\0' + text + b'\0' + struct.pack('!h', 0))
            self.finish()
            self.names.append((name, kind))

    def finish(self):
        self.client._send(b'S', b'')
        self.wait()

    def wait(self):
        while True:
            kind, body = self.client._message()
            if kind == b'E':
                raise RuntimeError(repr(body))
            if kind == b'Z':
                return

    def transactions(self, n):
        for _ in range(n):
            self.count += 1
            key = (self.count * 7) % (KEYS // 2)
            for name, kind in self.names:
                if kind == 'K':
                    self.client._send(b'Q', name.replace(b'$1', b'%d' % key) + b'\0')
                    self.wait()
                    continue
                value = str(key if kind == 'k' else KEYS - 1 - key).encode()
                params = struct.pack('!hhi', 0, 1, len(value)) + value if kind else struct.pack('!hh', 0, 0)
                self.client._send(b'B', b'\0' + name + b'\0' + params + struct.pack('!h', 0))
                self.client._send(b'E', b'\0' + struct.pack('!i', 0))
                self.finish()

    def close(self):
        self.client.close()


def total(path):
    """Instructions of one process, from the file that callgrind leaves."""
    with open(path) as file:
        found = re.search(r'^(?:summary|totals): (\d+)', file.read(), re.M)
    return int(found.group(1)) if found else 0


def wait_for(condition, what):
    for _ in range(600):
        value = condition()
        if value:
            return value
        time.sleep(.1)
    raise RuntimeError('no ' + what)


class Servers:
    """Coordinator, plain server and workers below callgrind."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.dir = os.path.join(os.environ['CZ_DIR'], 'callgrind')
        self.tool = os.path.join(HERE, '..', 'bin', 'cz_cluster')
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o777)
        for node in range(len(cluster.workers) + 1):
            out = os.path.join(self.dir, str(node))
            os.makedirs(out, exist_ok=True)
            os.chmod(out, 0o777)
            program = os.path.join(os.environ['CZ_PREFIX_BIN'] if node == 0 else cluster.args.bindir, 'postgres')
            wrapper = os.path.join(self.dir, 'postgres%d' % node)
            with open(wrapper, 'w') as file:
                file.write('#!/bin/sh\nexec valgrind -q --tool=callgrind --callgrind-out-file=%s/%%p %s "$@"\n' % (out, program))
            os.chmod(wrapper, 0o755)

    def restart(self, callgrind):
        for node in range(len(self.cluster.workers) + 1):
            env = dict(os.environ)
            if callgrind:
                env['CZ_POSTGRES'] = os.path.join(self.dir, 'postgres%d' % node)
            subprocess.run([self.tool, 'restart', str(node)], env=env, check=True)

    def backends_of(self, session):
        """Files of the workers' processes that serve a session of the coordinator."""
        files = []
        for node, port in enumerate(self.cluster.workers, 1):
            if port in self.cluster.ports.values():
                continue
            client = Client('127.0.0.1', port, 'cz')
            found = client.must("SELECT pid FROM pg_stat_activity WHERE application_name ~ '^cz_fdw [^ ]+ %d '" % session.pid)
            client.close()
            files += [os.path.join(self.dir, str(node), row[0]) for row in found.rows]
        return files

    def run(self, side, job, table, n):
        """Instructions of the session's backend, and of its backends on the workers."""
        session = Session(self.cluster.ports[side], side)
        session.prepare(job, table)
        session.transactions(n)
        own = os.path.join(self.dir, '1' if side == 'plain' else '0', str(session.pid))
        others = self.backends_of(session) if side == 'cz' else []
        session.close()
        for path in [own] + others:
            wait_for(lambda: os.path.exists(path) and total(path), 'file ' + path)
        return total(own), sum(total(path) for path in others)

    def per_transaction(self, side, job, table):
        """Thousands of instructions of a transaction: in its backend, and in its backends on the workers."""
        self.run(side, job, table, SHORT)
        pairs = []
        for _ in range(PAIRS):
            short, long = self.run(side, job, table, SHORT), self.run(side, job, table, LONG)
            pairs.append([(long[i] - short[i]) / (LONG - SHORT) / 1000 for i in range(2)])
        return [statistics.median(pair[i] for pair in pairs) for i in range(2)]


def trace(pid, action):
    """System calls of a process while action runs: {name: number}."""
    tracer = subprocess.Popen(['strace', '-c', '-U', 'name,calls', '-p', str(pid)], stderr=subprocess.PIPE, text=True)
    try:
        status = '/proc/%d/status' % pid
        wait_for(lambda: re.search(r'^TracerPid:\t[1-9]', open(status).read(), re.M), 'tracer')
        action()
    finally:
        tracer.send_signal(signal.SIGINT)
    calls = {}
    for line in tracer.communicate()[1].split('\n'):
        found = re.match(r'(\w+)\s+(\d+)$', line.strip())
        if found and found.group(1) != 'total':
            calls[found.group(1)] = int(found.group(2))
    return calls


def make_tables(cluster):
    rows = ''.join('%d\tvalue %d\n' % (i, i) for i in range(KEYS)).encode()
    for side in ('plain', 'cz'):
        client = cluster.clients[side]
        for factor in (1, 2):
            if side == 'cz':
                client.must('SET cz.shard_replication_factor = %d' % factor)
            for name, columns in (('', 'k int PRIMARY KEY, v text'), ('_log', 'k int, v text')):
                table = 'counted%d%s' % (factor, name)
                client.must('CREATE TABLE %s (%s)' % (table, columns))
                if side == 'cz':
                    client.must("SELECT create_distributed_table('%s', 'k')" % table)
                if name == '':
                    client.must('COPY %s FROM STDIN' % table, copy_data=rows)
                    client.must('ANALYZE ' + table)
    cluster.vacuum()


def quieten(cluster, is_quiet):
    """The maintenance worker does not ANALYZE what the sessions change (autovacuum is off for all parts)."""
    client = cluster.clients['cz']
    client.must('ALTER SYSTEM SET cz.auto_analyze = off' if is_quiet else 'ALTER SYSTEM RESET cz.auto_analyze')
    client.must('SELECT pg_reload_conf()')


def cell(value, limit=None):
    text = '-' if value is None else '%.1f' % value
    if limit is not None:
        text += ' (%g%s)' % (limit, '' if value is not None and round(value, 1) <= limit else ' MISSED')
    return '%16s' % text


def instructions(cluster):
    missing = [name for name in ('valgrind', 'strace') if shutil.which(name) is None]
    if missing:
        note('not measured: %s is not installed' % ', '.join(missing))
        return
    only = os.environ.get('BENCH_JOBS', '')
    jobs = [job for job in JOBS if any(word in job[0] for word in only.split(','))]
    make_tables(cluster)
    quieten(cluster, True)
    calls = {}
    for name, factor, job, _, _, _ in jobs:
        for side in ('plain', 'cz'):
            session = Session(cluster.ports[side], side)
            session.prepare(job, 'counted%d' % factor)
            session.transactions(50)
            calls[name, side] = trace(session.pid, lambda: session.transactions(TRACED))
            session.close()
    for client in cluster.clients.values():
        client.close()
    servers = Servers(cluster)
    servers.restart(True)
    try:
        note('%-28s %16s %16s %16s %16s %16s' % ('a transaction has', 'plain', 'coordinator', 'its worker(s)', 'calls, plain', 'calls'))
        for name, factor, job, limit, worker_limit, calls_limit in jobs:
            counted = {side: servers.per_transaction(side, job, 'counted%d' % factor) for side in ('plain', 'cz')}
            ncalls = {side: sum(calls[name, side].values()) / TRACED for side in ('plain', 'cz')}
            note('%-28s %16.1f %s %s %16.1f %s' % (name, counted['plain'][0], cell(counted['cz'][0], limit),
                                                   cell(counted['cz'][1], worker_limit), ncalls['plain'],
                                                   cell(ncalls['cz'], calls_limit)))
            note('%-28s %s' % ('', ' '.join('%s %.1f' % (call, n / TRACED) for call, n in
                                           sorted(calls[name, 'cz'].items(), key=lambda item: -item[1]) if n >= TRACED / 10)))
    finally:
        servers.restart(False)
        cluster.clients = {side: cluster.connect(side) for side in cluster.ports}
        quieten(cluster, False)
    note('in thousands of instructions; in brackets what is to be reached')
