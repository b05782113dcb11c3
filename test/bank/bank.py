#!/usr/bin/env python3
"""Sessions move money while others sum it up again and again: the clients of 050_bank.pl.

Money is in a distributed table, in a reference table and in a table of the coordinator.  A
transfer writes a row of a journal in the same transaction.  Each kind of reader must always see
the same sum; who reads one counter again and again must never see it fall.  What is
acknowledged is written to a file, to be looked for at the end.

Connections may be lost and statements may fail, with errors that say so (ALLOWED); wrong
answers may not come.  Runs until the file --stop is there.
"""
import argparse
import os
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'differential'))
from pgclient import Client, ConnectionLost

# What may be told to a client while servers are killed and statements cancelled, and why:
ALLOWED = {
    '40P01': 'transfers in the other order',
    '40001': 'placements have changed, or a snapshot is too old',
    '40000': 'a worker has rolled back',
    '08001': 'a node that is needed is down',
    '08006': 'a connection was lost that the transaction needs',
    '08007': 'it was lost during COMMIT and nothing can stand in',
    '57P01': 'the session was terminated',
    '57P02': 'the server crashed',
    '57P03': 'it starts',
    '55000': 'what a transaction has written is not finished where it is to be read, or no placement is active',
    '57014': 'a cancel',
    '25P02': 'a cancel met ROLLBACK, and the next statement is told',
}

SUMS = '(SELECT sum(bal) FROM account) + (SELECT sum(bal) FROM vault) + (SELECT sum(bal) FROM till)'

# what a reader runs; the last statement of each gives numbers that are all the sum
READERS = {
    'dist': ['SELECT sum(bal) FROM account_only'],
    'rows': ['SELECT sum(bal) FROM (SELECT bal FROM account_only OFFSET 0) x'],
    'grouped': ['SELECT sum(s) FROM (SELECT bal % 7, sum(bal) AS s FROM account_only GROUP BY 1) x'],
    'self join': ['SELECT sum(a.bal) FROM account_only a JOIN account_only b ON b.id = a.other AND b.id >= 0'],
    'repeatable': ['BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM counter WHERE k = 1',
                   'SELECT sum(bal) FROM account_only'],
    'after a write': ['BEGIN', 'INSERT INTO scratch VALUES ($ME, 1)', 'SELECT sum(bal) FROM account_only'],
    'cursor': ['BEGIN', 'DECLARE c CURSOR FOR SELECT sum(bal) FROM account_only', 'FETCH ALL FROM c'],
    'everything': ['SELECT %s' % SUMS],
    'joined here': ['SELECT sum(a.bal) + (SELECT sum(bal) FROM vault) + (SELECT t.bal FROM till t WHERE t.k = 1) FROM account a'],
}


