"""Statements in company: transactions that have written, cursors, EXECUTE with other values, functions, writes."""

WRITES = ["INSERT INTO [H] (k, id, s, x) VALUES (1, 201, 'new', 1), (NULL, 202, 'a', 2), (3, 203, NULL, {{0|int}})",
          "UPDATE [H] a SET s = 'zz', x = 1 WHERE [pa]", "DELETE FROM [H] a WHERE [pa]",
          "INSERT INTO [I] (k, id, x) SELECT k, id + 300, x FROM [H] a WHERE [pa]",
          "UPDATE [R] SET s = 'a', k = 2 WHERE id < {{4|int}}", "DELETE FROM la WHERE id % 2 = 0"]
READS = ['SELECT a.id, b.id FROM [H] a JOIN [B] b ON [eab]', 'SELECT a.id, b.id FROM [B] b LEFT JOIN [H] a ON [eab] WHERE [pb]',
         'SELECT a.id FROM [H] a WHERE a.x IN (SELECT b.k FROM [I] b)', 'SELECT s, count(*), sum(x) FROM [H] GROUP BY s',
         'SELECT a.id, b.id FROM [H] a JOIN [I] b USING (k)', 'SELECT a.id, r.s FROM [H] a JOIN [R] r ON r.id = a.x',
         'WITH w AS (SELECT k, count(*) AS c FROM [H] GROUP BY k) SELECT b.id, w.c FROM [B] b JOIN w ON w.k = b.x',
         'SELECT a.id, l.id FROM [H] a LEFT JOIN la l ON l.id = a.id']
LEVELS = ['BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ']
TRANSACTIONS = ['%s ;; @may refuse %s ;; %s ;; %s ;; ROLLBACK' % (LEVELS[(i + j) % 2], write, READS[j], READS[(j + 3) % len(READS)])
                for i, write in enumerate(WRITES) for j in range(len(READS))] + [
    'BEGIN ;; %s ;; SAVEPOINT s ;; @may refuse %s ;; %s ;; ROLLBACK TO s ;; %s ;; ROLLBACK' % (READS[j], write, READS[(j + 1) % len(READS)], READS[(j + 1) % len(READS)])
    for i, write in enumerate(WRITES) for j in (0, 2, 5)] + [
    'BEGIN READ ONLY ;; %s ;; %s ;; COMMIT' % (READS[j], READS[(j + 2) % len(READS)]) for j in range(len(READS))]

ORDERED = ['SELECT id, k FROM [A] a WHERE [pa] ORDER BY id', 'SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] ORDER BY 1, 2',
           'SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON [eab] ORDER BY 1, 2 NULLS FIRST', 'SELECT k, count(*) FROM [A] a GROUP BY k ORDER BY k',
           'SELECT a.id, (SELECT max(b.id) FROM [B] b WHERE b.k = a.k) FROM [A] a WHERE [pa] ORDER BY 1',
           'SELECT id FROM [A] a UNION ALL SELECT id FROM [B] b ORDER BY 1', 'SELECT id, row_number() OVER (ORDER BY id) FROM [A] a ORDER BY 1']
FETCHES = ['FETCH 3 FROM c ;; FETCH BACKWARD 2 FROM c ;; FETCH ALL FROM c', 'MOVE 2 FROM c ;; FETCH PRIOR FROM c ;; FETCH LAST FROM c ;; FETCH ABSOLUTE 2 FROM c',
           'FETCH LAST FROM c ;; FETCH FIRST FROM c ;; FETCH RELATIVE 3 FROM c ;; FETCH BACKWARD ALL FROM c']
CURSORS = ['BEGIN ;; DECLARE c SCROLL CURSOR FOR %s ;; %s ;; ROLLBACK' % (query, FETCHES[i % 3]) for i, query in enumerate(ORDERED)] + [
    'BEGIN ;; DECLARE c CURSOR WITH HOLD FOR %s ;; FETCH 2 FROM c ;; COMMIT ;; FETCH ALL FROM c ;; CLOSE c' % query for query in ORDERED] + [
    'BEGIN ;; DECLARE c NO SCROLL CURSOR FOR %s ;; FETCH 2 FROM c ;; %s ;; FETCH 2 FROM c ;; CLOSE c ;; ROLLBACK' % (query, READS[i % len(READS)])
    for i, query in enumerate(ORDERED)] + [
    'BEGIN ;; DECLARE c SCROLL CURSOR WITH HOLD FOR %s ;; DECLARE d CURSOR FOR %s ;; FETCH 2 FROM c ;; FETCH 1 FROM d ;; FETCH 3 FROM d ;; COMMIT ;; FETCH BACKWARD ALL FROM c ;; CLOSE c'
    % (query, ORDERED[(i + 1) % len(ORDERED)]) for i, query in enumerate(ORDERED)]

