"""Scripts of the differential test: SQL statements with a few directives.

A directive is a comment of its own line before a statement:
  -- differs: REASON   plain PostgreSQL and the cluster may, and must, disagree
  -- may differ: REASON  the same, but they may agree under some settings
  -- error             plain PostgreSQL refuses this statement
  -- may error: REASON  some minors of it do, and then the cluster must
  -- unordered         compare as a multiset though there is an ORDER BY
  -- count             compare the number of rows only
  -- notices           compare the NOTICEs, too, as a multiset
  -- other words       the error says the same in other words; names are compared
  -- one major: REASON  not compared where servers are of several majors
  -- cluster: SQL      run SQL on the cluster only, before the statement
At the head of a script:
  -- setup: NAME       the script reads the tables of setup/NAME.sql
  -- from: MAJOR       only PostgreSQL from this major on has what it tries (the oldest of the servers)
Besides SQL a script may hold lines
  \\load FILE TABLE [OPTIONS]   COPY TABLE FROM STDIN with the contents of a data file
COPY ... FROM STDIN reads the lines that follow, up to one that is just \\.
"""
import gzip
import os
import re


class Statement:
    def __init__(self, sql, line, directives):
        self.sql = sql
        self.line = line
        self.differs = directives.get('differs')
        self.may_differ = 'may differ' in directives
        self.one_major = 'one major' in directives
        self.may_error = 'may error' in directives
        self.error = 'error' in directives
        self.count_only = 'count' in directives
        self.notices = 'notices' in directives
        self.other_words = 'other words' in directives
        self.cluster = directives.get('cluster')
        self.ordered = has_outer_order(sql) and 'unordered' not in directives
        self.may_refuse = 'may refuse' in directives    # made ones: 0A000 is an answer, too
        self.may_fail = 'may fail' in directives        # made ones: plain PostgreSQL may refuse it
        self.copy_data = None


TOKEN = re.compile(r"""
    (?P<comment>--[^\n]*|/\*.*?\*/)
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*")
  | (?P<dollar>(?P<tag>\$[A-Za-z_0-9]*\$).*?(?P=tag))
  | (?P<open>[(\[])
  | (?P<close>[)\]])
  | (?P<end>;)
  | (?P<word>[A-Za-z_][A-Za-z_0-9$]*)
  | (?P<space>\s+)
  | (?P<other>.)
""", re.X | re.S)


def has_outer_order(sql):
    """Does the outermost query (or the query of a cursor) say ORDER BY?"""
    depth, words, after_with = 0, [], False
    for match in TOKEN.finditer(sql):
        kind = match.lastgroup
        if kind == 'open':
            depth += 1
        elif kind == 'close':
            depth -= 1
        elif kind == 'word' and depth == 0:
            words.append(match.group().upper())
    if not words or words[0] not in ('SELECT', 'WITH', 'TABLE', 'VALUES', 'FETCH', 'EXECUTE', 'COPY'):
        return False
    if words[0] == 'FETCH':
        return True
    return any(a == 'ORDER' and b == 'BY' for a, b in zip(words, words[1:]))


MARKED = re.compile(r'\{\{(.*?)\|([a-z0-9()\[\]]+)\}\}', re.S)


def bind(sql, protocol):
    """The statement with {{value|type}} as constants, or as parameters, and their values."""
    params = []
    if re.match(r'(COPY|DO|PREPARE)\b', sql):
        protocol = 'simple'

    def part(match):
        value, kind = match.groups()
        if protocol == 'simple':
            return 'NULL::%s' % kind if value == 'NULL' else "'%s'::%s" % (value, kind)
        params.append(None if value == 'NULL' else value)
        return '$%d::%s' % (len(params), kind)

    return MARKED.sub(part, sql), params


def directives_of(comment, into):
    match = re.match(r'--\s*(differs|may differ|one major|may error|cluster):\s*(.*)', comment) or re.match(r'--\s*(error|unordered|count|notices|other words)\s*$', comment)
    if match:
        into[match.group(1)] = match.group(2) if match.lastindex > 1 else True


class Script:
    def __init__(self, path, data_directory):
        self.name = os.path.splitext(os.path.basename(path))[0]
        with open(path, encoding='utf-8') as file:
            self.text = file.read()
        self.setups = re.findall(r'^-- setup: (\w+)', self.text, re.M)
        self.first_major = max(map(int, re.findall(r'^-- from: (\d+)$', self.text, re.M)), default=0)
        self.data_directory = data_directory
        self.refused = self.failed_statements = 0
        self.statements = list(self._parse())

    def _parse(self):
        text, at, start = self.text, 0, None
        directives, depth = {}, 0
        while at < len(text):
            if start is None and text[at] == '\\':
                end = text.find('\n', at)
                yield self._load(text[at:end], text.count('\n', 0, at) + 1)
                at, directives = end + 1, {}
                continue
            match = TOKEN.match(text, at)
            kind = match.lastgroup
            if kind == 'tag':
                kind = 'dollar'
            if start is None and kind == 'comment':
                directives_of(match.group(), directives)
            elif kind == 'end' and depth == 0:
                if start is not None:
                    statement = Statement(text[start:at].strip(), text.count('\n', 0, start) + 1, directives)
                    at = match.end()
                    if re.match(r'COPY\b.*\bFROM\s+STDIN\b', statement.sql, re.I | re.S):
                        begin = text.index('\n', at) + 1
                        end = re.compile(r'^\\\.$', re.M).search(text, begin)
                        statement.copy_data = text[begin:end.start()].encode()
                        at = end.end()
                    yield statement
                    start, directives = None, {}
                    continue
                directives = {}
            elif kind not in ('space', 'comment'):
                if start is None:
                    start, depth = at, 0
                if kind == 'open':
                    depth += 1
                elif kind == 'close':
                    depth -= 1
            at = match.end()
        if start is not None:
            raise ValueError('%s: statement without semicolon at the end: %s' % (self.name, text[start:start + 60]))

    def _load(self, line, number):
        match = re.match(r'\\load\s+(\S+)\s+(\S+)\s*(.*)', line)
        if not match:
            raise ValueError('%s:%d: what is "%s"?' % (self.name, number, line))
        path, table, options = match.groups()
        statement = Statement('COPY %s FROM STDIN %s' % (table, options), number, {})
        with gzip.open(os.path.join(self.data_directory, path)) as file:
            statement.copy_data = file.read()
        if path.endswith('.tbl.gz'):        # TPC-H ends its lines in a separator
            statement.copy_data = statement.copy_data.replace(b'|\n', b'\n')
        return statement