class Bank:
    def __init__(self, args):
        self.args = args
        self.lock = threading.Lock()
        self.wrong = []
        self.errors = {}
        self.counts = {}
        self.rates = {}
        self.journal = open(args.journal, 'a')

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def note_error(self, outcome):
        text = '%s %s' % (outcome.sqlstate, re.sub(r'"[^"]*"', '"..."', re.sub(r'\d+', 'N', outcome.names['M'])))
        with self.lock:
            self.errors[text] = self.errors.get(text, 0) + 1

    def note_wrong(self, what):
        with self.lock:
            self.wrong.append('%.1f s: %s' % (time.time() - self.begin, what))

    def is_over(self):
        return os.path.exists(self.args.stop)

    def connect(self):
        while not self.is_over():
            try:
                client = Client(self.args.host, self.args.port, 'postgres')
                client.socket.settimeout(60)
                return client
            except (OSError, ConnectionError, ConnectionLost):
                time.sleep(0.1)
        return None

    def run(self, client, statements, me='transfer'):
        """The rows of the last one; None: something failed, as it may."""
        outcome = None
        for sql in statements:
            try:
                outcome = client.run(sql)
            except (OSError, ConnectionLost):
                client.dead = True
                self.count('lost')
                return None
            if outcome.lost:
                client.dead = True
                self.count('lost')
                return None
            if outcome.sqlstate:
                self.note_error(outcome)
                if outcome.sqlstate not in ALLOWED:
                    self.note_wrong('%s: %s %s: %s' % (me, outcome.sqlstate, outcome.message, sql))
                if sql != 'COMMIT':
                    client.run('ROLLBACK')
                time.sleep(0.02)
                return None
        return outcome

    def session(self, work, *args):
        """Runs work(client, ...) again and again, with a new client when one is lost."""
        while not self.is_over():
            client = self.connect()
            if client is None:
                return
            client.dead = False
            while not client.dead and not self.is_over():
                try:
                    work(client, *args)
                except (OSError, ConnectionLost):
                    client.dead = True
            client.close()

    def transfer(self, client, me, rng, serial):
        serial[0] += 1
        number = me * 1000000 + serial[0]
        amount = rng.randint(1, 9)
        kind = rng.random()
        accounts = rng.sample(range(1, self.args.accounts + 1), 2)
        # most sessions go in one order: a deadlock costs a second
        if rng.random() < 0.98:
            accounts.sort()
        source, target = ('account', accounts[0]), ('account', accounts[1])
        if self.args.mixed and kind < 0.15:
            target = ('vault', rng.randint(1, 3))
        elif self.args.mixed and kind < 0.25:
            target = ('till', 1)
        steps = ['BEGIN']
        for (table, row), sign in ((source, '-'), (target, '+')):
            steps.append('UPDATE %s SET bal = bal %s %d WHERE %s = %d' % (
                table, sign, amount, 'id' if table == 'account' else 'k', row))
        if source[0] == target[0] == 'account':
            # those whose sum is another table's
            for (table, row), sign in ((source, '-'), (target, '+')):
                steps.append('UPDATE account_only SET bal = bal %s %d WHERE id = %d' % (sign, amount, row))
        steps.append("INSERT INTO journal VALUES (%d, '%s', %d, '%s', %d, %d)" % (number, *source, *target, amount))
        if self.run(client, steps) is None:
            return
        outcome = self.run(client, ['COMMIT'])
        if outcome is not None and outcome.tag == 'COMMIT':
            with self.lock:
                self.journal.write('%d\n' % number)
                self.journal.flush()
            self.count('transfers')

    def increment(self, client, me):
        if self.run(client, ['UPDATE counter SET v = v + 1 WHERE k = %d' % me], 'increment') is not None:
            self.count('increments')

    def read_sum(self, client, me, rng):
        name = rng.choice([n for n in READERS if self.args.mixed or n not in ('everything', 'joined here')])
        statements = [sql.replace('$ME', str(me)) for sql in READERS[name]]
        outcome = self.run(client, statements, 'sum, %s' % name)
        if outcome is None:
            return
        self.count('sums')
        total = self.args.accounts * 100 + (400 if name in ('everything', 'joined here') else 0)
        got = outcome.rows[0][0] if outcome.rows else None
        if got != str(total):
            self.note_wrong('%s: %s instead of %d' % (name, got, total))
        if len(statements) > 1:
            self.run(client, ['ROLLBACK'], 'sum, %s' % name)

    def read_counter(self, client, rng, seen):
        k = rng.randint(1, self.args.counters)
        outcome = self.run(client, ['SELECT v FROM counter WHERE k = %d' % k], 'look')
        if outcome is None:
            return
        self.count('looks')
        value = int(outcome.rows[0][0])
        if value < seen.get(k, 0):
            self.note_wrong('counter %d fell from %d to %d' % (k, seen[k], value))
        seen[k] = max(value, seen.get(k, 0))

    def watch(self):
        """The number of transfers in each second."""
        while not self.is_over():
            self.rates[int(time.time() - self.begin)] = self.counts.get('transfers', 0)
            time.sleep(0.25)

    def main(self):
        self.begin = time.time()
        threads = [threading.Thread(target=self.watch)]
        for me in range(1, self.args.clients + 1):
            rng = random.Random(self.args.seed * 1000 + me)
            if me <= self.args.clients * 9 // 16:
                work, args = self.transfer, (me + self.args.first, rng, [0])
            elif me <= self.args.clients * 11 // 16:
                work, args = self.increment, (me % self.args.counters + 1,)
            elif me <= self.args.clients * 14 // 16:
                work, args = self.read_sum, (me, rng)
            else:
                work, args = self.read_counter, (rng, {})
            threads.append(threading.Thread(target=self.session, args=(work,) + args))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print('# %s' % ', '.join('%d %s' % (n, what) for what, n in sorted(self.counts.items())))
        for what, n in sorted(self.errors.items(), key=lambda item: -item[1]):
            print('# %5d x %s' % (n, what))
        for what in self.wrong[:20]:
            print('wrong: %s' % what)
        print('done: %d wrong, %d transfers, %d sums, %d looks' % (
            len(self.wrong), self.counts.get('transfers', 0), self.counts.get('sums', 0), self.counts.get('looks', 0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--accounts', type=int, default=200)
    parser.add_argument('--counters', type=int, default=2)
    parser.add_argument('--first', type=int, default=0, help='added to the numbers of clients in the journal')
    parser.add_argument('--mixed', action='store_true', help='transfers also to the reference and the local table')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--stop', required=True, help='ends when this file is there')
    parser.add_argument('--journal', required=True, help='numbers of acknowledged transfers are appended')
    Bank(parser.parse_args()).main()


if __name__ == '__main__':
    main()
