#!/usr/bin/env python3
"""Make built_ins.h: the built-in functions that not all PostgreSQLs from 14 on have.

Usage: built_ins.py 14=DIR 15=DIR ... > built_ins.h

DIR: a server's share directory, in which initdb finds postgres.bki (that of any minor release will
do: catalogs do not change within a major).  Of two majors' functions those are the same that have
one name, and arguments, result and kind of one type each; a query calls them by these.  Operators,
types and operator classes have been the same since 14: that is checked, as that majors.c knows the
collations (casts are functions, or the types' own).

Another catalog that changes, or another major, needs this script to be run again, with all majors
from 14 on; majors.c reads what it makes.
"""
import re
import sys

TOKEN = re.compile(r"'(?:[^']|'')*'|\S+")
CHECKED = {
    'pg_operator': ('oprname', 'oprleft', 'oprright', 'oprresult'),
    'pg_type': ('typname',),
    'pg_collation': ('collname',),
    'pg_opclass': ('opcmethod', 'opcname'),
    'pg_ts_config': ('cfgname',),
}
# collation_major() in majors.c knows these
COLLATIONS = {('unicode',), ('ucs_basic',), ('pg_c_utf8',), ('pg_unicode_fast',)}


def read_catalogs(path):
    """Rows of all catalogs in a postgres.bki: {catalog: [{column: text}]}."""
    catalogs = {}
    rows = columns = None
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            match = re.match(r'create (\w+) ', line)
            if match:
                rows = catalogs.setdefault(match[1], [])
                columns = []
                continue
            match = re.match(r' (\w+) = \S+', line)
            if match and columns is not None:
                columns.append(match[1])
            elif line.startswith('insert ('):
                values = [token.strip("'") for token in TOKEN.findall(line.rstrip()[8:-1])]
                if len(values) != len(columns):
                    sys.exit('%s: cannot read: %s' % (path, line))
                rows.append(dict(zip(columns, values)))
    return catalogs


def signature(proc):
    return tuple(proc[c] for c in ('proname', 'proargtypes', 'prorettype', 'prokind', 'proretset'))


def main():
    servers = dict(word.split('=', 1) for word in sys.argv[1:])
    majors = sorted(map(int, servers))
    if not majors or majors[0] != 14 or majors != list(range(14, majors[-1] + 1)):
        sys.exit(__doc__)
    catalogs = {m: read_catalogs(servers[str(m)] + '/postgres.bki') for m in majors}
    known = {signature(p) for p in catalogs[14]['pg_proc']}
    found = {}
    for before, major in zip(majors, majors[1:]):
        for catalog, columns in CHECKED.items():
            rows = [{tuple(r[c] for c in columns) for r in catalogs[m].get(catalog, [])}
                    for m in (before, major)]
            rows[0] |= COLLATIONS if catalog == 'pg_collation' else set()
            if rows[1] - rows[0]:
                sys.exit('%s of %d has what %d has not, which majors.c does not know of: %s' %
                         (catalog, major, before, sorted(rows[1] - rows[0])))
        new = set()
        for proc in catalogs[major]['pg_proc']:
            if signature(proc) not in known:
                new.add(signature(proc))
                found.setdefault(int(proc['oid']), (major, proc['proname']))
        known |= new
    print("""/*-------------------------------------------------------------------------
 *
 * built_ins.h
 *	  Built-in functions that came after PostgreSQL 14, by OID: the first major that
 *	  has them as they are.  Included by majors.c only.
 *
 * Source: made by built_ins.py from the catalogs of PostgreSQL 14 to %d; do not edit.
 *
 *-------------------------------------------------------------------------
 */""" % majors[-1])
    for oid, (major, name) in sorted(found.items()):
        print('{%d, %d},\t\t\t\t/* %s */' % (oid, major, name))


main()