# a cursor and what its transaction writes after it was opened: it shows what was there before
MOMENTS = ['%s ;; %s@may refuse DECLARE c CURSOR FOR %s ;; @may refuse %s ;; @may refuse FETCH 3 FROM c ;; SAVEPOINT s ;; @may refuse %s ;; @may refuse FETCH 2 FROM c ;; %s ;; '
           '@may refuse FETCH ALL FROM c ;; ROLLBACK'
           % (LEVELS[i % 3 == 2], '@may refuse %s ;; ' % WRITES[(i + 3) % len(WRITES)] if j % 2 else '', query, WRITES[i % len(WRITES)], WRITES[(i + 1) % len(WRITES)],
              'ROLLBACK TO s' if (i + j) % 3 == 0 else 'SELECT count(*) FROM [H]')
           for i, query in enumerate(ORDERED) for j in range(4)]

PREPARED = [('int, int', text) for text in (
    'SELECT id FROM [A] a WHERE k = $1 AND x >= $2', 'SELECT a.id, b.id FROM [A] a JOIN [B] b ON a.k = b.k WHERE a.k = $1 AND b.x = $2',
    'SELECT a.id, b.id FROM [A] a JOIN [B] b ON [eab] WHERE a.x = $1 OR b.k = $2', 'SELECT id FROM [A] a WHERE k IN ($1, $2)',
    'SELECT id FROM [A] a WHERE k BETWEEN $1 AND $2', 'SELECT x, count(*) FROM [A] a WHERE k <> $1 GROUP BY x HAVING count(*) > $2',
    'SELECT id FROM [A] a WHERE k = ANY (ARRAY[$1, $2])', 'SELECT id FROM [A] a ORDER BY id LIMIT $1 OFFSET $2',
    'SELECT a.id FROM [A] a WHERE EXISTS (SELECT FROM [B] b WHERE b.k = $1 AND b.x = a.x) AND a.id > $2',
    'SELECT a.id, b.id FROM [A] a LEFT JOIN [B] b ON a.k = b.k AND b.k = $1 WHERE a.x = $2',
    'WITH w AS (SELECT k, id FROM [A] a WHERE x = $1) SELECT w.id, b.id FROM w JOIN [B] b ON b.k = w.k AND b.id > $2',
    'SELECT k FROM [A] a WHERE k = $1 UNION SELECT x FROM [B] b WHERE k = $2',
    'SELECT a.id, $1 + $2 FROM [A] a WHERE a.k = (SELECT max(b.k) FROM [B] b WHERE b.x = $1)')]
EXECUTED = ['PREPARE p (%s) AS %s ;; EXECUTE p (1, 2) ;; EXECUTE p (2, 1) ;; EXECUTE p (NULL, 3) ;; EXECUTE p (1, NULL) ;; EXECUTE p (4, 0) ;; EXECUTE p (1, 2) ;; EXECUTE p (3, 3) ;; DEALLOCATE p'
            % pair for pair in PREPARED] + [
    'PREPARE p (%s) AS %s ;; EXECUTE p (1, 2) ;; ALTER TABLE la ADD COLUMN extra int ;; EXECUTE p (2, 3) ;; ALTER TABLE la DROP COLUMN extra ;; EXECUTE p (1, 2) ;; DEALLOCATE p'
    % pair for pair in PREPARED[:3]]

CALLS = """
SELECT a.id, c_count(a.k::int) FROM [A] a WHERE [pa]
SELECT c_count({{1|int}}), c_pairs(2)
SELECT a.id, f.* FROM [A] a, c_rows(a.k::int) f WHERE [pa] AND a.id < 9
SELECT f.* FROM c_rows({{1|int}}) f
SELECT a.id, f.id FROM [A] a LEFT JOIN c_inlined({{1|int}}) f ON f.id = a.id WHERE [pa]
SELECT a.id FROM [A] a WHERE a.id IN (SELECT id FROM c_inlined(a.k::int))
SELECT row_to_json(f), a.id FROM [A] a, c_inlined({{2|int}}) f WHERE f.id = a.id
SELECT f, f.k FROM c_inlined({{1|int}}) f ORDER BY f.id
SELECT a.id, f.s, g.s FROM [A] a JOIN c_inlined(1) f ON f.k = a.k, c_inlined(f.x) g WHERE [pa]
SELECT a.id FROM [A] a WHERE a.id IN (SELECT id FROM c_inlined({{1|int}})) AND [pa]
SELECT c_loop(), count(*) FROM [A] a WHERE [pa]
SELECT * FROM c_dynamic('SELECT id FROM [A] a ORDER BY id') WHERE c_dynamic < {{9|int}}
SELECT * FROM c_dynamic('SELECT b.id FROM [A] a JOIN [B] b ON a.k = b.k')
SELECT max(c_count(k::int)) FROM [A] a
DO $$ BEGIN PERFORM a.id FROM [A] a JOIN [B] b ON [eab]; IF NOT FOUND THEN PERFORM 1; END IF; END $$
DO $$ DECLARE r record; n int := 0; BEGIN FOR r IN SELECT a.id FROM [A] a JOIN [B] b ON a.k = b.k LOOP n := n + r.id; PERFORM count(*) FROM [A]; END LOOP; END $$
SELECT c_product(x), c_concat(s COLLATE "C" ORDER BY id), c_first(id) IS NULL FROM [A] a WHERE [pa]
SELECT k, c_product(x), count(*) FROM [A] a WHERE [pa] GROUP BY k
SELECT x, c_strict(id), c_product(id) FILTER (WHERE [pa]) FROM [A] a GROUP BY x
SELECT c_product(x), c_strict(x), c_first(x), c_concat(s ORDER BY id) FROM [A] a WHERE false
SELECT c_initial(id), c_initial(DISTINCT x) FROM [A] a WHERE [pa]
"""

