// Knex: migrations by its migrator (one batch each), rollback, upserts, transactions, introspection.
'use strict';
const { cluster, step, distributeSql, rescueDistribute, schemaSql } = require('./common.js');
const knex = require('knex')({ client: 'pg', connection: { host: process.env.PGHOST, port: +process.env.PGPORT, user: 'postgres', database: process.env.PGDATABASE } });

const migrations = {
  '1_create': {
    async up(k) {
      await k.schema.createTable('plans', (t) => { t.integer('id').primary(); t.string('name').notNullable(); });
      await k.schema.createTable('projects', (t) => {
        t.uuid('tenant_id').notNullable(); t.bigIncrements('id', { primaryKey: false }); t.string('name').notNullable();
        t.integer('plan_id').references('plans.id'); t.jsonb('settings').defaultTo('{}'); t.timestamps(true, true); t.primary(['tenant_id', 'id']);
      });
      await k.schema.createTable('tasks', (t) => {
        t.uuid('tenant_id').notNullable(); t.integer('id').notNullable(); t.bigInteger('project_id').notNullable(); t.string('title', 100).notNullable();
        t.enu('status', ['open', 'done']).notNullable().defaultTo('open'); t.integer('size'); t.primary(['tenant_id', 'id']);
        t.foreign(['tenant_id', 'project_id']).references(['tenant_id', 'id']).inTable('projects').onDelete('CASCADE');
      });
    },
    async down(k) { await k.schema.dropTable('tasks'); await k.schema.dropTable('projects'); await k.schema.dropTable('plans'); },
  },
  '2_distribute': { async up(k) { for (const sql of distributeSql()) await k.raw(sql); }, async down() {} },
  '3_alter': {
    async up(k) {
      await k.schema.alterTable('tasks', (t) => { t.text('notes'); t.boolean('urgent').notNullable().defaultTo(false); t.bigInteger('size').alter(); });
      await k.schema.alterTable('tasks', (t) => { t.setNullable('title'); t.index(['tenant_id', 'status'], 'tasks_status'); });
    },
    async down(k) { await k.schema.alterTable('tasks', (t) => { t.dropIndex([], 'tasks_status'); t.dropNullable('title'); t.integer('size').alter(); t.dropColumn('urgent'); t.dropColumn('notes'); }); },
  },
  '4_rename': {
    async up(k) { await k.schema.alterTable('tasks', (t) => { t.renameColumn('notes', 'body'); t.unique(['tenant_id', 'title']); }); await k.schema.alterTable('tasks', (t) => { t.check('size > 0', {}, 'tasks_size_positive'); }); },
    async down(k) { await k.schema.alterTable('tasks', (t) => { t.dropChecks('tasks_size_positive'); t.dropUnique(['tenant_id', 'title']); t.renameColumn('body', 'notes'); }); },
  },
  '5_more': {
    async up(k) {
      await k.schema.alterTable('tasks', (t) => { t.integer('plan_id').references('plans.id').onDelete('SET NULL'); });
      await k.schema.alterTable('projects', (t) => { t.dropForeign(['plan_id']); });
      await k.schema.renameTable('plans', 'plans_old'); await k.schema.renameTable('plans_old', 'plans');
    },
    async down(k) { await k.schema.alterTable('projects', (t) => { t.foreign('plan_id').references('plans.id'); }); await k.schema.alterTable('tasks', (t) => { t.dropColumn('plan_id'); }); },
  },
};
const source = { getMigrations: async () => Object.keys(migrations), getMigrationName: (m) => m, getMigration: async (m) => migrations[m] };
const config = { migrationSource: source };
const T1 = '11111111-1111-1111-1111-111111111111';
const T2 = '22222222-2222-2222-2222-222222222222';

