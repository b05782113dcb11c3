// Prisma with its WASM engines and adapter-pg (its native engines are no part of the npm packages): db push, push again, migrations
// (migrate diff writes them, migrate deploy runs them), db pull, client.
'use strict';
const fs = require('fs');
const { execFileSync } = require('child_process');
const { step, distributeSteps, schemaSql } = require('./common.js');
const { Pool } = require('pg');
// nothing is looked for outside of the packages
const env = { ...process.env, PRISMA_QUERY_ENGINE_LIBRARY: '/bin/true', PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CI: '1' };

function prisma(...args) {
  try {
    return execFileSync(process.execPath, ['node_modules/prisma/build/index.js', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120000, env });
  } catch (e) {
    const text = String(e.stdout || '') + String(e.stderr || '');
    const error = new Error((text.match(/(Error: [^]*?)(\n +0:|$)/) || [, text])[1].slice(0, 300));
    error.code = (text.match(/(?:Database error code: |SqlState\(E|code: ")([0-9A-Z]{5})/) || [])[1];
    throw error;
  }
}
const models = (file) => [...file.matchAll(/^model (\w+)/gm)].map((m) => m[1]).sort();

(async () => {
  fs.rmSync('prisma/migrations', { recursive: true, force: true });
  const pool = new Pool();
  const schema = fs.readFileSync('prisma/schema.prisma', 'utf8');
  await step('generate', async () => { prisma('generate', '--no-hints'); });
  await step('db push', async () => { prisma('db', 'push', '--skip-generate'); });
  await distributeSteps((s) => pool.query(s));
  await step('db push again', async () => { prisma('db', 'push', '--skip-generate'); });
  await step('db pull', async () => models(prisma('db', 'pull', '--print')));
  // migrations: the first is what is there
  await step('migrate resolve', async () => {
    fs.mkdirSync('prisma/migrations/1_first', { recursive: true });
    fs.writeFileSync('prisma/migrations/migration_lock.toml', 'provider = "postgresql"\n');
    fs.writeFileSync('prisma/migrations/1_first/migration.sql', 'SELECT 1;\n');
    prisma('migrate', 'resolve', '--applied', '1_first');
  });
  const deploy = (name, sql) => step('migrate deploy: ' + name, async () => {
    const dir = 'prisma/migrations/' + name;
    fs.mkdirSync(dir, { recursive: true });
    fs.writeFileSync(dir + '/migration.sql', sql);
    try { prisma('migrate', 'deploy'); } catch (e) { fs.rmSync(dir, { recursive: true }); await pool.query('DELETE FROM _prisma_migrations WHERE migration_name = $1', [name]); throw e; }
  });
  await deploy('2_add', 'ALTER TABLE "tasks" ADD COLUMN "urgent" BOOLEAN NOT NULL DEFAULT false;\nCREATE INDEX "tasks_urgent" ON "tasks"("tenant_id", "urgent");');
  await deploy('3_type', 'ALTER TABLE "tasks" ALTER COLUMN "size" SET DATA TYPE BIGINT;');
  await deploy('4_not_null', 'ALTER TABLE "tasks" ALTER COLUMN "title" SET NOT NULL;');
  await deploy('5_unique', 'CREATE UNIQUE INDEX "tasks_title" ON "tasks"("tenant_id", "title");');
  await deploy('6_rename', 'ALTER TABLE "tasks" RENAME CONSTRAINT "tasks_pkey" TO "tasks_key";\nALTER INDEX "tasks_status" RENAME TO "tasks_state";');
  await deploy('7_default', 'ALTER TABLE "tasks" ALTER COLUMN "status" SET DEFAULT \'new\', ALTER COLUMN "size" DROP DEFAULT;');
  await deploy('8_back', 'ALTER TABLE "tasks" ALTER COLUMN "status" SET DEFAULT \'open\', ALTER COLUMN "size" SET DEFAULT 1;');
  const { PrismaClient } = require('@prisma/client');
  const { PrismaPg } = require('@prisma/adapter-pg');
  const db = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) });
  const key = (id) => ({ tenantId_id: { tenantId: 1, id } });
  await step('create nested', async () => {
    await db.plan.create({ data: { id: 1, name: 'free', projects: { create: { tenantId: 1, id: 1, name: 'a', settings: { x: 1 }, tasks: { create: [1, 2, 3].map((id) => ({ id, title: 't' + id })) } } } } });
    return db.task.count();
  });
  await step('foreign key', async () => { try { await db.task.create({ data: { tenantId: 1, id: 9, projectId: 9, title: 'x' } }); } catch (e) { return e.code; } return 'none'; });
  await step('unique', async () => { try { await db.task.create({ data: { tenantId: 1, id: 1, projectId: 1, title: 'y' } }); } catch (e) { return e.code; } return 'none'; });
  await step('upsert', async () => (await db.task.upsert({ where: key(1), create: { tenantId: 1, id: 1, projectId: 1, title: 'no' }, update: { title: 'up' } })).title);
  await step('upsert of a new one', async () => (await db.task.upsert({ where: key(4), create: { tenantId: 1, id: 4, projectId: 1, title: 'four' }, update: { title: 'no' } })).title);
  await step('createMany skipDuplicates', async () => (await db.task.createMany({ data: [{ tenantId: 1, id: 1, projectId: 1, title: 'no' }, { tenantId: 1, id: 5, projectId: 1, title: 'five' }], skipDuplicates: true })).count);
  await step('include', () => db.project.findMany({ include: { plan: true, tasks: { orderBy: { id: 'asc' }, select: { id: true, title: true } } } }));
  await step('interactive transaction', async () => {
    await db.$transaction(async (tx) => { await tx.task.deleteMany({}); throw new Error('back'); }).catch((e) => { if (e.message !== 'back') throw e; });
    return db.task.count();
  });
  await step('batch', () => db.$transaction([db.task.updateMany({ where: { tenantId: 1 }, data: { size: { increment: 1 } } }), db.task.aggregate({ _sum: { size: true } })]).then((r) => [r[0].count, r[1]._sum.size]));
  await step('groupBy', () => db.task.groupBy({ by: ['status'], _count: true, orderBy: { status: 'asc' } }));
  await step('cascade', async () => { await db.project.delete({ where: key(1) }); return db.task.count(); });
  await step('catalogs', async () => (await pool.query(schemaSql)).rows);
  fs.writeFileSync('prisma/schema.prisma', schema);
  await db.$disconnect();
  await pool.end();
})();
