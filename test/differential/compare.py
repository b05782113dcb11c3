"""Do two outcomes of one statement agree?"""
import math
import re

FLOAT_TYPES = {700, 701}
ADDRESS_TYPES = {26, 27, 28, 29}        # oid, tid, xid, cid: never equal on two servers
NUMBER = re.compile(r'-?\d+\.\d+(?:[eE][-+]?\d+)?|-?\d+[eE][-+]?\d+')
TOLERANCE = 1e-9


def equal_float(a, b):
    try:
        x, y = float(a), float(b)
    except ValueError:
        return a == b
    if x == y or math.isnan(x) and math.isnan(y):
        return True
    return abs(x - y) <= TOLERANCE * max(abs(x), abs(y)) or abs(x - y) < 1e-12


def equal_value(a, b, type_oid):
    if a == b:
        return True
    if a is None or b is None:
        return False
    if type_oid in ADDRESS_TYPES:
        return True
    if type_oid in FLOAT_TYPES:
        return equal_float(a, b)
    if type_oid in (1700, 20, 21, 23, 16):
        return False
    # floats inside of arrays, rows, points, json
    numbers_a, numbers_b = NUMBER.findall(a), NUMBER.findall(b)
    return (bool(numbers_a) and len(numbers_a) == len(numbers_b)
            and NUMBER.sub('#', a) == NUMBER.sub('#', b)
            and all(map(equal_float, numbers_a, numbers_b)))


def equal_rows(a, b, types):
    return len(a) == len(b) and all(map(equal_value, a, b, types))


def sort_key(row, types):
    key = []
    for value, type_oid in zip(row, types):
        if value is None:
            key.append('\uffff')
        elif type_oid in ADDRESS_TYPES:
            key.append('')
        else:
            key.append(NUMBER.sub(lambda m: '%.7g' % float(m.group()), value)
                       if type_oid not in (1700, 20, 21, 23) else value)
    return key


def compare(statement, oracle, cluster):
    """None if they agree, else why not."""
    if cluster.lost:
        return 'connection lost: ' + cluster.message
    if oracle.sqlstate or cluster.sqlstate:
        if oracle.sqlstate != cluster.sqlstate:
            return 'SQLSTATE %s, cluster %s' % (oracle.sqlstate, cluster.sqlstate)
        return compare_errors(statement, oracle, cluster) or same_status(oracle, cluster)
    if oracle.tag != cluster.tag:
        return 'command tag "%s", cluster "%s"' % (oracle.tag, cluster.tag)
    if (oracle.columns is None) != (cluster.columns is None):
        return 'only one of them returns rows'
    if oracle.columns is not None:
        if len(oracle.columns) != len(cluster.columns):
            return 'number of columns'
        for (name_a, type_a), (name_b, type_b) in zip(oracle.columns, cluster.columns):
            if name_a != name_b or type_a != type_b and min(type_a, type_b) < 16384:
                return 'column %s of type %d, cluster %s of type %d' % (name_a, type_a, name_b, type_b)
        if len(oracle.rows) != len(cluster.rows):
            return '%d rows, cluster %d' % (len(oracle.rows), len(cluster.rows))
        if not statement.count_only:
            types = [type_oid for _, type_oid in oracle.columns]
            problem = compare_rows(oracle.rows, cluster.rows, types, statement.ordered)
            if problem:
                return problem
    if statement.notices and sorted(oracle.notices) != sorted(cluster.notices):
        return 'notices %s, cluster %s' % (sorted(oracle.notices)[:8], sorted(cluster.notices)[:8])
    return same_status(oracle, cluster)


# Of several wrong rows any one may be told; row and key stand in DETAIL, a value in messages of class 22.
DATA_DETAIL = re.compile(r'Failing row contains|Key \(|Token "|JSON data')


def compare_errors(statement, oracle, cluster):
    """Message, DETAIL, HINT, position and the names that drivers read: the user's, never a shard's."""
    for field, a in oracle.names.items():
        b = cluster.names[field]
        if a == b or statement.other_words and field in 'MDH':
            continue
        if field == 'M' and oracle.sqlstate.startswith('22') or field == 'D' and DATA_DETAIL.match(a or b):
            continue
        return 'error %s, cluster %s' % (oracle.names, cluster.names)
    return None


def same_status(oracle, cluster):
    if oracle.status != cluster.status:
        return 'transaction status %s, cluster %s' % (oracle.status, cluster.status)
    return None


def compare_rows(a, b, types, ordered):
    if a == b or all(equal_rows(x, y, types) for x, y in zip(a, b)):
        return None
    a_sorted = sorted(a, key=lambda row: sort_key(row, types))
    b_sorted = sorted(b, key=lambda row: sort_key(row, types))
    if all(equal_rows(x, y, types) for x, y in zip(a_sorted, b_sorted)):
        return 'order of rows' if ordered else None
    return 'rows'
