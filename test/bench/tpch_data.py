"""TPC-H data at a multiple of scale 0.01, made of the project's data at that scale.

Copy c of a table has its keys shifted by c times the number of keys, so each table's size and the
fan-out of each join are those of the larger scale.  A copy of lineitem refers to parts and
suppliers, a copy of orders to customers, of another copy: joins are no block diagonal.  Money
differs a little from copy to copy, so that there are no more ties than at scale 0.01.
Everything is computed from keys: the same data each time.
"""
import gzip
import os

ROWS = {'region': 5, 'nation': 25, 'supplier': 100, 'part': 2000, 'partsupp': 8000, 'customer': 1500, 'orders': 15000,
        'lineitem': 60175}
TABLES = list(ROWS)
ORDER_KEYS = 60000          # 15,000 orders use a quarter of the numbers


def cents(text, number, most):
    """text, a sum of money, and up to most hundredths that number decides."""
    value = int(text.replace('.', '')) + number * 7919 % (most + 1)
    sign, value = ('-', -value) if value < 0 else ('', value)
    return '%s%d.%02d' % (sign, value // 100, value % 100)


def shift(table, f, c, copies):
    """The fields f of a row as copy c has them; copy 0 is the original."""
    if c == 0:
        return f
    f = list(f)
    other = (c + 3) % copies
    if table == 'supplier':
        key = int(f[0]) + c * 100
        f[0], f[1], f[5] = str(key), 'Supplier#%09d' % key, cents(f[5], key, 5000)
    elif table == 'part':
        key = int(f[0]) + c * 2000
        f[0], f[7] = str(key), cents(f[7], key, 500)
    elif table == 'partsupp':
        f[0], f[1] = str(int(f[0]) + c * 2000), str(int(f[1]) + c * 100)
        f[3] = cents(f[3], int(f[0]) + int(f[1]), 200)
    elif table == 'customer':
        key = int(f[0]) + c * 1500
        f[0], f[1], f[5] = str(key), 'Customer#%09d' % key, cents(f[5], key, 5000)
    elif table == 'orders':
        f[0], f[1] = str(int(f[0]) + c * ORDER_KEYS), str(int(f[1]) + other * 1500)
        f[3] = cents(f[3], int(f[0]), 20000)
    elif table == 'lineitem':
        f[0] = str(int(f[0]) + c * ORDER_KEYS)
        f[1], f[2] = str(int(f[1]) + other * 2000), str(int(f[2]) + other * 100)
        f[5] = cents(f[5], int(f[0]) + 13 * int(f[3]), 5000)
    return f


def table_data(directory, table, copies):
    """All rows of a table as COPY reads them with DELIMITER '|'."""
    with gzip.open(os.path.join(directory, 'tpch', table + '.tbl.gz'), 'rt', encoding='utf-8') as file:
        rows = [line.rstrip('\n').rstrip('|').split('|') for line in file]
    if table in ('region', 'nation'):
        copies = 1
    return ''.join('|'.join(shift(table, row, c, copies)) + '\n' for c in range(copies) for row in rows).encode()
