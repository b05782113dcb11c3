"""Django: models, the schema editor's operations as its migrations run them, save(), update_or_create, inspectdb."""
import io
import os

import django
from django.conf import settings
from common import SCHEMA, distribute_steps, step

settings.configure(DATABASES={'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': os.environ['PGDATABASE'], 'HOST': os.environ['PGHOST'],
                                          'PORT': os.environ['PGPORT'], 'USER': 'postgres', 'PASSWORD': 'x'}},
                   INSTALLED_APPS=['django.contrib.contenttypes'], DEFAULT_AUTO_FIELD='django.db.models.BigAutoField', USE_TZ=True)
django.setup()
from django.core.management import call_command  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.db.models import F, Count, Q  # noqa: E402


class Plan(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()

    class Meta:
        app_label = 'app'
        db_table = 'plans'


class Project(models.Model):
    # one column is Django's key; the real one has the tenant, too
    id = models.BigIntegerField(primary_key=True)
    tenant_id = models.IntegerField()
    name = models.CharField(max_length=40)
    plan = models.ForeignKey(Plan, null=True, on_delete=models.SET_NULL)

    class Meta:
        app_label = 'app'
        db_table = 'projects'
        managed = False


class Task(models.Model):
    id = models.BigIntegerField(primary_key=True)
    tenant_id = models.IntegerField()
    project_id = models.BigIntegerField()
    title = models.CharField(max_length=100, null=True)
    status = models.CharField(max_length=10, default='open')
    size = models.IntegerField(default=1)

    class Meta:
        app_label = 'app'
        db_table = 'tasks'
        managed = False


def query(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def edit(change):
    """As a migration does it: in a transaction."""
    with connection.schema_editor() as editor:
        change(editor)


def field(model, made, name):
    made.set_attributes_from_name(name)
    made.model = model
    return made


def alter(old, new, name='title'):
    edit(lambda e: e.alter_field(Task, field(Task, old, name), field(Task, new, name)))


step('migrate contenttypes', lambda: call_command('migrate', verbosity=0))
step('create', lambda: edit(lambda e: e.create_model(Plan)))
query("""CREATE TABLE projects (tenant_id int NOT NULL, id bigint NOT NULL, name varchar(40) NOT NULL, plan_id int REFERENCES plans DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY (tenant_id, id));
CREATE TABLE tasks (tenant_id int NOT NULL, id bigint NOT NULL, project_id bigint NOT NULL, title varchar(100), status varchar(10) NOT NULL, size int NOT NULL, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)""")
distribute_steps(query)
step('add field', lambda: edit(lambda e: e.add_field(Task, field(Task, models.TextField(null=True), 'notes'))))
step('add field with default', lambda: edit(lambda e: e.add_field(Task, field(Task, models.BooleanField(default=False), 'urgent'))))
step('add foreign key', lambda: edit(lambda e: e.add_field(Task, field(Task, models.ForeignKey(Plan, null=True, on_delete=models.SET_NULL), 'plan'))))
step('not null', lambda: alter(models.CharField(max_length=100, null=True), models.CharField(max_length=100, default='')))
step('null', lambda: alter(models.CharField(max_length=100), models.CharField(max_length=100, null=True)))
step('longer', lambda: alter(models.CharField(max_length=100, null=True), models.CharField(max_length=200, null=True)))
step('type', lambda: alter(models.IntegerField(default=1), models.BigIntegerField(default=1), 'size'))
step('rename field', lambda: edit(lambda e: e.alter_field(Task, field(Task, models.TextField(null=True), 'notes'), field(Task, models.TextField(null=True), 'body'))))
step('add index', lambda: edit(lambda e: e.add_index(Task, models.Index(fields=['tenant_id', 'status'], name='tasks_status'))))
step('add constraint', lambda: edit(lambda e: e.add_constraint(Task, models.CheckConstraint(check=Q(size__gt=0), name='tasks_size'))))
step('add unique', lambda: edit(lambda e: e.add_constraint(Task, models.UniqueConstraint(fields=['tenant_id', 'title'], name='tasks_title'))))
step('rename index', lambda: query('ALTER INDEX tasks_status RENAME TO tasks_state'))
step('rename table', lambda: edit(lambda e: (e.alter_db_table(Task, 'tasks', 'todo'), e.alter_db_table(Task, 'todo', 'tasks'))))


def several():
    Plan.objects.create(id=1, name='free')
    Project.objects.create(tenant_id=1, id=1, name='a', plan_id=1)
    Task.objects.bulk_create([Task(tenant_id=1, id=i, project_id=1, title='t%d' % i) for i in range(1, 6)])
    return Task.objects.count()


def save():
    task = Task.objects.get(tenant_id=1, id=1)
    task.title = 'saved'
    task.save()
    return Task.objects.get(id=1).title


def back():
    try:
        with transaction.atomic():
            Task.objects.filter(tenant_id=1).delete()
            raise ValueError('back')
    except ValueError:
        return Task.objects.count()


def savepoint():
    with transaction.atomic():
        Task.objects.filter(tenant_id=1, id=2).update(size=F('size') + 1)
        try:
            with transaction.atomic():
                query("INSERT INTO tasks (tenant_id, id, project_id, status, size) VALUES (1, 1, 1, 'x', 1)")
        except django.db.IntegrityError:
            pass
        return list(Task.objects.select_for_update().filter(tenant_id=1, id=2).values_list('size', 'title'))


def inspect():
    out = io.StringIO()
    call_command('inspectdb', stdout=out)
    text = out.getvalue()
    return sorted(line.strip() for line in text.splitlines() if 'db_table' in line or ' = models.' in line)


step('bulk_create', several)
step('foreign key', lambda: query("INSERT INTO tasks (tenant_id, id, project_id, status, size) VALUES (1, 9, 9, 'x', 1)"))
step('save', save)
step('update_or_create', lambda: Task.objects.update_or_create(tenant_id=1, id=2, defaults={'title': 'two', 'project_id': 1})[1])
step('get_or_create', lambda: Task.objects.get_or_create(tenant_id=1, id=7, defaults={'project_id': 1})[1])
step('ignore_conflicts', lambda: len(Task.objects.bulk_create([Task(tenant_id=1, id=1, project_id=1, title='no')], ignore_conflicts=True)))
step('bulk_update', lambda: Task.objects.bulk_update([Task(id=i, tenant_id=1, size=i) for i in (3, 4)], ['size']))
step('rollback', back)
step('savepoint', savepoint)
step('aggregate', lambda: list(Task.objects.values('status').annotate(n=Count('id')).order_by('status').values_list('status', 'n')))
step('related', lambda: [p.plan.name for p in Project.objects.select_related('plan')])
step('delete', lambda: Task.objects.get(id=5).delete()[0])
step('cascade', lambda: (query('DELETE FROM projects WHERE tenant_id = 1'), query('SELECT count(*) FROM tasks'))[1])
step('introspection', lambda: sorted(t for t in connection.introspection.table_names() if t in ('plans', 'projects', 'tasks')))


def constraints():
    with connection.cursor() as cursor:
        return sorted((n, c['columns'], c['primary_key'], c['unique'], c['foreign_key'], c['check'], c['index'])
                      for n, c in connection.introspection.get_constraints(cursor, 'tasks').items())


step('get_constraints', constraints)
step('inspectdb', inspect)
step('catalogs', lambda: query(SCHEMA))
step('remove constraint', lambda: edit(lambda e: e.remove_constraint(Task, models.CheckConstraint(check=Q(size__gt=0), name='tasks_size'))))
step('remove field', lambda: edit(lambda e: e.remove_field(Task, field(Task, models.BooleanField(default=False), 'urgent'))))
step('drop', lambda: query('DROP TABLE tasks, projects, plans'))
