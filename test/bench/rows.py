"""What a row costs the coordinator that a worker sends and a client gets: COPY out and a sorted scan, with libpq's
rows in chunks (17 and newer) and one by one.

CPU time is that of the session's backend.  Instructions are counted below valgrind, as the difference of a long and a
short result; libpq's are those of calls into it.
"""
import os
import re
import shutil
import statistics

from common import ROWS, RUNS, drain, note
from instructions import Servers, wait_for

SHORT, LONG = 20000, 120000     # rows of the two results whose instructions are compared
ROW_BY_ROW, CHUNKS = 'SET cz.chunk_rows = 1', 'RESET cz.chunk_rows'
# name, statement for the rows up to a number
JOBS = [
    ('COPY out', 'COPY (SELECT id, n, label FROM sent_rows WHERE id <= %d) TO STDOUT'),
    ('sorted scan', 'SELECT id, n, label FROM sent_rows WHERE id <= %d ORDER BY n, id'),
    ('scan, numbers only', 'SELECT id, n, 0 FROM sent_rows WHERE id <= %d'),
]
SIDES = [('plain', None), ('cz', ROW_BY_ROW), ('cz', CHUNKS)]


def cpu_us(pid):
    with open('/proc/%d/schedstat' % pid) as file:
        return int(file.read().split()[0]) / 1000


def instructions_of(path):
    """(all, those of calls into libpq, with what it calls) of a file that callgrind left."""
    names = {}
    own, called, is_call = '', '', False
    total = libpq = 0

    def name_of(text):
        number, name = re.match(r'\((\d+)\) ?(.*)', text).groups()
        if name:
            names[number] = name
        return names.get(number, '')

    with open(path) as file:
        for line in file:
            if line.startswith('ob='):
                own = called = name_of(line[3:])
            elif line.startswith('cob='):
                called = name_of(line[4:])
            elif line.startswith('calls='):
                is_call = True
            elif line[0] in '0123456789+-*':
                cost = int(line.split()[1])
                if not is_call:
                    total += cost
                elif 'libpq.so' in called and 'libpq.so' not in own:
                    libpq += cost
                if is_call:
                    called, is_call = own, False
    return total, libpq


def load(cluster):
    lines = ''.join('%d\t%d\tlabel %d\n' % (i, i * 7919 % 100003, i % 1000) for i in range(1, ROWS + 1)).encode()
    for side in ('plain', 'cz'):
        client = cluster.clients[side]
        client.must('CREATE TABLE sent_rows (id bigint, n int, label text)')
        if side == 'cz':
            client.must("SELECT create_distributed_table('sent_rows', 'id')")
        client.must('COPY sent_rows FROM STDIN', copy_data=lines)
        client.must('VACUUM ANALYZE sent_rows')
    cluster.vacuum()
    for port in set(cluster.workers) | set(cluster.ports.values()):
        client = cluster.connect_to(port, 'cz')
        client.must('CHECKPOINT')   # or servers below valgrind would redo it all
        client.close()


def measure(cluster, side, setting, sql):
    """Median (ms, us of the backend for a row) of several runs; the first one is not counted."""
    client = cluster.connect(side)
    pid = int(client.must('SELECT pg_backend_pid()').rows[0][0])
    if setting:
        client.must(setting)
    runs = []
    for _ in range(RUNS + 1):
        begin = cpu_us(pid)
        seconds = drain(client, sql)[0]
        runs.append((seconds * 1000, (cpu_us(pid) - begin) / ROWS))
    client.close()
    return [statistics.median(run[i] for run in runs[1:]) for i in range(2)]


def count(cluster, servers, side, setting, sql):
    """Instructions for a row: all of the backend's, libpq's."""
    found = []
    for rows in (SHORT, SHORT, LONG):   # the first one fills caches
        client = cluster.connect(side)
        client.socket.settimeout(600)
        pid = int(client.must('SELECT pg_backend_pid()').rows[0][0])
        if setting:
            client.must(setting)
        drain(client, sql % rows)
        client.close()
        path = os.path.join(servers.dir, '1' if side == 'plain' else '0', str(pid))
        wait_for(lambda: os.path.exists(path) and 'totals:' in open(path).read(), 'file ' + path)
        found.append(instructions_of(path))
    return [(found[2][i] - found[1][i]) / (LONG - SHORT) for i in range(2)]


def line(name, unit, values, form):
    """The three values, and what chunks are of row by row and of plain."""
    plain, single, chunks = values
    note('%-44s %10s %17s %17s  %-4s chunks / row by row %.2f%s'
         % (name, '-' if plain is None else form % plain, form % single, form % chunks, unit, chunks / single if single else 1,
            ', / plain %.2f' % (chunks / plain) if plain else ''))


def rows(cluster):
    load(cluster)
    note('%-44s %10s %17s %17s' % ('', 'plain', 'row by row', 'chunks'))
    for name, sql in JOBS:
        values = [measure(cluster, side, setting, sql % ROWS) for side, setting in SIDES]
        line('%s, %d rows' % (name, ROWS), 'ms', [value[0] for value in values], '%.0f')
        line("  its backend's processor time for a row", 'us', [value[1] for value in values], '%.3f')
    if shutil.which('valgrind') is None:
        note('instructions are not counted: valgrind is not installed')
        return
    for client in cluster.clients.values():
        client.close()
    servers = Servers(cluster)
    servers.restart(True)
    try:
        for name, sql in JOBS:
            values = [count(cluster, servers, side, setting, sql) for side, setting in SIDES]
            line("%s: backend's instructions for a row" % name, '', [value[0] for value in values], '%.0f')
            line("  libpq's", '', [None] + [value[1] for value in values[1:]], '%.0f')
    finally:
        servers.restart(False)
        cluster.clients = {side: cluster.connect(side) for side in cluster.ports}
