"""Reference tables without a key: rows are changed on the copies whatever their types are, equal ones as often as here.

A join with a table on the workers reads a copy; had a row not been found there, the write would have failed.
"""
import random

# literals of each built-in type; those that print alike in pairs are there on purpose
TYPES = {
    'bool': "t f", 'char(5)': "a|ab|'x y  '", 'bpchar': "a|'a '", 'varchar(7)': "a|NULL|'null'", 'text': "a|'a\"b'|'c\\d'|'e''f'|'(1,2)'|'é{}'", 'name': 'n m',
    '"char"': 'a b', 'bytea': r'\x00ff|\x|\x5c27', 'int2': '-1 7', 'int4': '0 -5', 'int8': '9 10', 'oid': '1 2', 'float4': '1.5 -0 NaN 1e30', 'float8': '0.1 -Infinity 1e-300',
    'numeric': '1.0 1.00 NaN -7', 'numeric(8,3)': '1.5 2', 'money': '1.00 -3', 'date': '2024-02-29|infinity|0044-03-15 BC', 'time': '24:00 1:02:03.4', 'timetz': '1:00+02 1:00-03',
    'timestamp': "2024-01-02 03:04:05.6|-infinity", 'timestamptz': "2024-03-31 02:30+01|2024-10-27 02:30+02|infinity", 'interval': "1 mon -2 days 3:00|-1 days +02:03|30 days",
    'inet': '10.0.0.1 10.0.0.1/8 ::1', 'cidr': '10.0.0.0/8 ::1/128', 'macaddr': '08:00:2b:01:02:03 08:00:2b:01:02:04', 'macaddr8': '08:00:2b:01:02:03:04:05 08002b:010203',
    'uuid': 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 00000000-0000-0000-0000-000000000000', 'bit(3)': '101 000', 'bit varying': '1 0011', 'json': '{"a" : 1}|{"a":1}|[]|null',
    'jsonb': '{"b":1.0,"a":null}|"x"|[1,[2]]', 'jsonpath': '$.a $[*]', 'xml': '<a/>|<b c="d">x</b>|text', 'point': '(1,2) (0,-0)', 'line': '{1,2,3}', 'lseg': '[(0,0),(1,1)]',
    'box': '(1,1),(0,0)', 'path': '[(0,0),(1,1)] ((0,0),(1,1))', 'polygon': '((0,0),(1,1),(2,0))', 'circle': '<(0,0),1>', 'tsvector': 'a:1A b:2|it:3', 'tsquery': "a & !b|c <-> d",
    'int4range': '[1,5) empty (,3]', 'numrange': '[1.0,1.00]|(,)', 'tstzrange': '["2024-01-01 00:00+00","2024-02-01 00:00+00")|empty', 'int4multirange': '{[1,2),[5,9)} {}', 'tid': '(0,1) (3,4)',
    'pg_lsn': '0/1 A/FF', 'xid': '5 6', 'xid8': '5 6', 'cid': '1 2', 'int2vector': "1 2|''", 'oidvector': "3 4|''", 'int[]': '{1,NULL,3}|{}|[0:1]={5,6}', 'text[]': '{a,"b c",NULL,"NULL",""}|{{x},{y}}',
    'bool[]': '{t,f}', 'date[]': '{2024-01-01}', 'int4range[]': '{"[1,3)"}', 'regtype': 'int4 text', 'regclass': 'pg_class pg_type', 'regnamespace': 'pg_catalog public', 'pg_snapshot': '1:4:2', 'ha[]': '{}', 'ha': '(,,,,,,,)',
}


def literals(text):
    values = text.split('|') if '|' in text else text.split(' ')
    return ["'%s'" % v.replace("'", "''") if not v.startswith("'") else v for v in values]


def scenario(name, kind, text, chosen):
    """A table w (n, v, x) without a key, with NULLs and equal rows."""
    values = [v if v == 'NULL' else '%s::%s' % (v, kind) for v in literals(text)] + ['NULL::%s' % kind]
    pick = lambda: chosen.choice(values)
    steps = ['BEGIN', 'CREATE TABLE w (n int, v %s, x text)' % kind, "SELECT create_reference_table('w')",
             'INSERT INTO w VALUES ' + ', '.join("(%d, %s, %s)" % (i % 4, pick(), chosen.choice(["'a'", 'NULL', "''"])) for i in range(24)),
             'DELETE FROM w WHERE n = 1',
             'UPDATE w SET x = %s, n = n + 10 WHERE n = 2' % chosen.choice(["'up'", "x || 'y'", 'NULL']),
             'UPDATE w SET v = %s WHERE n = 3' % pick(),
             'INSERT INTO w VALUES (7, %s, NULL), (7, %s, NULL)' % (pick(), pick()),
             'DELETE FROM w WHERE ctid = (SELECT min(ctid) FROM w WHERE n = %s)' % chosen.choice(['7', '12', '3', '0']),
             'UPDATE w SET n = n - 1 WHERE n IN (0, 3, 7)',
             "DELETE FROM w WHERE v IS NULL AND n <> %d" % chosen.randint(0, 3)]
    read = 'SELECT a.id, w.n, w.v::text, w.x FROM ha a JOIN w ON w.n % 5 = a.id % 5'
    return ' ;; '.join(steps + [read, 'SELECT n, v::text, x FROM w', 'ROLLBACK'])


CLASSES = {'copies': [scenario('w', kind, text, random.Random('%s %d' % (kind, turn))) for turn in range(2) for kind, text in TYPES.items()]}
