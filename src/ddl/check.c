/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Statements that are refused on distributed tables, reference tables and
 *	  shards, before anything has happened.
 *
 * ALTER TABLE and CREATE INDEX have files of their own.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* DDL on a shard by its own name would make it differ from its table. */
static void
refuse_shard(const RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
	Oid			parent_relid;

	if (OidIsValid(relid) && !cz_enable_shard_ddl && CzIsShard(relid, &parent_relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a shard of table \"%s\"", get_rel_name(relid),
						get_rel_name(parent_relid)),
				 errhint("Run the statement on the table.")));
	parent_relid = OidIsValid(relid) && !cz_enable_shard_ddl ? CzRootOfMap(relid) : InvalidOid;
	if (OidIsValid(parent_relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is the map of the shards of table \"%s\"", get_rel_name(relid),
						get_rel_name(parent_relid)),
				 errhint("Run the statement on the table.")));
}

/* Options of a server that the extension sets. */
static bool
is_internal_option(const char *name)
{
	return strcmp(name, "node_id") == 0 || strcmp(name, "state") == 0 ||
		strcmp(name, "checked") == 0 || strcmp(name, "collation_differs") == 0 ||
		strcmp(name, "installed_extensions") == 0 || strcmp(name, "identity") == 0 ||
		strcmp(name, "partial_aggregates") == 0 || strcmp(name, "server_version") == 0 ||
		strcmp(name, "clone_of") == 0;
}

/*
 * They make a server a worker for all, so nobody but a superuser sets them, who
 * restores a dump.
 */
static void
check_internal_options(const char *server_name, List *options)
{
	ListCell   *lc;

	if (superuser())
		return;
	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);

		if (is_internal_option(def->defname))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be superuser to set option \"%s\" of server \"%s\"",
							def->defname, server_name),
					 errdetail("The extension sets it on its workers.")));
	}
}

static void
check_create_server(CreateForeignServerStmt *stmt)
{
	if (get_foreign_data_wrapper_oid(stmt->fdwname, true) == CzFdwOid())
		check_internal_options(stmt->servername, stmt->options);
}

/*
 * What the extension keeps in a worker's options is not for ALTER SERVER: a
 * worker that is taken into use again must first get what it has missed.
 */
static void
check_alter_server(AlterForeignServerStmt *stmt)
{
	Oid			server_oid = get_foreign_server_oid(stmt->servername, true);
	ListCell   *lc;

	if (!OidIsValid(server_oid) || GetForeignServer(server_oid)->fdwid != CzFdwOid())
		return;
	check_internal_options(stmt->servername, stmt->options);
	foreach(lc, cz_enable_shard_ddl ? NIL : stmt->options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);

		if (strcmp(def->defname, "state") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option \"state\" of node \"%s\" cannot be changed by ALTER SERVER",
							stmt->servername),
					 errhint("Use citus_disable_node() or citus_activate_node().")));
		if (is_internal_option(def->defname) && strcmp(def->defname, "node_id") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option \"%s\" of node \"%s\" cannot be changed",
							def->defname, stmt->servername)));
	}
}

void		(*cz_server_moved) (Oid server_oid) = NULL;

/*
 * CzAfterAlterServer
 *		A worker has another address: it must be the same one.
 */
void
CzAfterAlterServer(AlterForeignServerStmt *stmt)
{
	Oid			server_oid = get_foreign_server_oid(stmt->servername, true);
	ListCell   *lc;

	if (!OidIsValid(server_oid) || GetForeignServer(server_oid)->fdwid != CzFdwOid() ||
		cz_server_moved == NULL || !CzNodeGet(server_oid)->is_checked)
		return;
	foreach(lc, stmt->options)
	{
		const char *name = ((DefElem *) lfirst(lc))->defname;

		if (strcmp(name, "host") == 0 || strcmp(name, "hostaddr") == 0 ||
			strcmp(name, "port") == 0 || strcmp(name, "dbname") == 0)
		{
			CommandCounterIncrement();
			cz_server_moved(server_oid);
			break;
		}
	}
}

/* Shards would go with a server, without a word of the rows on them. */
static void
refuse_cascade(const char *name)
{
	Oid			server_oid = get_foreign_server_oid(name, true);
	ListCell   *lc;
	int			i;
	int			j;

	if (!OidIsValid(server_oid) || GetForeignServer(server_oid)->fdwid != CzFdwOid())
		return;
	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		for (i = 0; table != NULL && CzTableIsDistributed(table) && i < table->nshards; i++)
		{
			for (j = 0; j < table->shards[i].nall; j++)
			{
				if (table->shards[i].all_oids[j] == server_oid)
					ereport(ERROR,
							(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
							 errmsg("cannot drop server \"%s\" because shards are placed on it",
									name),
							 errdetail("One is of table \"%s\".", get_rel_name(table->relid)),
							 errhint("Use citus_remove_node(), or cz_lose_node() if the worker is lost.")));
			}
		}
	}
}

/* The worker's owner drops or renames it: what it has left to finish, it finishes
 * before. */
static void
forget_worker(const char *name)
{
	Oid			server_oid = get_foreign_server_oid(name, true);
	ForeignServer *server;

	if (!OidIsValid(server_oid))
		return;
	server = GetForeignServer(server_oid);
	if (server->fdwid == CzFdwOid() && has_privs_of_role(GetUserId(), server->owner))
		CzTxnForgetWorker(server_oid);
}

