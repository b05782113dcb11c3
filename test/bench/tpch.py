"""The 22 queries of TPC-H at a tenth of scale factor 1: times, answers, what crossed the network."""
import json
import os

from common import HERE, SIDES, TIMEOUT_S, TPCH_COPIES, geometric_mean, median_ms, note, row
from planning import planning_ms
from script import Script
from tpch_data import TABLES, table_data

KEYS = {'part': 'p_partkey', 'partsupp': 'ps_partkey', 'customer': 'c_custkey', 'orders': 'o_orderkey',
        'lineitem': 'l_orderkey'}
# without these plain PostgreSQL takes minutes for Q17 and Q20
INDEXES = {'lineitem': 'l_partkey, l_suppkey', 'orders': 'o_custkey'}


def setup(cluster):
    script = Script(os.path.join(HERE, '..', 'differential', 'setup', 'tpch.sql'), cluster.args.data)
    for statement in script.statements:
        sql = statement.sql
        if sql.startswith('CREATE TABLE'):
            name = sql.split()[2]
            cluster.table(name, sql[sql.index('(') + 1:sql.rindex(')')], KEYS.get(name), INDEXES.get(name))
    for name in TABLES:
        data = table_data(cluster.args.data, name, TPCH_COPIES)
        for client in cluster.clients.values():
            client.must("COPY %s FROM STDIN (DELIMITER '|')" % name, copy_data=data)
    cluster.vacuum()
    for name in TABLES:
        cluster.each('ANALYZE ' + name)


def walk(node, found):
    """All objects in a JSON value that have what explain.c shows of a fragment's run."""
    if isinstance(node, dict):
        if 'Remote Bytes' in node:
            found.append(node)
        for value in node.values():
            walk(value, found)
    elif isinstance(node, list):
        for value in node:
            walk(value, found)
    return found


def traffic(client, sql):
    """(bytes from the workers, rows from them, most rows of one leaf, bytes to them, strategies)."""
    outcome = client.run('EXPLAIN (ANALYZE, FORMAT JSON) ' + sql)
    if outcome.sqlstate or outcome.lost:
        return None
    leaves = walk(json.loads('\n'.join(line[0] for line in outcome.rows)), [])
    return (sum(leaf['Remote Bytes'] for leaf in leaves), sum(leaf['Remote Rows'] for leaf in leaves),
            max([leaf['Remote Rows'] for leaf in leaves] or [0]), sum(leaf.get('Shipped Bytes', 0) for leaf in leaves),
            ', '.join(sorted({leaf['Strategy'] for leaf in leaves})))


def same(a, b):
    """Equal rows, in any order; numbers may differ in the last digits that division leaves."""
    def close(x, y):
        if x == y:
            return True
        try:
            return abs(float(x) - float(y)) <= 1e-9 * max(1.0, abs(float(x)))
        except (TypeError, ValueError):
            return False

    def key(line):
        return tuple(value or '' for value in line)
    return len(a) == len(b) and all(len(x) == len(y) and all(map(close, x, y))
                                    for x, y in zip(sorted(a, key=key), sorted(b, key=key)))


def tpch(cluster):
    setup(cluster)
    results, network, wrong, number = {}, {}, [], 0
    planned = {side: 0.0 for side in SIDES}
    queries = Script(os.path.join(HERE, '..', 'differential', 'sql', 'tpch.sql'), cluster.args.data)
    cluster.each("SET statement_timeout = '%ds'" % TIMEOUT_S)
    for statement in queries.statements:
        # Q11's share of the whole is in proportion to the scale
        sql = statement.sql.replace('0.005', '%.6f' % (0.005 / TPCH_COPIES))
        if not sql.startswith('SELECT'):
            cluster.each(sql)
            continue
        number += 1
        answers = {side: client.run(sql) for side, client in cluster.clients.items()}
        good = {side for side, answer in answers.items() if not answer.sqlstate and not answer.lost}
        for side, answer in answers.items():
            if side not in good:
                note('    %s: %s %s' % (side, answer.sqlstate, answer.message))
            elif 'plain' in good and not same(answers['plain'].rows, answer.rows):
                wrong.append('Q%d on %s' % (number, side))
        # a query of many seconds is not repeated for the peer
        results[number] = {side: median_ms(cluster.clients[side], sql, 3) if answers[side].seconds < 5
                           else answers[side].seconds * 1000 for side in SIDES if side in good}
        row('TPC-H Q%d' % number, results[number])
        for side, client in cluster.clients.items():
            planned[side] += planning_ms(client, sql, 5) or 0
        network[number] = traffic(cluster.clients['cz'], sql)
    summary(results, network, wrong)
    row('TPC-H: planning, sum', planned)


def summary(results, network, wrong):
    note('\nTPC-H: what crossed the network for cz_fdw')
    note('%-6s %14s %12s %14s %14s  %s' % ('', 'bytes here', 'rows here', 'of one leaf', 'bytes shipped', 'strategies'))
    for number, line in network.items():
        note('Q%-5d ' % number + ('%14d %12d %14d %14d  %s' % line if line else 'failed'))
    everywhere = [times for times in results.values() if len(times) == len(SIDES)]
    ours = [times for times in results.values() if 'cz' in times and 'plain' in times]
    note('')
    row('TPC-H: sum of the %d that all answer' % len(everywhere),
        {side: sum(times[side] for times in everywhere) for side in SIDES}, bar=1.2)
    row('TPC-H: geometric mean of these', {side: geometric_mean([times[side] for times in everywhere]) for side in SIDES}, bar=1.3)
    row('TPC-H: sum of our %d' % len(ours), {side: sum(times[side] for times in ours) for side in ('plain', 'cz')})
    ratio = geometric_mean([times['cz'] / times['plain'] for times in ours])
    note('%-44s %.2f (bar 1.3)' % ('TPC-H: geometric mean, times plain', ratio or 0))
    if 'fdw' in SIDES:
        fdw = geometric_mean([times['fdw'] / times['cz'] for times in everywhere])
        note('%-44s %.2f (bar 3)' % ('TPC-H: geometric mean, faster than fdw', fdw or 0))
    slow = ['Q%d (%.1f)' % (number, times['cz'] / times['plain']) for number, times in results.items()
            if 'cz' in times and 'plain' in times and times['cz'] > 2 * times['plain']]
    note('%-44s %s' % ('TPC-H: slower than twice plain', ', '.join(slow) or 'none'))
    note('%-44s %s' % ('TPC-H: not answered', ', '.join('Q%d by %s' % (number, side) for number, times in results.items()
                                                    for side in SIDES if side not in times) or 'none'))
    note('%-44s %s' % ('TPC-H: answers that differ from plain', ', '.join(wrong) or 'none'))
