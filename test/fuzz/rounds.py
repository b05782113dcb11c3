"""What fuzz tests by rounds have in common: random statements on plain PostgreSQL and the cluster.

A round has tables of its own; --seed N --rounds 1 makes it again.
"""
import argparse
import importlib.machinery
import importlib.util
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DIFFERENTIAL = os.path.join(HERE, '..', 'differential')
sys.path[:0] = [HERE, DIFFERENTIAL]

loader = importlib.machinery.SourceFileLoader('differential_run', os.path.join(DIFFERENTIAL, 'run'))
spec = importlib.util.spec_from_loader('differential_run', loader)
differential = importlib.util.module_from_spec(spec)
loader.exec_module(differential)


class Round:
    """run(length) returns what is wrong: a list of texts."""

    args = None     # the program's

    def __init__(self, seed, sides):
        self.random = random.Random(seed)
        self.oracle, self.cluster = sides.oracle('diff_main'), sides.cluster('diff_main')
        self.statements = self.failed = self.refused = 0
        self.log = []

    def pick(self, *what):
        return self.random.choice(what)

    def both(self, sql, copy_data=None):
        self.log.append(sql)
        self.statements += 1
        return self.oracle.run(sql, copy_data=copy_data), self.cluster.run(sql, copy_data=copy_data)

    def differing_placements(self, tables):
        problems = []
        for table in tables:
            got = self.cluster.run("SELECT * FROM cz_verify_placements('%s') WHERE NOT ok" % table)
            if got.sqlstate or got.rows:
                problems.append('placements of %s differ: %s %s' % (table, got.message, got.rows))
        return problems

    def close(self):
        self.oracle.close()
        self.cluster.close()


def main(description, make_round, length, default_length, refused, options=None):
    """The program.  length: its option that says how long a round is; refused: what Round.refused counts;
    options: adds more of them, which are in Round.args."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--oracle', required=True)
    parser.add_argument('--coordinator', required=True)
    parser.add_argument('--workers', required=True)
    parser.add_argument('--shards', type=int, default=8)
    parser.add_argument('--factor', type=int, default=2)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument(length, dest='length', type=int, default=default_length)
    parser.add_argument('--seconds', type=int, default=0, help='as many rounds as there is time for')
    if options:
        options(parser)
    args = make_round.args = parser.parse_args()
    args.oracle_only, args.plan_cache_mode, args.timeout_ms, args.set = False, 'auto', 60000, []
    sides = differential.Sides(args)
    sides.prepare('main')
    begin = time.time()
    bad = n = 0
    while n < args.rounds or time.time() < begin + args.seconds:
        seed = args.seed + n
        n += 1
        one = make_round(seed, sides)
        problems = one.run(args.length)
        print('%s round %d (%d statements, %d plain errors, %d %s)' % (
            'not ok' if problems else 'ok', seed, one.statements, one.failed, one.refused, refused))
        if problems:
            bad += 1
            print('    ' + '\n    '.join(problems))
        sys.stdout.flush()
    print('# %d rounds, %d bad' % (n, bad))
    return 1 if bad else 0
