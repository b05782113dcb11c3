"""What the programs of Python tools share: steps, and plain SQL where a tool's own step has failed."""
import json
import os

CLUSTER = os.environ.get('CLUSTER') == '1'
DISTRIBUTE = {
    'plans': "SELECT create_reference_table('plans')",
    'projects': "SELECT create_distributed_table('projects', 'tenant_id')",
    'tasks': "SELECT create_distributed_table('tasks', 'tenant_id', colocate_with => 'projects')",
}
SCHEMA = """
SELECT c.relname AS t, 'column ' || a.attname AS what, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') AS is
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname IN ('plans', 'projects', 'tasks', 'todo')
UNION ALL
SELECT conrelid::regclass::text, 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace AND contype <> 't' AND conparentid = 0 AND conrelid::regclass::text IN ('plans', 'projects', 'tasks', 'todo')
UNION ALL
SELECT tablename, 'index ' || indexname, replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes WHERE schemaname = 'public' AND tablename IN ('plans', 'projects', 'tasks', 'todo')
 ORDER BY 1, 2"""


def sqlstate(error):
    while error is not None:
        code = getattr(error, 'pgcode', None)
        if code:
            return code
        error = getattr(error, 'orig', None) or error.__cause__
    return None


def step(name, run):
    try:
        line = {'step': name, 'ok': True}
        result = run()
        if result is not None:
            line['result'] = result
        print(json.dumps(line, default=str), flush=True)
        return True
    except Exception as error:  # pylint: disable=broad-except
        print(json.dumps({'step': name, 'ok': False, 'sqlstate': sqlstate(error), 'error': str(error)[:400]}), flush=True)
        return False


def distribute_steps(query):
    """A step for each table; one that a key has kept from it is distributed without the key."""
    rescued = False
    for table, sql in DISTRIBUTE.items():
        if not step('distribute ' + table, lambda: (query(sql) if CLUSTER and not rescued else None) and None):
            rescued = True
            query("""DO $$DECLARE r record; BEGIN FOR r IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
                AND connamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.t, r.conname); END LOOP; END$$""")
            for one, again in DISTRIBUTE.items():
                query("DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = '%s'::regclass) THEN PERFORM %s; END IF; END$$"
                      % (one, again.replace('SELECT ', '')))
