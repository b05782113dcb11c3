-- What tables of the fuzz test have besides from PostgreSQL 18 on.
ALTER TABLE ca ADD COLUMN vx int GENERATED ALWAYS AS (coalesce(x, 0) + 1);
ALTER TABLE ca ADD COLUMN vs text GENERATED ALWAYS AS (s || '!') VIRTUAL;
ALTER TABLE cb ADD COLUMN vx int GENERATED ALWAYS AS (x * 2);
ALTER TABLE od ADD COLUMN vx int GENERATED ALWAYS AS (coalesce(x, -1));
ALTER TABLE od ADD COLUMN vs text GENERATED ALWAYS AS (coalesce(s, 'none'));
ALTER TABLE rr ADD COLUMN vx int GENERATED ALWAYS AS (coalesce(x, 5));
ALTER TABLE lo ADD COLUMN vx int GENERATED ALWAYS AS (coalesce(x, 5));
ALTER TABLE up ADD COLUMN vx int GENERATED ALWAYS AS (coalesce(x, 5));
ALTER TABLE ut ADD COLUMN vx int GENERATED ALWAYS AS (coalesce(x, 5));