DML = """
BEGIN ;; @may refuse INSERT INTO [H] (k, id, x, s) SELECT a.k, a.id + 500, b.x, b.s FROM [A] a JOIN [B] b ON [eab] WHERE [pa] ;; SELECT k, id, x, s FROM [H] WHERE id > 499 ;; ROLLBACK
BEGIN ;; @may refuse INSERT INTO [H] (k, id) SELECT k, count(*) + 500 FROM [A] a WHERE [pa] GROUP BY k ;; SELECT k, id FROM [H] WHERE id > 499 ;; ROLLBACK
BEGIN ;; @may refuse INSERT INTO [H] (k, id) SELECT id, 500 FROM [A] a WHERE [pa] ORDER BY id LIMIT {{3|int}} ;; SELECT k, id FROM [H] WHERE id > 499 ;; ROLLBACK
BEGIN ;; @may refuse INSERT INTO [H] (k, id) SELECT k, 500 FROM [A] a WHERE [pa] RETURNING k, id ;; ROLLBACK
BEGIN ;; @may refuse UPDATE [H] a SET x = b.x + 1 FROM [I] b WHERE a.k = b.k AND a.id = b.id AND [pb] ;; SELECT id, x FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse UPDATE [H] a SET s = 'in' WHERE a.k IN (SELECT b.k FROM [B] b WHERE [pb]) ;; SELECT id, s FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse UPDATE [H] a SET x = (SELECT max(b.id) FROM [I] b WHERE b.k = a.k) WHERE [pa] ;; SELECT id, x FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse UPDATE [H] a SET n = n * 2, d = d + {{1|int}}, b = NOT b WHERE [pa] RETURNING id, n, d, b ;; ROLLBACK
BEGIN ;; @may refuse DELETE FROM [H] a USING [I] b WHERE a.k = b.k AND [pb] ;; SELECT id FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse DELETE FROM [H] a WHERE EXISTS (SELECT FROM [B] b WHERE b.k = a.k AND [pb]) ;; SELECT id FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse DELETE FROM [H] a WHERE [pa] RETURNING k, id, s ;; SELECT count(*) FROM [H] ;; ROLLBACK
BEGIN ;; @may refuse UPDATE [R] r SET s = 'up' WHERE r.id IN (SELECT a.x FROM [A] a WHERE [pa]) ;; SELECT id, s FROM [R] ;; SELECT a.id, r.s FROM [H] a JOIN [R] r ON r.id = a.x ;; ROLLBACK
BEGIN ;; @may refuse INSERT INTO la (id, k, s) SELECT a.id + 500, b.k, b.s FROM [A] a LEFT JOIN [B] b ON a.id = b.id WHERE [pa] ;; SELECT id, k, s FROM la ;; ROLLBACK
BEGIN ;; @may refuse UPDATE la SET x = a.id FROM [A] a WHERE a.id = la.id AND [pa] ;; SELECT id, x FROM la ;; ROLLBACK
BEGIN ;; @may refuse DELETE FROM la WHERE k IN (SELECT a.k FROM [A] a WHERE [pa]) ;; SELECT id FROM la ;; ROLLBACK
BEGIN ;; CREATE TEMP TABLE made AS SELECT a.id, b.k, b.s FROM [A] a JOIN [B] b ON [eab] WHERE [pa] ;; SELECT * FROM made ;; SELECT count(*) FROM made m JOIN [A] a ON a.id = m.id ;; ROLLBACK
COPY (SELECT a.id, b.s FROM [A] a JOIN [B] b ON [eab] WHERE [pa] ORDER BY a.id, b.id) TO STDOUT
BEGIN ;; @may refuse INSERT INTO [H] (k, id) VALUES ((SELECT max(k) FROM [A] a WHERE [pa]), (SELECT count(*) FROM [B]) + 500) ;; SELECT k, id FROM [H] WHERE id > 499 ;; ROLLBACK
BEGIN ;; @may refuse TRUNCATE [H] ;; SELECT count(*) FROM [H] ;; SELECT a.id, b.id FROM [A] a LEFT JOIN [H] b ON a.k = b.k WHERE a.id < 9 ;; ROLLBACK
"""

CLASSES = {'transactions': TRANSACTIONS, 'cursors': CURSORS, 'moments': MOMENTS, 'executed': EXECUTED, 'calls': CALLS, 'dml': DML}