(async () => {
  for (const name of Object.keys(migrations)) {
    if (!(await step('migration ' + name, async () => { await knex.migrate.up(config); }))) {
      if (name === '2_distribute') await rescueDistribute((sql) => knex.raw(sql));
      else if (cluster) await step('without a transaction ' + name, async () => { await migrations[name].up(knex); });
      await knex('knex_migrations').insert({ name, batch: 9, migration_time: new Date() });
    }
  }
  await step('insert', async () => {
    await knex('plans').insert([{ id: 1, name: 'free' }, { id: 2, name: 'paid' }]);
    await knex('projects').insert([{ tenant_id: T1, id: 1, name: 'a', plan_id: 1 }, { tenant_id: T2, id: 1, name: 'b', plan_id: 2 }]);
    return knex('tasks').insert([1, 2, 3].map((i) => ({ tenant_id: T1, id: i, project_id: 1, title: 't' + i, size: i }))).returning(['id', 'title', 'status']);
  });
  await step('foreign key', () => knex('tasks').insert({ tenant_id: T1, id: 9, project_id: 99, title: 'x' }));
  await step('reference key', () => knex('tasks').insert({ tenant_id: T1, id: 9, project_id: 1, title: 'y', plan_id: 99 }));
  await step('check', () => knex('tasks').insert({ tenant_id: T1, id: 9, project_id: 1, title: 'z', size: -1 }));
  await step('unique', () => knex('tasks').insert({ tenant_id: T1, id: 9, project_id: 1, title: 't1', size: 1 }));
  await step('upsert merge', () => knex('tasks').insert({ tenant_id: T1, id: 1, project_id: 1, title: 'merged', size: 5 }).onConflict(['tenant_id', 'id']).merge().returning(['title', 'size']));
  await step('upsert merge some', () => knex('tasks').insert({ tenant_id: T1, id: 2, project_id: 1, title: 'not', size: 7 }).onConflict(['tenant_id', 'id']).merge(['size']).returning(['title', 'size']));
  await step('upsert ignore', () => knex('tasks').insert({ tenant_id: T1, id: 2, project_id: 1, title: 'not', size: 8 }).onConflict(['tenant_id', 'id']).ignore().returning('*'));
  await step('rollback', async () => {
    await knex.transaction(async (trx) => { await trx('tasks').where({ tenant_id: T1 }).del(); throw new Error('back'); }).catch((e) => { if (e.message !== 'back') throw e; });
    return knex('tasks').count('* as n');
  });
  await step('savepoint', async () => knex.transaction(async (trx) => {
    await trx('tasks').where({ tenant_id: T1, id: 3 }).update({ size: 30 });
    await trx.transaction(async (inner) => { await inner('tasks').insert({ tenant_id: T1, id: 3, project_id: 1, title: 'dup' }); }).catch(() => {});
    return trx('tasks').where({ tenant_id: T1, id: 3 }).forUpdate().select('size', 'title');
  }));
  await step('join', () => knex('tasks').join('projects', { 'tasks.project_id': 'projects.id', 'tasks.tenant_id': 'projects.tenant_id' }).leftJoin('plans', 'plans.id', 'projects.plan_id')
    .groupBy('plans.name').select('plans.name').count('* as n').orderBy('plans.name'));
  await step('cascade', async () => { await knex('projects').where({ tenant_id: T1, id: 1 }).del(); return knex('tasks').count('* as n'); });
  await step('hasTable', async () => [await knex.schema.hasTable('tasks'), await knex.schema.hasColumn('tasks', 'urgent')]);
  await step('columnInfo', async () => { const info = await knex('tasks').columnInfo(); return Object.keys(info).sort().map((c) => [c, info[c].type, info[c].nullable]); });
  await step('catalogs', async () => (await knex.raw(schemaSql)).rows);
  for (const name of Object.keys(migrations).reverse()) await step('down ' + name, async () => { await knex.migrate.down(config); });
  await step('nothing is left', async () => (await knex.raw("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname !~ 'knex' ORDER BY 1")).rows);
  await knex.destroy();
})();
