"""SQLAlchemy with Alembic: revisions by its operations, autogenerate (must find nothing), the ORM, reflection, downgrade."""
import os

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from common import CLUSTER, SCHEMA, distribute_steps, step
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session, declarative_base, relationship

engine = sa.create_engine('postgresql+psycopg2://postgres:x@%s:%s/%s' % (os.environ['PGHOST'], os.environ['PGPORT'], os.environ['PGDATABASE']))
Base = declarative_base()


class Plan(Base):
    __tablename__ = 'plans'
    id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    name = sa.Column(sa.Text, nullable=False)


class Project(Base):
    __tablename__ = 'projects'
    tenant_id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    name = sa.Column(sa.String(40))
    settings = sa.Column(JSONB)
    plan_id = sa.Column(sa.ForeignKey('plans.id'))
    tasks = relationship('Task', back_populates='project', order_by='Task.id')


class Task(Base):
    __tablename__ = 'tasks'
    tenant_id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    project_id = sa.Column(sa.Integer, nullable=False)
    title = sa.Column(sa.String(100))
    status = sa.Column(sa.Enum('open', 'done', name='task_status'), server_default='open')
    size = sa.Column(sa.Integer, server_default='1')
    project = relationship(Project, back_populates='tasks')
    __table_args__ = (sa.ForeignKeyConstraint(['tenant_id', 'project_id'], ['projects.tenant_id', 'projects.id'], name='tasks_project', ondelete='CASCADE'),
                      sa.Index('tasks_status', 'tenant_id', 'status'))


def query(sql):
    with engine.begin() as connection:
        result = connection.execute(sa.text(sql))
        return [list(row) for row in result] if result.returns_rows else None


def operate(*changes):
    with engine.begin() as connection:
        op = Operations(MigrationContext.configure(connection))
        for change in changes:
            change(op)


def differences():
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={'compare_type': True})
        return [str(d)[:200] for d in compare_metadata(context, Base.metadata)]


def all_schemas():
    ours = ('cz', 'cz_partial', 'cz_shards')
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={
            'include_schemas': True, 'include_name': lambda name, type_, parent: type_ != 'schema' or name not in ours})
        return [str(d)[:200] for d in compare_metadata(context, Base.metadata) if 'remove_table' in str(d)]


def concurrently():
    with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        Operations(MigrationContext.configure(connection)).create_index('tasks_size', 'tasks', ['size'], postgresql_concurrently=True)


step('create_all', lambda: Base.metadata.create_all(engine))
distribute_steps(query)
step('autogenerate finds nothing', differences)
step('autogenerate with include_schemas', all_schemas)
step('create_all again', lambda: Base.metadata.create_all(engine))
step('add_column', lambda: operate(lambda op: op.add_column('tasks', sa.Column('notes', sa.Text)), lambda op: op.add_column('tasks', sa.Column('urgent', sa.Boolean, nullable=False, server_default=sa.false()))))
step('add_column uuid', lambda: operate(lambda op: op.add_column('tasks', sa.Column('token', sa.dialects.postgresql.UUID, server_default=sa.text('gen_random_uuid()')))))
step('nullable', lambda: operate(lambda op: op.alter_column('tasks', 'title', nullable=False)))
step('type', lambda: operate(lambda op: op.alter_column('tasks', 'size', type_=sa.BigInteger)))
step('type using', lambda: operate(lambda op: op.alter_column('tasks', 'notes', type_=sa.String(50), postgresql_using='left(notes, 50)')))
step('server_default', lambda: operate(lambda op: op.alter_column('tasks', 'size', server_default='2')))
step('rename column', lambda: operate(lambda op: op.alter_column('tasks', 'notes', new_column_name='body')))
step('unique', lambda: operate(lambda op: op.create_unique_constraint('tasks_title', 'tasks', ['tenant_id', 'title'])))
step('check', lambda: operate(lambda op: op.create_check_constraint('tasks_size_check', 'tasks', 'size > 0')))
step('create_index', lambda: operate(lambda op: op.create_index('tasks_urgent', 'tasks', ['tenant_id', 'urgent'], postgresql_where=sa.text('urgent'))))
step('create_index concurrently', concurrently)
step('foreign key', lambda: operate(lambda op: op.add_column('tasks', sa.Column('plan_id', sa.Integer)), lambda op: op.create_foreign_key('tasks_plan', 'tasks', 'plans', ['plan_id'], ['id'])))
step('rename table', lambda: operate(lambda op: op.rename_table('tasks', 'todo'), lambda op: op.rename_table('todo', 'tasks')))
step('comment', lambda: operate(lambda op: op.create_table_comment('tasks', 'things to do')))


