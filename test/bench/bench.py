#!/usr/bin/env python3
"""Benchmark: plain PostgreSQL, postgres_fdw hash partitions, cz_fdw; medians and ratios.

Three databases hold the same tables: "plain" on the first worker's server, "fdw" and "cz" on
the coordinator, their rows on two workers (the first worker is left to plain).
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import analytic     # noqa: E402
import ddl          # noqa: E402
import instructions     # noqa: E402
import metadata     # noqa: E402
import moves        # noqa: E402
import oltp         # noqa: E402
import partitions   # noqa: E402
import planning     # noqa: E402
import rows         # noqa: E402
import tpch         # noqa: E402
from common import FACTOR, ROWS, SHARDS, TPCH_COPIES, Cluster, note     # noqa: E402

PARTS = {
    'load': [analytic.load],
    'queries': [analytic.load, analytic.queries],
    'writes': [analytic.load, analytic.writes],
    'streaming': [analytic.load, analytic.streaming],
    'pgbench': [oltp.oltp],
    'sessions': [oltp.sessions],
    'planning': [planning.planning],
    'partitions': [partitions.partitions],
    'instructions': [instructions.instructions],
    'tpch': [tpch.tpch],
    'ddl': [ddl.ddl],
    'metadata': [metadata.metadata],
    'moves': [moves.moves],
    'rows': [rows.rows],
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bindir', required=True)
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--workers', required=True)
    parser.add_argument('--data', required=True)
    parser.add_argument('parts', nargs='*', help='of ' + ', '.join(PARTS))
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error('no part "%s", only %s' % (unknown[0], ', '.join(PARTS)))
    cluster = Cluster(args)
    cluster.prepare()
    done = []
    for part in args.parts or ['planning', 'queries', 'writes', 'tpch', 'pgbench', 'sessions', 'streaming',
                              'instructions', 'rows', 'ddl', 'moves']:
        note('\n%s: %d rows, %d shards, factor %d, TPC-H at .%02d; load of the machine before: %.1f'
             % (part, ROWS, SHARDS, FACTOR, TPCH_COPIES, os.getloadavg()[0]))
        note('%-44s %10s %17s %17s  %-4s %s' % ('', 'plain', 'postgres_fdw', 'cz_fdw', '', 'bar'))
        for step in PARTS[part]:
            if step not in done:
                step(cluster)
                done.append(step)


if __name__ == '__main__':
    main()
