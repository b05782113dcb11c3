// What all programs of node tools share: steps, and plain SQL where a tool's own step has failed.
'use strict';
const cluster = process.env.CLUSTER === '1';

function say(line) { process.stdout.write(JSON.stringify(line, (k, v) => (typeof v === 'bigint' ? v.toString() : v)) + '\n'); }

function codeOf(e) {
  for (let x = e; x; x = x.parent || x.original || x.cause || x.driverError || x.previous) {
    if (typeof x.code === 'string' && /^[0-9A-Z]{5}$/.test(x.code)) return x.code;
    if (x.meta && x.meta.driverAdapterError && x.meta.driverAdapterError.cause) {
      const c = x.meta.driverAdapterError.cause;
      if (c.originalCode) return c.originalCode;
    }
  }
  return undefined;
}

// Run one step; its result is compared if it is not undefined.
async function step(name, run) {
  try {
    const result = await run();
    const line = { step: name, ok: true };
    if (result !== undefined) line.result = result;
    say(line);
    return true;
  } catch (e) {
    say({ step: name, ok: false, sqlstate: codeOf(e), error: String((e && e.message) || e).slice(0, 400) });
    return false;
  }
}

// Statements that distribute the schema; nothing on plain PostgreSQL.
const distribute = {
  plans: "SELECT create_reference_table('plans')",
  projects: "SELECT create_distributed_table('projects', 'tenant_id')",
  tasks: "SELECT create_distributed_table('tasks', 'tenant_id', colocate_with => 'projects')",
};
const distributeSql = () => (cluster ? [distribute.plans, distribute.projects, distribute.tasks] : []);

// Where a foreign key keeps a table from being distributed: without these keys, so that the steps that
// follow have distributed tables.  query: runs one statement.
async function rescueDistribute(query) {
  if (!cluster) return;
  await query(`DO $$DECLARE r record; BEGIN FOR r IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
    AND connamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.t, r.conname); END LOOP; END$$`);
  for (const [table, sql] of Object.entries(distribute)) {
    await query(`DO $$BEGIN IF to_regclass('${table}') IS NOT NULL AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = '${table}'::regclass) THEN PERFORM ${sql.replace('SELECT ', '')}; END IF; END$$`);
  }
}

// A step for each table; one that a key has kept from it is distributed without the key.
async function distributeSteps(query) {
  let rescued = false;
  for (const [table, sql] of Object.entries(distribute)) {
    const ok = await step('distribute ' + table, async () => { if (cluster && !rescued) await query(sql); });
    if (!ok) { await rescueDistribute(query); rescued = true; }
  }
}

// What the catalogs say of the schema's tables, in the end: alike on both sides.
const schemaSql = `
SELECT c.relname AS t, 'column ' || a.attname AS what, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') AS is
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname IN ('plans', 'projects', 'tasks', 'jobs', 'todo', 'todos')
UNION ALL
SELECT conrelid::regclass::text, 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace AND contype <> 't' AND conparentid = 0 AND conrelid::regclass::text IN ('plans', 'projects', 'tasks', 'jobs', 'todo', 'todos')
UNION ALL
SELECT tablename, 'index ' || indexname, replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes WHERE schemaname = 'public' AND tablename IN ('plans', 'projects', 'tasks', 'jobs', 'todo', 'todos')
 ORDER BY 1, 2`;

module.exports = { cluster, step, distribute, distributeSql, rescueDistribute, distributeSteps, schemaSql };
