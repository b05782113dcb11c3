-- COPY ... ON_ERROR ignore: what it says of rows that are left out, and how many may be.
-- from: 18
CREATE TABLE t (k int PRIMARY KEY, v int, d date, CHECK (v < 100));
CREATE TABLE r (k int, v int);
SELECT create_distributed_table('t', 'k');
SELECT create_reference_table('r');
-- notices
COPY t FROM STDIN (ON_ERROR ignore);
1	1	2024-01-01
x	1	2024-01-01
2	y	2024-01-01
3	3	z
4	4	2024-01-04
\.
-- notices
COPY t FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 1, LOG_VERBOSITY verbose);
10	1	2024-01-01
11	u	2024-01-01
12	12	2024-01-01
\.
-- notices
COPY t FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 2, LOG_VERBOSITY silent);
13	1	2024-01-01
11	u	2024-01-01
12	12	v
\.
-- error
COPY t FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 1);
20	1	2024-01-01
x	1	2024-01-01
21	u	2024-01-01
22	12	2024-01-01
\.
-- error
COPY t FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 3);
30	1	2024-01-01
x	1	2024-01-01
31	100	2024-01-01
\.
-- error
COPY r FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 1);
1	1
a	1
b	1
\.
-- notices
COPY r FROM STDIN (ON_ERROR ignore) WHERE v < 5;
1	1
a	1
2	7
\.
SELECT * FROM t ORDER BY 1;
SELECT * FROM r ORDER BY 1;
