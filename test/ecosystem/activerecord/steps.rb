# ActiveRecord: migrations by its connection's methods (each in a transaction, as Rails does), models, upserts, schema dump.
require 'active_record'
require 'json'
require 'stringio'

CLUSTER = ENV['CLUSTER'] == '1'
ActiveRecord::Base.establish_connection(adapter: 'postgresql', host: ENV['PGHOST'], port: ENV['PGPORT'], username: 'postgres', password: 'x', database: ENV['PGDATABASE'])
ActiveRecord::Base.logger = nil
$c = ActiveRecord::Base.connection
DISTRIBUTE = {
  'plans' => "SELECT create_reference_table('plans')",
  'projects' => "SELECT create_distributed_table('projects', 'tenant_id')",
  'tasks' => "SELECT create_distributed_table('tasks', 'tenant_id', colocate_with => 'projects')",
}

def sqlstate(error)
  while error
    return error.result.error_field(PG::Result::PG_DIAG_SQLSTATE) if error.respond_to?(:result) && error.result
    error = error.cause
  end
end

def step(name)
  result = yield
  line = { step: name, ok: true }
  line[:result] = result unless result.nil?
  puts line.to_json
  true
rescue StandardError => e
  puts({ step: name, ok: false, sqlstate: sqlstate(e), error: e.message[0, 400] }.to_json)
  false
ensure
  $stdout.flush
end

def change(name)
  step(name) { ActiveRecord::Base.transaction { yield }; nil }
end

class Plan < ActiveRecord::Base; end
class Project < ActiveRecord::Base
  self.primary_key = 'id'
  belongs_to :plan, optional: true
  has_many :tasks, ->(p) { where(tenant_id: p.tenant_id) }
end
class Task < ActiveRecord::Base
  self.primary_key = 'id'
end

change('create') do
  $c.create_table(:plans, id: :integer, default: nil) { |t| t.text :name, null: false }
  $c.create_table(:projects, primary_key: %i[tenant_id id]) { |t| t.integer :tenant_id; t.bigint :id; t.string :name; t.jsonb :settings, default: {}; t.integer :plan_id; t.timestamps }
  $c.add_foreign_key :projects, :plans
  $c.create_table(:tasks, primary_key: %i[tenant_id id]) { |t| t.integer :tenant_id; t.bigint :id; t.bigint :project_id, null: false; t.string :title; t.string :status, default: 'open'; t.integer :size, default: 1 }
  $c.execute 'ALTER TABLE tasks ADD CONSTRAINT tasks_project FOREIGN KEY (tenant_id, project_id) REFERENCES projects ON DELETE CASCADE'
end
rescued = false
DISTRIBUTE.each do |table, sql|
  next if step("distribute #{table}") { $c.execute(sql) if CLUSTER && !rescued; nil }
  rescued = true
  $c.execute("DO $$DECLARE r record; BEGIN FOR r IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
    AND connamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.t, r.conname); END LOOP; END$$")
  DISTRIBUTE.each { |one, again| $c.execute("DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = '#{one}'::regclass) THEN PERFORM #{again.sub('SELECT ', '')}; END IF; END$$") }
end
change('add_column') { $c.add_column :tasks, :notes, :text; $c.add_column :tasks, :urgent, :boolean, null: false, default: false }
change('add_column uuid') { $c.add_column :tasks, :token, :uuid, default: 'gen_random_uuid()' }
change('change_column_null') { $c.change_column_null :tasks, :title, false, '' }
change('change_column') { $c.change_column :tasks, :size, :bigint }
change('change_column_default') { $c.change_column_default :tasks, :size, 2 }
change('rename_column') { $c.rename_column :tasks, :notes, :body }
change('add_index') { $c.add_index :tasks, %i[tenant_id status] }
change('add_index unique') { $c.add_index :tasks, %i[tenant_id title], unique: true, name: 'tasks_title' }
step('add_index concurrently') { $c.add_index :tasks, :size, algorithm: :concurrently; nil }
change('rename_index') { $c.rename_index :tasks, 'tasks_title', 'tasks_by_title' }
change('add_check_constraint') { $c.add_check_constraint :tasks, 'size > 0', name: 'tasks_size' }
change('add_reference') { $c.add_reference :tasks, :plan, type: :integer, foreign_key: true, index: false }
change('rename_table') { $c.rename_table :tasks, :todo; $c.rename_table :todo, :tasks }
change('change_table_comment') { $c.change_table_comment :tasks, 'things' }
[Plan, Project, Task].each(&:reset_column_information)
step('create rows') do
  Plan.create!(id: 1, name: 'free')
  Project.create!(tenant_id: 1, id: 1, name: 'a', plan_id: 1, settings: { x: 1 })
  (1..4).map { |i| Task.create!(tenant_id: 1, id: i, project_id: 1, title: "t#{i}").status }
end
step('foreign key') { Task.create!(tenant_id: 1, id: 9, project_id: 9, title: 'x'); nil }
step('not unique') { Task.create!(tenant_id: 1, id: 1, project_id: 1, title: 'y'); nil }
step('save') { t = Task.find_by!(tenant_id: 1, id: 1); t.update!(title: 'saved'); Task.find(1).title }
step('upsert_all') { Task.upsert_all([{ tenant_id: 1, id: 1, project_id: 1, title: 'up' }], unique_by: %i[tenant_id id]); Task.find(1).title }
step('insert_all') { Task.insert_all([{ tenant_id: 1, id: 1, project_id: 1, title: 'no' }]); Task.find(1).title }
step('rollback') { Task.transaction { Task.where(tenant_id: 1).delete_all; raise ActiveRecord::Rollback }; Task.count }
step('nested') { Task.transaction { Task.where(tenant_id: 1, id: 2).update_all('size = size + 1'); Task.transaction(requires_new: true) { Task.where(tenant_id: 1).delete_all; raise ActiveRecord::Rollback }; Task.lock.where(tenant_id: 1).order(:id).pluck(:id) } }
step('batches') { n = 0; Task.in_batches(of: 2) { |b| n += b.count }; n }
step('join') { Project.joins(:plan).joins('JOIN tasks ON tasks.tenant_id = projects.tenant_id AND tasks.project_id = projects.id').group('plans.name').count }
step('association') { Project.first.tasks.order(:id).pluck(:title) }
step('cascade') { Project.where(tenant_id: 1).delete_all; Task.count }
step('tables') { $c.tables.sort - %w[ar_internal_metadata schema_migrations] }
step('columns') { $c.columns('tasks').map { |c| [c.name, c.sql_type, c.null, c.default] }.sort_by(&:first) }
step('indexes') { $c.indexes('tasks').map { |i| [i.name, i.columns, i.unique, i.where] }.sort_by(&:first) }
step('primary_keys') { [$c.primary_keys('tasks'), $c.primary_keys('projects')] }
step('foreign_keys') { ($c.foreign_keys('tasks') + $c.foreign_keys('projects')).map { |f| [f.name, f.to_table] }.sort }
step('check_constraints') { $c.check_constraints('tasks').map { |x| [x.name, x.expression] }.sort }
step('schema dump') { out = StringIO.new; ActiveRecord::SchemaDumper.dump($c, out); out.string.lines.grep(/create_table|t\.|add_foreign_key|enable_extension/).map(&:strip) }
change('remove_check_constraint') { $c.remove_check_constraint :tasks, name: 'tasks_size' }
change('remove_column') { $c.remove_column :tasks, :urgent }
change('remove_index') { $c.remove_index :tasks, name: 'tasks_by_title' }
change('drop_table') { $c.drop_table :tasks; $c.drop_table :projects; $c.drop_table :plans }
