// node-pg by itself: hand-written migrations, each in a transaction, and what its users do.
'use strict';
const { step, distributeSql, rescueDistribute, schemaSql } = require('./common.js');
const { Client, Pool } = require('pg');

const migrations = [
  ['create', `CREATE TABLE plans (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE projects (tenant_id int, id bigserial, name text NOT NULL, plan_id int REFERENCES plans, tags text[] DEFAULT '{}', PRIMARY KEY (tenant_id, id));
    CREATE TABLE tasks (tenant_id int, id int, project_id bigint NOT NULL, title text, status text NOT NULL DEFAULT 'open', PRIMARY KEY (tenant_id, id),
      FOREIGN KEY (tenant_id, project_id) REFERENCES projects ON DELETE CASCADE);`],
  ['distribute', distributeSql().join(';')],
  ['add columns', 'ALTER TABLE tasks ADD COLUMN size int DEFAULT 1 CHECK (size > 0), ADD COLUMN at timestamptz DEFAULT now(); CREATE INDEX tasks_status ON tasks (tenant_id, status)'],
  ['volatile default', 'ALTER TABLE tasks ADD COLUMN token uuid DEFAULT gen_random_uuid(), ADD COLUMN n serial'],
  ['type', 'ALTER TABLE tasks ALTER size TYPE bigint, ALTER title TYPE varchar(100) USING left(title, 100)'],
  ['not null', 'ALTER TABLE tasks ALTER title SET NOT NULL; ALTER TABLE tasks ALTER status DROP NOT NULL; ALTER TABLE tasks ALTER status SET DEFAULT \'new\''],
  ['rename', 'ALTER TABLE tasks RENAME title TO name; ALTER TABLE tasks RENAME TO todo; ALTER INDEX tasks_status RENAME TO todo_status'],
  ['constraints', 'ALTER TABLE todo ADD CONSTRAINT todo_name UNIQUE (tenant_id, name), ADD CONSTRAINT todo_check CHECK (name <> \'\') NOT VALID; ALTER TABLE todo VALIDATE CONSTRAINT todo_check'],
  ['reference column', 'ALTER TABLE todo ADD COLUMN plan_id int REFERENCES plans ON DELETE SET NULL'],
  ['drop', 'ALTER TABLE todo DROP CONSTRAINT todo_check; ALTER TABLE todo DROP COLUMN at; ALTER TABLE projects DROP CONSTRAINT projects_plan_id_fkey'],
  ['identity', 'ALTER TABLE projects ADD COLUMN seq int GENERATED ALWAYS AS IDENTITY; ALTER TABLE projects ADD COLUMN upper text GENERATED ALWAYS AS (upper(name)) STORED'],
  ['policy', 'ALTER TABLE todo ENABLE ROW LEVEL SECURITY; CREATE POLICY todo_tenant ON todo USING (tenant_id = current_setting(\'app.tenant\', true)::int)'],
  ['options', 'ALTER TABLE todo SET (fillfactor = 80); ALTER TABLE todo ALTER name SET STATISTICS 500; COMMENT ON TABLE todo IS \'things\''],
  ['trigger', "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status := 'touched'; RETURN NEW; END $$; CREATE TRIGGER touch BEFORE UPDATE ON todo FOR EACH ROW EXECUTE FUNCTION touch()"],
];