static void
check_rename(RenameStmt *stmt)
{
	switch (stmt->renameType)
	{
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_INDEX:
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
			refuse_shard(stmt->relation);
			break;
		case OBJECT_FOREIGN_SERVER:
			forget_worker(strVal(stmt->object));
			break;
		case OBJECT_TRIGGER:
			if (strncmp(stmt->subname, "!cz_", 4) == 0 && CzTableOfName(stmt->relation))
				CzRefuseDdl(CzTableOfName(stmt->relation), "renaming an internal trigger", NULL);
			break;
		default:
			break;
	}
}

static void
check_drop(DropStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->objects)
	{
		switch (stmt->removeType)
		{
			case OBJECT_TABLE:
			case OBJECT_FOREIGN_TABLE:
				refuse_shard(makeRangeVarFromNameList((List *) lfirst(lc)));
				break;
			case OBJECT_FOREIGN_SERVER:
				if (stmt->behavior == DROP_CASCADE)
					refuse_cascade(strVal(lfirst(lc)));
				forget_worker(strVal(lfirst(lc)));
				break;
			case OBJECT_TRIGGER:
				{
					List	   *names = list_copy((List *) lfirst(lc));
					char	   *trigger = strVal(llast(names));
					const CzTable *table;

					if (strncmp(trigger, "!cz_", 4) != 0)
						break;
					table = CzTableOfName(makeRangeVarFromNameList(list_truncate(names,
																				list_length(names) - 1)));
					if (table)
						CzRefuseDdl(table, "dropping an internal trigger",
									"Use undistribute_table().");
					break;
				}
			default:
				break;
		}
	}
}

static void
check_create(CreateStmt *stmt, bool is_foreign)
{
	ListCell   *lc;

	foreach(lc, stmt->inhRelations)
	{
		const CzTable *table = CzTableOfName((RangeVar *) lfirst(lc));

		if (table && stmt->partbound && OidIsValid(table->map_relid))
		{
			if (is_foreign)
				CzRefuseDdl(table, "a foreign table as a partition", NULL);
			continue;
		}
		if (table && stmt->partbound)
			CzRefuseDdl(table, "creating a partition",
						table->kind == CZ_TABLE_RANGE ? "Use cz_create_range_shard()." : NULL);
		if (table)
			CzRefuseDdl(table, "inheritance", NULL);
	}
}

static void
check_trigger(CreateTrigStmt *stmt)
{
	refuse_shard(stmt->relation);
	(void) CzLockTableOfName(stmt->relation, ShareRowExclusiveLock, false);
}

static void
check_grant(GrantStmt *stmt)
{
	ListCell   *lc;

	if (stmt->objtype == OBJECT_TABLE && stmt->targtype == ACL_TARGET_OBJECT)
	{
		foreach(lc, stmt->objects)
			refuse_shard((RangeVar *) lfirst(lc));
	}
	else if (stmt->targtype == ACL_TARGET_ALL_IN_SCHEMA && !cz_enable_shard_ddl)
	{
		foreach(lc, stmt->objects)
		{
			if (stmt->is_grant && strcmp(strVal(lfirst(lc)), CZ_SHARD_SCHEMA) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_WRONG_OBJECT_TYPE),
						 errmsg("cannot grant privileges on the shards in schema \"%s\"",
								CZ_SHARD_SCHEMA),
						 errhint("Grant them on the distributed tables.")));
		}
	}
}

static void
check_truncate(TruncateStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, cz_moment_relids == NIL ? NIL : stmt->relations)
		CzCheckMoment(RangeVarGetRelid((RangeVar *) lfirst(lc), NoLock, true));
}

/*
 * CzCheckStatement
 *		Raise why a utility statement may not be run, if it may not.
 */
void
CzCheckStatement(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_RenameStmt:
			check_rename((RenameStmt *) stmt);
			break;
		case T_DropStmt:
			check_drop((DropStmt *) stmt);
			break;
		case T_CreateForeignServerStmt:
			check_create_server((CreateForeignServerStmt *) stmt);
			break;
		case T_AlterForeignServerStmt:
			check_alter_server((AlterForeignServerStmt *) stmt);
			break;
		case T_CreateStmt:
			check_create((CreateStmt *) stmt, false);
			break;
		case T_CreateForeignTableStmt:
			check_create(&((CreateForeignTableStmt *) stmt)->base, true);
			break;
		case T_CreateTrigStmt:
			check_trigger((CreateTrigStmt *) stmt);
			break;
		case T_GrantStmt:
			check_grant((GrantStmt *) stmt);
			break;
		case T_AlterObjectSchemaStmt:
			refuse_shard(((AlterObjectSchemaStmt *) stmt)->relation);
			break;
		case T_ClusterStmt:
			refuse_shard(((ClusterStmt *) stmt)->relation);
			break;
		case T_ReindexStmt:
			refuse_shard(((ReindexStmt *) stmt)->relation);
			break;
		case T_IndexStmt:
			refuse_shard(((IndexStmt *) stmt)->relation);
			break;
		case T_AlterTableStmt:
			if (((AlterTableStmt *) stmt)->objtype != OBJECT_TYPE)
				refuse_shard(((AlterTableStmt *) stmt)->relation);
			break;
		case T_TruncateStmt:
			check_truncate((TruncateStmt *) stmt);
			break;
		case T_CopyStmt:
			if (cz_moment_relids != NIL && ((CopyStmt *) stmt)->relation)
				CzCheckMoment(RangeVarGetRelid(((CopyStmt *) stmt)->relation, NoLock, true));
			break;
		case T_RuleStmt:
			refuse_shard(((RuleStmt *) stmt)->relation);
			break;
		case T_CreatePolicyStmt:
			refuse_shard(((CreatePolicyStmt *) stmt)->table);
			break;
		default:
			break;
	}
}
