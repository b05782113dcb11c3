// Kysely: its migrator, its schema builder, upserts, introspection.
'use strict';
const { step, distributeSql, rescueDistribute, schemaSql } = require('./common.js');
const { Kysely, PostgresDialect, Migrator, sql } = require('kysely');
const { Pool } = require('pg');
const db = new Kysely({ dialect: new PostgresDialect({ pool: new Pool() }) });

const migrations = {
  m1_create: {
    async up(k) {
      await k.schema.createTable('plans').addColumn('id', 'integer', (c) => c.primaryKey()).addColumn('name', 'text', (c) => c.notNull()).execute();
      await k.schema.createTable('projects').addColumn('tenant_id', 'integer', (c) => c.notNull()).addColumn('id', 'integer', (c) => c.notNull()).addColumn('name', 'varchar(40)')
        .addColumn('plan_id', 'integer', (c) => c.references('plans.id').onDelete('set null')).addPrimaryKeyConstraint('projects_pk', ['tenant_id', 'id']).execute();
      await k.schema.createTable('tasks').addColumn('tenant_id', 'integer', (c) => c.notNull()).addColumn('id', 'integer', (c) => c.notNull()).addColumn('project_id', 'integer', (c) => c.notNull())
        .addColumn('title', 'text').addColumn('size', 'integer', (c) => c.defaultTo(1).check(sql`size > 0`)).addPrimaryKeyConstraint('tasks_pk', ['tenant_id', 'id'])
        .addForeignKeyConstraint('tasks_project', ['tenant_id', 'project_id'], 'projects', ['tenant_id', 'id'], (f) => f.onDelete('cascade')).execute();
    },
    async down(k) { for (const t of ['tasks', 'projects', 'plans']) await k.schema.dropTable(t).execute(); },
  },
  m2_distribute: { async up(k) { for (const s of distributeSql()) await sql.raw(s).execute(k); }, async down() {} },
  m3_alter: {
    async up(k) {
      await k.schema.alterTable('tasks').addColumn('done', 'boolean', (c) => c.notNull().defaultTo(false)).execute();
      await k.schema.alterTable('tasks').alterColumn('title', (c) => c.setNotNull()).execute();
      await k.schema.alterTable('tasks').alterColumn('size', (c) => c.setDataType('bigint')).execute();
      await k.schema.createIndex('tasks_done').on('tasks').columns(['tenant_id', 'done']).execute();
    },
    async down(k) {
      await k.schema.dropIndex('tasks_done').execute(); await k.schema.alterTable('tasks').alterColumn('size', (c) => c.setDataType('integer')).execute();
      await k.schema.alterTable('tasks').alterColumn('title', (c) => c.dropNotNull()).execute(); await k.schema.alterTable('tasks').dropColumn('done').execute();
    },
  },
  m4_rename: {
    async up(k) {
      await k.schema.alterTable('tasks').renameColumn('title', 'name').execute();
      await k.schema.alterTable('tasks').addUniqueConstraint('tasks_name', ['tenant_id', 'name']).execute();
      await k.schema.alterTable('tasks').renameTo('todo').execute();
    },
    async down(k) {
      await k.schema.alterTable('todo').renameTo('tasks').execute(); await k.schema.alterTable('tasks').dropConstraint('tasks_name').execute();
      await k.schema.alterTable('tasks').renameColumn('name', 'title').execute();
    },
  },
  m5_more: {
    async up(k) {
      await k.schema.alterTable('todo').addColumn('plan_id', 'integer', (c) => c.references('plans.id')).execute();
      await k.schema.alterTable('todo').addCheckConstraint('todo_name_filled', sql`name <> ''`).execute();
      await k.schema.alterTable('projects').dropConstraint('projects_plan_id_fkey').execute();
    },
    async down(k) { await k.schema.alterTable('todo').dropConstraint('todo_name_filled').execute(); await k.schema.alterTable('todo').dropColumn('plan_id').execute(); },
  },
};

(async () => {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  for (const name of Object.keys(migrations)) {
    const ok = await step('migration ' + name, async () => { const r = await migrator.migrateTo(name); if (r.error) throw r.error; });
    if (!ok) {
      if (name === 'm2_distribute') await rescueDistribute((s) => sql.raw(s).execute(db));
      else await step('without a transaction ' + name, () => migrations[name].up(db));
      await sql`INSERT INTO kysely_migration (name, timestamp) VALUES (${name}, 'x')`.execute(db).catch(() => {});
    }
  }
  const tasks = (await sql`SELECT to_regclass('todo') IS NOT NULL AS there`.execute(db)).rows[0].there ? 'todo' : 'tasks';
  const name = (await sql`SELECT 1 FROM pg_attribute WHERE attrelid = ${tasks}::regclass AND attname = 'name'`.execute(db)).rows.length ? 'name' : 'title';
  await step('insert', async () => {
    await db.insertInto('plans').values([{ id: 1, name: 'free' }]).execute();
    await db.insertInto('projects').values([{ tenant_id: 1, id: 1, name: 'a', plan_id: 1 }]).execute();
    return db.insertInto(tasks).values([1, 2].map((i) => ({ tenant_id: 1, id: i, project_id: 1, [name]: 't' + i }))).returning(['id', 'size']).execute();
  });
  await step('foreign key', () => db.insertInto(tasks).values({ tenant_id: 1, id: 9, project_id: 9, [name]: 'x' }).execute());
  await step('unique', () => db.insertInto(tasks).values({ tenant_id: 1, id: 9, project_id: 1, [name]: 't1' }).execute());
  await step('upsert', () => db.insertInto(tasks).values({ tenant_id: 1, id: 1, project_id: 1, [name]: 'up' }).onConflict((c) => c.columns(['tenant_id', 'id']).doUpdateSet({ [name]: 'upserted' })).returning([name + ' as n']).execute());
  await step('ignore', () => db.insertInto(tasks).values({ tenant_id: 1, id: 1, project_id: 1, [name]: 'no' }).onConflict((c) => c.doNothing()).returning(['id']).execute());
  await step('rollback', async () => {
    await db.transaction().execute(async (trx) => { await trx.deleteFrom(tasks).execute(); throw new Error('back'); }).catch((e) => { if (e.message !== 'back') throw e; });
    return db.selectFrom(tasks).select((e) => e.fn.countAll().as('n')).execute();
  });
  await step('update with from', () => db.updateTable(tasks).from('projects').set({ size: 7 }).whereRef('projects.id', '=', tasks + '.project_id').whereRef('projects.tenant_id', '=', tasks + '.tenant_id').where(tasks + '.tenant_id', '=', 1).executeTakeFirst().then((r) => r.numUpdatedRows));
  await step('cascade', async () => { await db.deleteFrom('projects').where('tenant_id', '=', 1).execute(); return db.selectFrom(tasks).select((e) => e.fn.countAll().as('n')).execute(); });
  await step('introspection: public', async () => (await db.introspection.getTables()).filter((t) => t.schema === 'public').map((t) => [t.name, t.isView, t.columns.map((c) => [c.name, c.dataType, c.isNullable, c.hasDefaultValue])]));
  await step('introspection: schemas', async () => [...new Set((await db.introspection.getTables()).map((t) => t.schema))].sort());
  await step('catalogs', async () => (await sql.raw(schemaSql).execute(db)).rows);
  for (const n of Object.keys(migrations).reverse()) await step('down ' + n, async () => { const r = await migrator.migrateDown(); if (r.error) throw r.error; });
  await db.destroy();
})();
