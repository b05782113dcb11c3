-- Percentiles and modes of values that repeat: the workers group and count them.
CREATE TABLE w (k int, g text, i int, n numeric(8,2), f float8, d date, s interval, t text, b bool, a int[]);
SELECT create_distributed_table('w', 'k');
INSERT INTO w SELECT x, CASE x % 5 WHEN 0 THEN NULL ELSE 'g' || x % 5 END, CASE WHEN x % 11 = 0 THEN NULL ELSE x % 13 END, CASE WHEN x % 7 = 0 THEN NULL ELSE (x % 9) / 4.0 END,
  CASE x % 17 WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE (x % 6)::float8 END, date '2024-01-01' + x % 8, make_interval(months => x % 3, days => x % 4), CASE WHEN x % 3 = 0 THEN NULL ELSE 't' || x % 4 END,
  CASE x % 4 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END, ARRAY[x % 3, x % 2] FROM generate_series(1, 3000) x;
ANALYZE w;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i), percentile_disc(0.5) WITHIN GROUP (ORDER BY i), mode() WITHIN GROUP (ORDER BY i) FROM w;
SELECT percentile_cont(0) WITHIN GROUP (ORDER BY n), percentile_cont(1) WITHIN GROUP (ORDER BY n), percentile_cont(0.333) WITHIN GROUP (ORDER BY n), percentile_cont(0.9999) WITHIN GROUP (ORDER BY n) FROM w;
SELECT percentile_disc(0) WITHIN GROUP (ORDER BY n), percentile_disc(1) WITHIN GROUP (ORDER BY n), percentile_disc(0.333) WITHIN GROUP (ORDER BY n DESC), percentile_disc(0.01) WITHIN GROUP (ORDER BY n NULLS FIRST) FROM w;
SELECT percentile_cont(ARRAY[0.1, 0.9, NULL, 0.5, 0, 1]) WITHIN GROUP (ORDER BY i), percentile_disc(ARRAY[[0.1, 0.9], [NULL, 0.5]]) WITHIN GROUP (ORDER BY t), percentile_disc('{}'::float8[]) WITHIN GROUP (ORDER BY i) FROM w;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f), percentile_disc(0.5) WITHIN GROUP (ORDER BY f), mode() WITHIN GROUP (ORDER BY f DESC) FROM w;
SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY s), percentile_cont(ARRAY[0.25, 0.77]) WITHIN GROUP (ORDER BY s), percentile_disc(0.5) WITHIN GROUP (ORDER BY s) FROM w;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY d), mode() WITHIN GROUP (ORDER BY d), mode() WITHIN GROUP (ORDER BY d DESC), mode() WITHIN GROUP (ORDER BY t), mode() WITHIN GROUP (ORDER BY b), mode() WITHIN GROUP (ORDER BY a) FROM w;
SELECT percentile_disc(NULL::float8) WITHIN GROUP (ORDER BY d), percentile_cont(NULL::float8[]) WITHIN GROUP (ORDER BY i), percentile_cont(0.5) WITHIN GROUP (ORDER BY NULL::float8) FROM w;
SELECT g, percentile_cont(0.5) WITHIN GROUP (ORDER BY i), mode() WITHIN GROUP (ORDER BY n), count(*), sum(n) FROM w GROUP BY g ORDER BY g;
SELECT g, percentile_disc(0.5) WITHIN GROUP (ORDER BY i), percentile_disc(0.9) WITHIN GROUP (ORDER BY i), count(DISTINCT i), sum(i) FROM w GROUP BY g ORDER BY g;
SELECT g, percentile_disc(0.5) WITHIN GROUP (ORDER BY i), count(DISTINCT t), count(DISTINCT k), avg(n) FROM w GROUP BY g ORDER BY g;
SELECT g, b, percentile_cont(0.5) WITHIN GROUP (ORDER BY i), mode() WITHIN GROUP (ORDER BY t), grouping(g, b) FROM w GROUP BY CUBE (g, b) ORDER BY 1, 2, 5;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i) FILTER (WHERE b), percentile_cont(0.5) WITHIN GROUP (ORDER BY i) FILTER (WHERE NOT b), mode() WITHIN GROUP (ORDER BY t) FILTER (WHERE false), count(*) FROM w;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY 100 / i) FILTER (WHERE i <> 0), count(*) FILTER (WHERE i = 0) FROM w;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i), mode() WITHIN GROUP (ORDER BY i), count(*) FROM w WHERE k < 0;
SELECT g, mode() WITHIN GROUP (ORDER BY i) FROM w WHERE k < 0 GROUP BY g;
SELECT g, mode() WITHIN GROUP (ORDER BY i), count(DISTINCT t) FROM w WHERE k < 0 GROUP BY GROUPING SETS ((g), ());
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i) FROM w WHERE i IS NULL;
SELECT g, percentile_cont(0.5) WITHIN GROUP (ORDER BY i) p FROM w GROUP BY g HAVING mode() WITHIN GROUP (ORDER BY n) > 0 ORDER BY p DESC, g LIMIT 3;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY n) * 2, round(percentile_cont(0.1) WITHIN GROUP (ORDER BY n)::numeric, 5) FROM w;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY 5), mode() WITHIN GROUP (ORDER BY 'x'::text) FROM w;
SELECT percentile_cont(length(g) / 10.0) WITHIN GROUP (ORDER BY i), g FROM w GROUP BY g ORDER BY g;
SELECT k % 3, percentile_disc(ARRAY[0.2, 0.8]) WITHIN GROUP (ORDER BY n), array_agg(DISTINCT i ORDER BY i), rank(5) WITHIN GROUP (ORDER BY i) FROM w GROUP BY 1 ORDER BY 1;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY k), mode() WITHIN GROUP (ORDER BY k) FROM w;
SELECT a.g, percentile_cont(0.5) WITHIN GROUP (ORDER BY a.i + b.i) FROM w a JOIN w b USING (k) GROUP BY a.g ORDER BY 1;
SELECT max(p) FROM (SELECT g, percentile_cont(0.5) WITHIN GROUP (ORDER BY i) p FROM w GROUP BY g) s;
SELECT g, p, rank() OVER (ORDER BY p, g) FROM (SELECT g, percentile_cont(0.5) WITHIN GROUP (ORDER BY i) p FROM w GROUP BY g) s ORDER BY g;
PREPARE p(float8) AS SELECT g, percentile_cont($1) WITHIN GROUP (ORDER BY i), percentile_disc($1) WITHIN GROUP (ORDER BY n) FROM w GROUP BY g ORDER BY g;
EXECUTE p(0.5);
EXECUTE p(0.1);
EXECUTE p(NULL);
-- error
EXECUTE p(1.5);
-- error
SELECT percentile_cont(1.5) WITHIN GROUP (ORDER BY i) FROM w;
-- error
SELECT percentile_disc(ARRAY[0.5, -1]) WITHIN GROUP (ORDER BY i) FROM w;
-- error
SELECT percentile_cont('NaN') WITHIN GROUP (ORDER BY i) FROM w WHERE k < 0;
