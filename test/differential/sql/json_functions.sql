-- SQL/JSON of 16 and 17, over distributed rows.
-- from: 17
CREATE TABLE docs (k int PRIMARY KEY, j jsonb, t text);
SELECT create_distributed_table('docs', 'k');
INSERT INTO docs SELECT i, jsonb_build_object('id', i, 'name', 'n' || i, 'tags', jsonb_build_array(i, i + 1), 'at', '2026-01-0' || (i % 9 + 1)), CASE WHEN i % 3 = 0 THEN 'no json' ELSE '{"a": ' || i || '}' END FROM generate_series(1, 12) i;
SELECT k FROM docs WHERE t IS JSON OBJECT ORDER BY k;
SELECT k, t IS JSON, t IS JSON WITH UNIQUE KEYS FROM docs ORDER BY k LIMIT 4;
SELECT JSON_VALUE(j, '$.id' RETURNING int) AS id, count(*) FROM docs WHERE JSON_EXISTS(j, '$.tags[*] ? (@ > 6)') GROUP BY 1 ORDER BY 1;
SELECT JSON_QUERY(j, '$.tags' WITH WRAPPER), JSON_VALUE(j, '$.none' DEFAULT 'x' ON EMPTY) FROM docs WHERE k = 3;
SELECT JSON_VALUE(j, '$.at' RETURNING date) + 1 FROM docs ORDER BY k LIMIT 3;
SELECT k, x.* FROM docs, JSON_TABLE(j, '$' COLUMNS (n FOR ORDINALITY, name text PATH '$.name', NESTED PATH '$.tags[*]' COLUMNS (tag int PATH '$'))) x WHERE k < 4 ORDER BY k, tag;
SELECT sum(tag) FROM docs, JSON_TABLE(j, '$.tags[*]' COLUMNS (tag int PATH '$')) x;
SELECT JSON_OBJECTAGG(k: j -> 'name' ABSENT ON NULL RETURNING jsonb) FROM docs WHERE k < 4;
SELECT JSON_ARRAYAGG(k ORDER BY k RETURNING jsonb) FROM docs;
SELECT k % 2 AS g, JSON_ARRAYAGG(k ORDER BY k DESC) FROM docs GROUP BY 1 ORDER BY 1;
SELECT JSON_OBJECT('k': k, 'n': JSON_SCALAR(k * 2)), JSON_ARRAY(k, t NULL ON NULL), JSON(t), JSON_SERIALIZE(j RETURNING text) FROM docs WHERE k = 1;
-- error
SELECT JSON_VALUE(j, 'strict $.none' ERROR ON ERROR) FROM docs;
UPDATE docs SET j = JSON_OBJECT('id': k RETURNING jsonb) WHERE JSON_VALUE(j, '$.id' RETURNING int) > 10 RETURNING *;
SELECT any_value(k) > 0, count(*) FROM docs;
SELECT any_value(k ORDER BY k), any_value(k ORDER BY k DESC) FROM docs;
SELECT d.k, x.tag FROM docs d LEFT JOIN JSON_TABLE(d.j, '$.tags[*]' COLUMNS (tag int PATH '$')) x ON x.tag > 10 ORDER BY 1, 2;
CREATE VIEW tags AS SELECT k, tag FROM docs, JSON_TABLE(j, '$.tags[*]' COLUMNS (tag int PATH '$')) x;
SELECT max(tag), count(*) FROM tags;
-- what is not constant in PASSING and DEFAULT
SELECT k FROM docs WHERE JSON_EXISTS(j, '$.tags[*] ? (@ < $m)' PASSING extract(year FROM now())::int AS m) ORDER BY k;
SELECT count(*) FROM docs d JOIN JSON_TABLE(d.j, '$.tags[*] ? (@ < $m)' PASSING extract(year FROM now())::int AS m COLUMNS (tag int PATH '$')) x ON x.tag <> d.k;
SELECT count(*) FROM docs d JOIN JSON_TABLE(jsonb '[1, 2]', '$[*] ? (@ < $m)' PASSING extract(year FROM now())::int / 1000 + 1 AS m COLUMNS (tag int PATH '$')) x ON x.tag = d.k;
PREPARE since(timestamptz) AS SELECT k, tag FROM docs d JOIN JSON_TABLE(d.j, '$.tags[*] ? (@ < $m)' PASSING extract(hour FROM $1)::int AS m COLUMNS (tag int PATH '$')) x ON true ORDER BY 1, 2;
EXECUTE since('2026-03-01 03:00');
EXECUTE since('2026-03-01 06:00');
SELECT k FROM docs WHERE JSON_VALUE(j, '$.none' RETURNING timestamptz DEFAULT now() ON EMPTY) = now() ORDER BY k;
SELECT k, JSON_VALUE(j, '$.none' RETURNING int DEFAULT extract(year FROM now())::int ON EMPTY) > 2000, JSON_VALUE(j, '$.name' RETURNING int DEFAULT length(current_date::text) ON ERROR) FROM docs ORDER BY k;
SELECT k, x.at = current_date FROM docs d, JSON_TABLE(d.j, '$' COLUMNS (at date PATH '$.none' DEFAULT (current_date + 0) ON EMPTY)) x WHERE k < 5 ORDER BY k;
SELECT JSON_VALUE(j, '$.id' RETURNING int DEFAULT 1 / (length(now()::text) - length(now()::text)) ON EMPTY) FROM docs ORDER BY k;
PREPARE other(int) AS SELECT k, JSON_VALUE(j, '$.none' RETURNING int DEFAULT $1 + 1 ON EMPTY) FROM docs WHERE k < 3 ORDER BY k;
EXECUTE other(6);
