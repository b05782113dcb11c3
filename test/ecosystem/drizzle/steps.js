// Drizzle ORM with drizzle-kit: push, push again, pull, migrations as SQL files, upserts.
'use strict';
const fs = require('fs');
const { execFileSync } = require('child_process');
const { step, distributeSteps, schemaSql } = require('./common.js');
const { drizzle } = require('drizzle-orm/node-postgres');
const { migrate } = require('drizzle-orm/node-postgres/migrator');
const { sql, eq, and, count } = require('drizzle-orm');
const { Pool } = require('pg');

const schemaFile = (more) => `
const { pgTable, integer, text, varchar, boolean, jsonb, primaryKey, foreignKey, index, unique } = require('drizzle-orm/pg-core');
exports.plans = pgTable('plans', { id: integer().primaryKey(), name: text().notNull() });
exports.projects = pgTable('projects', { tenantId: integer('tenant_id').notNull(), id: integer().notNull(), name: varchar({ length: 40 }), settings: jsonb(), planId: integer('plan_id').references(() => exports.plans.id) },
  (t) => [primaryKey({ columns: [t.tenantId, t.id] })]);
exports.tasks = pgTable('tasks', { tenantId: integer('tenant_id').notNull(), id: integer().notNull(), projectId: integer('project_id').notNull(), title: text()${more ? '.notNull()' : ''}, size: integer().default(1)${more ? ", urgent: boolean().notNull().default(false)" : ''} },
  (t) => [primaryKey({ columns: [t.tenantId, t.id] }), index('tasks_project').on(t.tenantId, t.projectId)${more ? ", unique('tasks_title').on(t.tenantId, t.title)" : ''},
    foreignKey({ columns: [t.tenantId, t.projectId], foreignColumns: [exports.projects.tenantId, exports.projects.id], name: 'tasks_project_fk' }).onDelete('cascade')]);
`;
const config = (extra) => `module.exports = { dialect: 'postgresql', schema: './schema.js', out: './drizzle', dbCredentials: { url: process.env.DATABASE_URL, ssl: false }${extra} };`;
function kit(...args) {
  try {
    const out = execFileSync(process.execPath, ['node_modules/drizzle-kit/bin.cjs', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120000 });
    // it ends well whatever happens
    if (/\berror: /.test(out)) throw Object.assign(new Error(), { stdout: out });
    return out;
  } catch (e) {
    const text = ((e.stderr || '') + (e.stdout || '')).replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');
    const error = new Error((text.match(/(error: .*|Error:? .*)/) || [text.slice(-300)])[0]);
    error.code = (text.match(/code: '([0-9A-Z]{5})'/) || [])[1];
    throw error;
  }
}

(async () => {
  for (const d of ['drizzle', 'pulled']) fs.rmSync(d, { recursive: true, force: true });
  fs.writeFileSync('schema.js', schemaFile(false));
  fs.writeFileSync('drizzle.config.js', config(''));
  const pool = new Pool();
  await step('push', async () => { kit('push', '--force'); });
  await distributeSteps((s) => pool.query(s));
  await step('push again', async () => { kit('push', '--force'); });
  await step('pull', async () => {
    fs.writeFileSync('pull.config.js', config('').replace('./drizzle', './pulled'));
    kit('pull', '--config=pull.config.js');
    return [...fs.readFileSync('pulled/schema.ts', 'utf8').matchAll(/pgTable\("([a-z_]+)"/g)].map((m) => m[1]).sort();
  });
  await step('generate and migrate', async () => {
    kit('generate', '--name=first');
    fs.writeFileSync('schema.js', schemaFile(true));
    kit('generate', '--name=second');
    // the first one is what push has done
    const journal = JSON.parse(fs.readFileSync('drizzle/meta/_journal.json'));
    fs.writeFileSync('drizzle/' + journal.entries[0].tag + '.sql', 'SELECT 1;');
    await migrate(drizzle(pool), { migrationsFolder: './drizzle' });
  });
  for (const s of ['ALTER TABLE tasks ALTER COLUMN title SET NOT NULL', 'ALTER TABLE tasks ADD COLUMN IF NOT EXISTS urgent boolean DEFAULT false NOT NULL', 'ALTER TABLE tasks ADD CONSTRAINT tasks_title UNIQUE (tenant_id, title)']) {
    await pool.query(s).catch(() => {});
  }
  const schema = require('./schema.js');
  const db = drizzle(pool, { schema });
  const { plans, projects, tasks } = schema;
  await step('insert', async () => {
    await db.insert(plans).values({ id: 1, name: 'free' });
    await db.insert(projects).values({ tenantId: 1, id: 1, name: 'a', settings: { x: [1] }, planId: 1 });
    return db.insert(tasks).values([1, 2].map((i) => ({ tenantId: 1, id: i, projectId: 1, title: 't' + i }))).returning({ id: tasks.id });
  });
  await step('foreign key', () => db.insert(tasks).values({ tenantId: 1, id: 9, projectId: 9, title: 'x' }));
  await step('upsert', () => db.insert(tasks).values({ tenantId: 1, id: 1, projectId: 1, title: 'up' }).onConflictDoUpdate({ target: [tasks.tenantId, tasks.id], set: { title: 'upserted', size: sql`tasks.size + 1` } }).returning());
  await step('ignore', () => db.insert(tasks).values({ tenantId: 1, id: 1, projectId: 1, title: 'no' }).onConflictDoNothing().returning());
  await step('rollback', async () => {
    await db.transaction(async (tx) => { await tx.delete(tasks); tx.rollback(); }).catch((e) => { if (!/Rollback/.test(e.message)) throw e; });
    return db.select({ n: count() }).from(tasks);
  });
  await step('nested transaction', () => db.transaction(async (tx) => {
    await tx.update(tasks).set({ size: 5 }).where(and(eq(tasks.tenantId, 1), eq(tasks.id, 2)));
    await tx.transaction(async (inner) => { await inner.insert(tasks).values({ tenantId: 1, id: 2, projectId: 1, title: 'dup' }); }).catch(() => {});
    return tx.select().from(tasks).where(eq(tasks.tenantId, 1)).orderBy(tasks.id).for('update');
  }));
  await step('relational query', () => db.query.tasks.findMany({ orderBy: (t, { asc }) => asc(t.id), columns: { id: true, title: true }, limit: 5 }));
  await step('cascade', async () => { await db.delete(projects).where(eq(projects.tenantId, 1)); return db.select({ n: count() }).from(tasks); });
  await step('catalogs', async () => (await pool.query(schemaSql)).rows);
  await pool.end();
})();
