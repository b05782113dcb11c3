// MikroORM: schema generator, update (must have nothing to do), migrations by its SQL, unit of work, upserts.
'use strict';
const { step, distributeSteps, schemaSql } = require('./common.js');
const { MikroORM, EntitySchema, PostgreSqlDriver, LockMode } = require('@mikro-orm/postgresql');

const Plan = new EntitySchema({ name: 'Plan', tableName: 'plans', properties: { id: { type: 'integer', primary: true, autoincrement: false }, name: { type: 'text' } } });
const Project = new EntitySchema({ name: 'Project', tableName: 'projects', properties: { tenant_id: { type: 'integer', primary: true, autoincrement: false }, id: { type: 'integer', primary: true, autoincrement: false },
  name: { type: 'string', length: 40, nullable: true }, settings: { type: 'json', nullable: true }, plan_id: { type: 'integer', nullable: true } } });
const taskOf = (more) => new EntitySchema({ name: 'Task', tableName: 'tasks', properties: { tenant_id: { type: 'integer', primary: true, autoincrement: false }, id: { type: 'integer', primary: true, autoincrement: false },
  project_id: { type: 'integer' }, title: { type: 'string', nullable: !more }, status: { type: 'string', default: 'open' }, size: { type: more ? 'bigint' : 'integer', default: 1, nullable: true },
  ...(more ? { urgent: { type: 'boolean', default: false } } : {}) }, indexes: [{ name: 'tasks_status', properties: ['tenant_id', 'status'] }], uniques: more ? [{ name: 'tasks_title', properties: ['tenant_id', 'title'] }] : [] });
const connect = (more, schemaGenerator) => MikroORM.init({ driver: PostgreSqlDriver, entities: [Plan, Project, taskOf(more)], host: process.env.PGHOST, port: +process.env.PGPORT, user: 'postgres', password: 'x', dbName: process.env.PGDATABASE,
  schemaGenerator, allowGlobalContext: true, discovery: { warnWhenNoEntities: false } });
const ignoring = { ignoreSchema: ['cz', 'cz_partial', 'cz_shards'] };

(async () => {
  let orm = await connect(false, ignoring);
  await step('createSchema', async () => { await orm.schema.createSchema(); });
  const run = (sql) => orm.em.getConnection().execute(sql);
  await step('foreign key', async () => { await run('ALTER TABLE tasks ADD CONSTRAINT tasks_project FOREIGN KEY (tenant_id, project_id) REFERENCES projects ON DELETE CASCADE'); });
  await distributeSteps(run);
  await run('ALTER TABLE tasks DROP CONSTRAINT tasks_project').catch(() => {});
  await step('update schema has nothing to do', async () => (await orm.schema.getUpdateSchemaSQL()).trim());
  await step('without ignoreSchema', async () => { const other = await connect(false, {}); try { return (await other.schema.getUpdateSchemaSQL()).split('\n').filter((l) => /^drop/.test(l)).length; } finally { await other.close(); } });
  await orm.close();
  orm = await connect(true, ignoring);
  const sql = (await orm.schema.getUpdateSchemaSQL()).split(';').map((s) => s.trim()).filter(Boolean);
  for (const s of sql) await step('update: ' + s.slice(0, 90), async () => { await orm.em.getConnection().execute(s); });
  await step('insert', async () => {
    const em = orm.em.fork();
    em.create('Plan', { id: 1, name: 'free' });
    em.create('Project', { tenant_id: 1, id: 1, name: 'a', settings: { x: 1 }, plan_id: 1 });
    for (const i of [1, 2, 3]) em.create('Task', { tenant_id: 1, id: i, project_id: 1, title: 't' + i });
    await em.flush();
    return em.count('Task');
  });
  await step('unit of work', async () => { const em = orm.em.fork(); const t = await em.findOneOrFail('Task', { tenant_id: 1, id: 1 }); t.title = 'changed'; await em.flush(); return (await orm.em.fork().findOneOrFail('Task', { tenant_id: 1, id: 1 })).title; });
  await step('batch update', async () => { const em = orm.em.fork(); for (const t of await em.find('Task', { tenant_id: 1 })) t.size = t.id * 10; await em.flush(); return (await orm.em.fork().find('Task', {}, { orderBy: { id: 1 } })).map((t) => String(t.size)); });
  await step('upsert', async () => { const em = orm.em.fork(); await em.upsert('Task', { tenant_id: 1, id: 2, project_id: 1, title: 'up' }); return (await orm.em.fork().findOneOrFail('Task', { tenant_id: 1, id: 2 })).title; });
  await step('upsertMany', async () => { const em = orm.em.fork(); await em.upsertMany('Task', [3, 4].map((i) => ({ tenant_id: 1, id: i, project_id: 1, title: 'many' + i }))); return em.count('Task'); });
  await step('unique', () => orm.em.fork().insert('Task', { tenant_id: 1, id: 1, project_id: 1, title: 'x' }));
  await step('rollback', async () => { const em = orm.em.fork(); await em.transactional(async (t) => { await t.nativeDelete('Task', { tenant_id: 1 }); throw new Error('back'); }).catch((e) => { if (e.message !== 'back') throw e; }); return orm.em.fork().count('Task'); });
  await step('lock', () => orm.em.fork().transactional(async (em) => (await em.find('Task', { tenant_id: 1 }, { lockMode: LockMode.PESSIMISTIC_WRITE, orderBy: { id: 1 } })).map((t) => t.id)));
  await step('catalogs', () => orm.em.getConnection().execute(schemaSql));
  await step('dropSchema', async () => { await orm.schema.dropSchema(); });
  await orm.close();
})();
