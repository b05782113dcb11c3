"""Scripts written for psql: statements, the data of COPY, and the few commands of psql that
PostgreSQL's regression scripts need (\\set, \\getenv, \\gset); other commands are left out.
"""
import re

from script import TOKEN

VARIABLE = re.compile(r":(?:'(\w+)'|\"(\w+)\"|(?<!::)([A-Za-z_]\w*))")
ROUTINE = re.compile(r'CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b', re.I)


class Piece:
    """A statement, or a command of psql (then command is its name and sql its arguments).

    The lines after COPY FROM STDIN are its data only if the server asks for them.
    """

    def __init__(self, sql, line, command=None, gset=None):
        self.sql, self.line, self.command, self.gset = sql, line, command, gset
        self.text, self.end, self.data = None, 0, None

    def copy_data(self):
        if self.data is None:
            begin = self.text.index('\n', self.end) + 1
            stop = re.compile(r'^\\\.$', re.M).search(self.text, begin)
            self.data, self.end = self.text[begin:stop.start()].encode(), stop.end()
        return self.data


def pieces(text):
    at, start, depth, begins = 0, None, 0, 0
    while at < len(text):
        if text[at] == '\\':
            end = text.find('\n', at)
            end = len(text) if end < 0 else end
            name, _, arguments = text[at + 1:end].partition(' ')
            line = text.count('\n', 0, at) + 1
            if name == ';':
                at += 2
                continue
            if name in ('gset', 'g', 'gx', 'gexec') and start is not None:
                yield Piece(text[start:at].strip(), line, gset=arguments.strip() if name == 'gset' else None)
                start = None
            elif start is None:
                yield Piece(arguments.strip(), line, command=name)
            at = end + 1
            continue
        match = TOKEN.match(text, at)
        kind = 'dollar' if match.lastgroup == 'tag' else match.lastgroup
        end = match.end()
        if kind == 'end' and depth == 0 and begins == 0:
            if start is not None:
                piece = Piece(text[start:at].strip(), text.count('\n', 0, start) + 1)
                piece.text, piece.end = text, end
                yield piece
                end = piece.end
            start = None
        elif kind not in ('space', 'comment'):
            if start is None:
                start, depth, begins = at, 0, 0
            if kind == 'open':
                depth += 1
            elif kind == 'close':
                depth -= 1
            elif kind == 'word' and depth == 0 and ROUTINE.match(text, start):
                # an SQL-standard body has statements inside
                word = match.group().upper()
                if word == 'BEGIN' or word == 'CASE' and begins:
                    begins += 1
                elif word == 'END' and begins:
                    begins -= 1
        at = end


def interpolate(sql, variables):
    """The statement with psql's variables put in, outside of strings and comments."""
    if ':' not in sql:
        return sql
    out, at = [], 0
    while at < len(sql):
        if sql.startswith('::', at):
            out.append('::')
            at += 2
            continue
        match = VARIABLE.match(sql, at) if sql[at] == ':' else None
        name = match and next(group for group in match.groups() if group)
        if match and name in variables:
            value = variables[name]
            out.append("'%s'" % value.replace("'", "''") if match.group(1) else
                       '"%s"' % value.replace('"', '""') if match.group(2) else value)
        else:
            match = TOKEN.match(sql, at)
            out.append(match.group())
        at = match.end()
    return ''.join(out)


def set_variable(arguments, variables):
    """\\set NAME VALUE...: values are joined, as psql does."""
    words = re.findall(r"'(?:[^']|'')*'|\S+", arguments)
    if words:
        variables[words[0]] = ''.join(
            variables.get(word[1:], word) if word.startswith(':') else
            word[1:-1].replace("''", "'") if word.startswith("'") else word for word in words[1:])
