// TypeORM: entities by EntitySchema, migrations by its QueryRunner, synchronize again, upserts, introspection.
'use strict';
require('reflect-metadata');
const { step, distributeSteps, schemaSql } = require('./common.js');
const { DataSource, EntitySchema, Table, TableColumn, TableForeignKey, TableIndex, TableUnique, TableCheck } = require('typeorm');

const Plan = new EntitySchema({ name: 'Plan', tableName: 'plans', columns: { id: { type: 'int', primary: true }, name: { type: 'text' } } });
const Project = new EntitySchema({ name: 'Project', tableName: 'projects', columns: { tenant_id: { type: 'int', primary: true }, id: { type: 'int', primary: true }, name: { type: 'varchar', length: 40, nullable: true }, version: { type: 'int', version: true } },
  relations: { plan: { type: 'many-to-one', target: 'Plan', nullable: true, joinColumn: { name: 'plan_id' } } } });
const Task = new EntitySchema({ name: 'Task', tableName: 'tasks', columns: { tenant_id: { type: 'int', primary: true }, id: { type: 'int', primary: true }, project_id: { type: 'int' }, title: { type: 'varchar', nullable: true },
  status: { type: 'enum', enum: ['open', 'done'], default: 'open' }, size: { type: 'int', default: 1 }, deleted: { type: 'timestamptz', deleteDate: true, nullable: true } },
  relations: { project: { type: 'many-to-one', target: 'Project', onDelete: 'CASCADE', joinColumn: [{ name: 'tenant_id', referencedColumnName: 'tenant_id' }, { name: 'project_id', referencedColumnName: 'id' }] } },
  indices: [{ name: 'tasks_status', columns: ['tenant_id', 'status'] }] });
const db = new DataSource({ type: 'postgres', host: process.env.PGHOST, port: +process.env.PGPORT, username: 'postgres', password: 'x', database: process.env.PGDATABASE, entities: [Plan, Project, Task], installExtensions: false });
const id = (x) => ({ tenant_id: 1, id: x });

(async () => {
  await db.initialize();
  await step('synchronize', async () => { await db.synchronize(); });
  await distributeSteps((s) => db.query(s));
  await step('what synchronize would do', async () => (await db.driver.createSchemaBuilder().log()).upQueries.map((x) => x.query));
  const r = db.createQueryRunner();
  await r.connect();
  const change = (name, fn) => step(name, async () => { await fn(); });
  await change('addColumn', () => r.addColumn('tasks', new TableColumn({ name: 'notes', type: 'text', isNullable: true })));
  await change('addColumn default', () => r.addColumn('tasks', new TableColumn({ name: 'urgent', type: 'boolean', default: false })));
  await change('addColumn uuid', () => r.addColumn('tasks', new TableColumn({ name: 'token', type: 'uuid', default: 'gen_random_uuid()' })));
  await change('changeColumn null', () => r.changeColumn('tasks', 'notes', new TableColumn({ name: 'notes', type: 'text', isNullable: false, default: "''" })));
  await change('changeColumn length', () => r.changeColumn('tasks', 'title', new TableColumn({ name: 'title', type: 'varchar', length: '100', isNullable: true })));
  await change('renameColumn', () => r.renameColumn('tasks', 'notes', 'body'));
  await change('createUniqueConstraint', () => r.createUniqueConstraint('tasks', new TableUnique({ name: 'tasks_title', columnNames: ['tenant_id', 'title'] })));
  await change('createCheckConstraint', () => r.createCheckConstraint('tasks', new TableCheck({ name: 'tasks_size', expression: 'size > 0' })));
  await change('createIndex', () => r.createIndex('tasks', new TableIndex({ name: 'tasks_urgent', columnNames: ['tenant_id', 'urgent'], where: 'urgent' })));
  await change('reference column', async () => { await r.addColumn('tasks', new TableColumn({ name: 'plan_id', type: 'int', isNullable: true })); await r.createForeignKey('tasks', new TableForeignKey({ name: 'tasks_plan', columnNames: ['plan_id'], referencedTableName: 'plans', referencedColumnNames: ['id'] })); });
  await change('enum changed', () => r.changeColumn('tasks', 'status', new TableColumn({ name: 'status', type: 'enum', enum: ['open', 'done', 'gone'], default: "'open'" })));
  await change('renameTable', async () => { await r.renameTable('tasks', 'todo'); await r.renameTable('todo', 'tasks'); });
  const tasks = db.getRepository('Task');
  await step('save', async () => {
    await db.getRepository('Plan').save({ id: 1, name: 'free' });
    await db.getRepository('Project').save({ ...id(1), name: 'a', plan: { id: 1 } });
    return (await tasks.save([1, 2, 3].map((i) => ({ ...id(i), project_id: 1, title: 't' + i })))).length;
  });
  await step('foreign key', () => tasks.insert({ ...id(9), project_id: 9 }));
  await step('unique', () => tasks.insert({ ...id(1), project_id: 1 }));
  await step('upsert', async () => { await tasks.upsert({ ...id(1), project_id: 1, title: 'up' }, ['tenant_id', 'id']); return (await tasks.findOneBy(id(1))).title; });
  await step('orUpdate', async () => { await tasks.createQueryBuilder().insert().values({ ...id(2), project_id: 1, title: 'two' }).orUpdate(['title'], ['tenant_id', 'id']).execute(); return (await tasks.findOneBy(id(2))).title; });
  await step('orIgnore', async () => { await tasks.createQueryBuilder().insert().values({ ...id(2), project_id: 1, title: 'no' }).orIgnore().execute(); return (await tasks.findOneBy(id(2))).title; });
  await step('relations', async () => (await tasks.find({ relations: { project: { plan: true } }, order: { id: 'ASC' } })).map((t) => [t.id, t.project.name, t.project.plan.name]));
  await step('optimistic version', async () => { const p = await db.getRepository('Project').findOneBy(id(1)); p.name = 'b'; await db.getRepository('Project').save(p); return p.version; });
  await step('soft delete', async () => { await tasks.softDelete(id(3)); const n = await tasks.count(); await tasks.restore(id(3)); return [n, await tasks.count()]; });
  await step('rollback', async () => {
    await db.transaction(async (m) => { await m.delete('Task', { tenant_id: 1 }); throw new Error('back'); }).catch((e) => { if (e.message !== 'back') throw e; });
    return tasks.count();
  });
  await step('lock', () => db.transaction(async (m) => (await m.getRepository('Task').find({ where: { tenant_id: 1 }, order: { id: 'ASC' }, lock: { mode: 'pessimistic_write' } })).map((t) => t.id)));
  await step('cascade', async () => { await db.getRepository('Project').delete(id(1)); return tasks.count({ withDeleted: true }); });
  await step('getTable', async () => {
    const t = await r.getTable('tasks');
    return [t.columns.map((c) => [c.name, c.type, c.isNullable, c.isPrimary, c.length]).sort(), t.indices.map((i) => [i.name, i.columnNames, i.isUnique]).sort(), t.uniques.map((u) => u.name).sort(), t.checks.map((c) => [c.name, c.expression]).sort(), t.foreignKeys.map((f) => [f.name, f.onDelete]).sort()];
  });
  await step('hasTable', async () => [await r.hasTable('tasks'), await r.hasColumn('tasks', 'body')]);
  await step('catalogs', () => db.query(schemaSql));
  await change('dropColumn', () => r.dropColumn('tasks', 'urgent'));
  await change('dropDatabase', () => db.dropDatabase());
  await r.release();
  await db.destroy();
})();