(async () => {
  const db = new Client();
  await db.connect();
  const rows = async (sql, args) => (await db.query(sql, args)).rows;
  for (const [name, sql] of migrations) {
    const ok = await step('migration ' + name, async () => {
      await db.query('BEGIN');
      try { await db.query(sql || 'SELECT 1'); await db.query('COMMIT'); } catch (e) { await db.query('ROLLBACK'); throw e; }
    });
    if (!ok && name === 'distribute') await rescueDistribute((s) => db.query(s));
  }
  await step('index concurrently', () => db.query('CREATE INDEX CONCURRENTLY todo_size ON todo (size)').then(() => undefined));
  await step('drop index concurrently', () => db.query('DROP INDEX CONCURRENTLY todo_size').then(() => undefined));
  await step('unique index concurrently', () => db.query('CREATE UNIQUE INDEX CONCURRENTLY todo_u ON todo (tenant_id, project_id, id)').then(() => undefined));
  const table = (await rows("SELECT to_regclass('todo') IS NOT NULL AS there"))[0].there ? 'todo' : 'tasks';
  const title = (await rows('SELECT 1 FROM pg_attribute WHERE attrelid = $1::regclass AND attname = \'name\'', [table])).length ? 'name' : 'title';
  await step('insert', async () => {
    await db.query("INSERT INTO plans VALUES (1, 'free'), (2, 'paid')");
    await db.query("INSERT INTO projects (tenant_id, id, name, plan_id) VALUES (1, 1, 'a', 1), (2, 2, 'b', 2)");
    return rows(`INSERT INTO ${table} (tenant_id, id, project_id, ${title}) SELECT 1, i, 1, 't' || i FROM generate_series(1, 5) i RETURNING id`);
  });
  for (const [name, sql] of [
    ['no project', `INSERT INTO ${table} (tenant_id, id, project_id, ${title}) VALUES (1, 77, 99, 'x')`], ['no plan', `INSERT INTO ${table} (tenant_id, id, project_id, ${title}, plan_id) VALUES (1, 78, 1, 'y', 99)`],
    ['a second name', `INSERT INTO ${table} (tenant_id, id, project_id, ${title}) VALUES (1, 79, 1, 't1')`], ['null', `INSERT INTO ${table} (tenant_id, id, project_id, ${title}) VALUES (1, 80, 1, NULL)`],
    ['check', `INSERT INTO ${table} (tenant_id, id, project_id, ${title}, size) VALUES (1, 81, 1, 'z', -1)`], ['plan in use', 'DELETE FROM plans WHERE id = 1']]) {
    await step('error ' + name, async () => {
      try { await db.query(sql); } catch (e) { return [e.code, e.schema, e.table, e.column, e.constraint, String(e.detail).replace(/[-0-9a-f]{36}, \d+/, 'ID')]; }
      return 'none';
    });
  }
  await step('upsert', () => rows(`INSERT INTO ${table} (tenant_id, id, project_id, ${title}) VALUES ($1, $2, 1, $3) ON CONFLICT (tenant_id, id) DO UPDATE SET ${title} = EXCLUDED.${title} RETURNING id, ${title} AS name`, [1, 5, 'five']));
  await step('upsert do nothing', () => rows(`INSERT INTO ${table} (tenant_id, id, project_id, ${title}) VALUES (1, 5, 1, 'no') ON CONFLICT DO NOTHING RETURNING id`));
  await step('rollback', async () => {
    await db.query('BEGIN'); await db.query(`DELETE FROM ${table}`); await db.query(`ALTER TABLE ${table} ADD COLUMN gone int`); await db.query('ROLLBACK');
    return rows(`SELECT count(*) FROM ${table}`);
  });
  await step('prepared', async () => { const out = []; for (let i = 0; i < 7; i++) out.push((await rows({ name: 'q', text: `SELECT ${title} AS name FROM ${table} WHERE tenant_id = $1 AND id = $2`, values: [1, i % 5 + 1] }))[0].name); return out; });
  await step('parallel', async () => {
    const pool = new Pool({ max: 5 });
    try { await Promise.all([...Array(20).keys()].map((i) => pool.query('INSERT INTO projects (tenant_id, id, name) VALUES ($1, $2, $3)', [i, 100 + i, 'p' + i]))); } finally { await pool.end(); }
    return rows('SELECT count(*), sum(tenant_id) FROM projects WHERE id >= 100');
  });
  await step('cascade', async () => { await db.query('DELETE FROM projects WHERE tenant_id = 1 AND id = 1'); return rows(`SELECT count(*) FROM ${table}`); });
  await step('catalogs', () => rows(schemaSql));
  await step('drop all', () => db.query(`DROP TABLE ${table}, projects, plans`).then(() => undefined));
  await db.end();
})();
