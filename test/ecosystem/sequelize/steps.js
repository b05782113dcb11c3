// Sequelize: QueryInterface migrations, models, sync twice, upserts, introspection.
'use strict';
const { step, distributeSteps, schemaSql } = require('./common.js');
const { Sequelize, DataTypes, QueryTypes } = require('sequelize');
const db = new Sequelize({ dialect: 'postgres', host: process.env.PGHOST, port: +process.env.PGPORT, username: 'postgres', password: 'x', database: process.env.PGDATABASE, logging: false });
const q = db.getQueryInterface();
const run = (sql) => db.query(sql).then((r) => r[0]);

const Plan = db.define('Plan', { id: { type: DataTypes.INTEGER, primaryKey: true }, name: { type: DataTypes.STRING, allowNull: false } }, { tableName: 'plans', timestamps: false });
const Project = db.define('Project', { tenant_id: { type: DataTypes.INTEGER, primaryKey: true }, id: { type: DataTypes.INTEGER, primaryKey: true }, name: DataTypes.STRING(40), settings: DataTypes.JSONB },
  { tableName: 'projects', underscored: true });
const Task = db.define('Task', { tenant_id: { type: DataTypes.INTEGER, primaryKey: true }, id: { type: DataTypes.INTEGER, primaryKey: true }, project_id: { type: DataTypes.INTEGER, allowNull: false }, title: DataTypes.STRING(100),
  status: { type: DataTypes.ENUM('open', 'done'), defaultValue: 'open' }, size: { type: DataTypes.INTEGER, defaultValue: 1 } },
  { tableName: 'tasks', timestamps: false, indexes: [{ name: 'tasks_status', fields: ['tenant_id', 'status'] }] });
const id = (x) => ({ tenant_id: 1, id: x });