def graph():
    with Session(engine) as session:
        session.add(Plan(id=1, name='free'))
        session.flush()
        session.add(Project(tenant_id=1, id=1, name='a', plan_id=1, settings={'x': 1}, tasks=[Task(tenant_id=1, id=i, title='t%d' % i) for i in (1, 2, 3)]))
        session.commit()
        return [[t.id, t.status, t.size] for t in session.get(Project, (1, 1)).tasks]


def upsert(action):
    with Session(engine) as session:
        statement = insert(Task).values(tenant_id=1, id=1, project_id=1, title='up')
        statement = statement.on_conflict_do_nothing() if action == 'nothing' else statement.on_conflict_do_update(index_elements=['tenant_id', 'id'], set_={'title': statement.excluded.title + '!'})
        session.execute(statement)
        session.commit()
        return session.get(Task, (1, 1)).title


def unit_of_work():
    with Session(engine) as session:
        task = session.get(Task, (1, 2))
        task.title = 'changed'
        with session.begin_nested() as nested:
            session.delete(session.get(Task, (1, 3)))
            session.flush()
            nested.rollback()
        session.commit()
        return [[t.id, t.title] for t in session.query(Task).order_by(Task.id)]


def roll_back():
    with Session(engine) as session:
        session.query(Task).delete()
        session.rollback()
        return session.query(Task).count()


def lock():
    with Session(engine) as session:
        return [t.id for t in session.query(Task).filter_by(tenant_id=1).order_by(Task.id).with_for_update()]


def reflect():
    metadata = sa.MetaData()
    metadata.reflect(engine)
    inspector = sa.inspect(engine)
    return [sorted(t for t in metadata.tables if t in ('plans', 'projects', 'tasks')),
            sorted((c['name'], str(c['type']), c['nullable']) for c in inspector.get_columns('tasks')), inspector.get_pk_constraint('tasks')['constrained_columns'],
            sorted((f['name'], f['referred_table']) for f in inspector.get_foreign_keys('tasks')), sorted(i['name'] for i in inspector.get_indexes('tasks')),
            sorted(u['name'] for u in inspector.get_unique_constraints('tasks')), sorted(c['name'] for c in inspector.get_check_constraints('tasks')), inspector.get_table_comment('tasks')['text']]


step('ORM graph', graph)
step('foreign key error', lambda: query("INSERT INTO tasks (tenant_id, id, project_id, title) VALUES (1, 9, 9, 'x')"))
step('unique error', lambda: query("INSERT INTO tasks (tenant_id, id, project_id, title) VALUES (1, 8, 1, 't1')"))
step('on_conflict_do_update', lambda: upsert('update'))
step('on_conflict_do_nothing', lambda: upsert('nothing'))
step('unit of work, savepoint', unit_of_work)
step('rollback', roll_back)
step('lock', lock)
step('join', lambda: query('SELECT p.name, pl.name, count(*) FROM tasks t JOIN projects p ON (p.tenant_id, p.id) = (t.tenant_id, t.project_id) LEFT JOIN plans pl ON pl.id = p.plan_id GROUP BY 1, 2'))
step('reflection', reflect)
step('schemas', lambda: sorted(s for s in sa.inspect(engine).get_schema_names() if s != 'information_schema'))
step('catalogs', lambda: query(SCHEMA))
step('downgrade: constraints', lambda: operate(lambda op: op.drop_constraint('tasks_title', 'tasks'), lambda op: op.drop_constraint('tasks_size_check', 'tasks')))
step('downgrade: columns', lambda: operate(lambda op: op.drop_column('tasks', 'urgent'), lambda op: op.alter_column('tasks', 'size', type_=sa.Integer)))
step('cascade', lambda: (query('DELETE FROM projects WHERE tenant_id = 1'), query('SELECT count(*) FROM tasks'))[1])
step('drop_all', lambda: Base.metadata.drop_all(engine))
step('nothing is left', lambda: query("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'f') AND relnamespace IN ('public'::regnamespace%s)" % (", 'cz_shards'::regnamespace" if CLUSTER else '')))