(async () => {
  await step('sync', async () => { await db.sync(); });
  await step('foreign keys', async () => {
    await q.addColumn('projects', 'plan_id', { type: DataTypes.INTEGER, references: { model: 'plans', key: 'id' }, onDelete: 'SET NULL' });
    await q.addConstraint('tasks', { type: 'foreign key', name: 'tasks_project', fields: ['tenant_id', 'project_id'], references: { table: 'projects', fields: ['tenant_id', 'id'] }, onDelete: 'CASCADE' });
  });
  await distributeSteps(run);
  await step('sync again', async () => { await db.sync(); });
  await step('sync again, with the workaround of docs/ecosystem.md', async () => {
    const show = q.queryGenerator.showIndexesQuery;
    q.queryGenerator.showIndexesQuery = function (...args) { return show.apply(this, args).replace("t.relkind = 'r'", "t.relkind IN ('r', 'p')"); };
    try { await db.sync(); } finally { q.queryGenerator.showIndexesQuery = show; }
  });
  await step('sync alter', async () => { await db.sync({ alter: true }); });
  await step('addColumn', () => q.addColumn('tasks', 'notes', { type: DataTypes.TEXT }).then(() => undefined));
  await step('addColumn not null', () => q.addColumn('tasks', 'urgent', { type: DataTypes.BOOLEAN, allowNull: false, defaultValue: false }).then(() => undefined));
  await step('addColumn uuid', () => q.addColumn('tasks', 'token', { type: DataTypes.UUID, defaultValue: Sequelize.literal('gen_random_uuid()') }).then(() => undefined));
  await step('changeColumn type', () => q.changeColumn('tasks', 'size', { type: DataTypes.BIGINT }).then(() => undefined));
  await step('changeColumn not null', () => q.changeColumn('tasks', 'title', { type: DataTypes.STRING(200), allowNull: false }).then(() => undefined));
  await step('renameColumn', () => q.renameColumn('tasks', 'notes', 'body').then(() => undefined));
  await step('addConstraint unique', () => q.addConstraint('tasks', { type: 'unique', name: 'tasks_title', fields: ['tenant_id', 'title'] }).then(() => undefined));
  await step('addConstraint check', () => q.addConstraint('tasks', { type: 'check', name: 'tasks_size', fields: ['size'], where: { size: { [Sequelize.Op.gt]: 0 } } }).then(() => undefined));
  await step('addIndex', () => q.addIndex('tasks', ['tenant_id', 'urgent'], { name: 'tasks_urgent', where: { urgent: true } }).then(() => undefined));
  await step('addIndex concurrently', () => q.addIndex('tasks', ['size'], { name: 'tasks_size_idx', concurrently: true }).then(() => undefined));
  await step('removeIndex concurrently', () => q.removeIndex('tasks', 'tasks_size_idx', { concurrently: true }).then(() => undefined));
  await step('create', async () => {
    await Plan.bulkCreate([{ id: 1, name: 'free' }]);
    await Project.create({ ...id(1), name: 'a', settings: { x: 1 } });
    return (await Task.bulkCreate([1, 2, 3].map((i) => ({ ...id(i), project_id: 1, title: 't' + i })))).length;
  });
  await step('foreign key', () => Task.create({ ...id(9), project_id: 9, title: 'x' }));
  await step('unique', async () => { try { await Task.create({ ...id(1), project_id: 1, title: 'x' }); } catch (e) { return [e.name, Object.keys(e.fields || {}).sort(), (e.parent || {}).constraint]; } return 'none'; });
  await step('upsert', async () => { await Task.upsert({ ...id(1), project_id: 1, title: 'up' }); return (await Task.findOne({ where: id(1) })).title; });
  await step('bulk updateOnDuplicate', async () => { await Task.bulkCreate([{ ...id(2), project_id: 1, title: 'two' }], { updateOnDuplicate: ['title'] }); return (await Task.findOne({ where: id(2) })).title; });
  await step('bulk ignoreDuplicates', async () => { await Task.bulkCreate([{ ...id(2), project_id: 1, title: 'no' }], { ignoreDuplicates: true }); return (await Task.findOne({ where: id(2) })).title; });
  await step('findOrCreate', async () => (await Task.findOrCreate({ where: id(4), defaults: { project_id: 1, title: 'four' } }))[1]);
  await step('save', async () => { const t = await Task.findOne({ where: id(3) }); t.title = 'saved'; await t.save(); await t.increment('size', { by: 2 }); await t.reload(); return [t.title, String(t.size)]; });
  await step('rollback', async () => {
    await db.transaction(async (transaction) => { await Task.destroy({ where: { tenant_id: 1 }, transaction }); throw new Error('back'); }).catch((e) => { if (e.message !== 'back') throw e; });
    return Task.count();
  });
  for (const level of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
    await step('transaction ' + level, () => db.transaction({ isolationLevel: level }, async (transaction) => (await Task.findAll({ where: { tenant_id: 1 }, order: ['id'], lock: transaction.LOCK.UPDATE, transaction })).map((t) => t.id)));
  }
  await step('showAllTables', async () => (await q.showAllTables()).map((t) => t.tableName || t).filter((t) => /^(plans|projects|tasks)$/.test(t)).sort());
  await step('describeTable', async () => { const d = await q.describeTable('tasks'); return Object.keys(d).sort().map((c) => [c, d[c].type, d[c].allowNull, d[c].primaryKey]); });
  await step('showIndex', async () => (await q.showIndex('tasks')).map((i) => [i.name, i.unique, i.fields.map((f) => f.attribute)]).sort());
  await step('showConstraint', async () => (await q.showConstraint('tasks')).map((c) => [c.constraintName, c.constraintType]).filter((c) => !/_not_null$/.test(c[0])).sort());
  await step('references', async () => (await q.getForeignKeyReferencesForTable('tasks')).map((r) => [r.constraintName, r.columnName, r.referencedTableName]).sort());
  await step('catalogs', () => db.query(schemaSql, { type: QueryTypes.SELECT }));
  await step('removeConstraint', () => q.removeConstraint('tasks', 'tasks_title').then(() => undefined));
  await step('removeColumn', () => q.removeColumn('tasks', 'body').then(() => undefined));
  await step('renameTable', () => q.renameTable('tasks', 'todo').then(() => undefined));
  await step('drop all', async () => { await q.dropAllTables(); });
  await db.close();
})();
