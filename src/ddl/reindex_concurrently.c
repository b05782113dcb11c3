/*-------------------------------------------------------------------------
 *
 * reindex_concurrently.c
 *	  REINDEX CONCURRENTLY of distributed and reference tables; how it works is told in
 *	  concurrently.c.
 *
 * A parent's index has no storage, so nothing is built again here, and one that is valid
 * stays so.  Should a worker fail the shards still have their old indexes, and beside some
 * the remains of the new one, which the next REINDEX drops.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "concurrently_int.h"

/* What the placements get. */
typedef struct Reindex
{
	List	   *defs;			/* CzIndexDef * of those that are built again */
	bool		is_index;		/* one was named, else all of the table */
	bool		is_mending;		/* it is invalid here: those that are good stay */
} Reindex;

static List *
index_commands(const CzPlacement *placement, const CzIndexDef *def, bool is_mending)
{
	char	   *name = CzShardIndexName(def->name, placement->shard->name_id);
	const CzRemoteIndex *index = CzRemoteIndexOf(placement, name);

	if (!is_mending && index != NULL && index->is_valid)
		return list_make1(psprintf("REINDEX INDEX CONCURRENTLY %s",
								   CzQualifiedName(placement->shard->remote_schema, name)));
	return CzMendCommands(placement, def, true);
}

static List *
reindex_commands(const CzPlacement *placement, void *arg)
{
	const Reindex *reindex = arg;
	List	   *commands = CzLeftoverCommands(placement);
	ListCell   *lc;

	foreach(lc, reindex->defs)
		commands = list_concat(commands,
							   index_commands(placement, lfirst(lc),
											  !reindex->is_index || reindex->is_mending));
	/* all that are there, and those of its TOAST table */
	if (!reindex->is_index)
		commands = lappend(commands, psprintf("REINDEX TABLE CONCURRENTLY %s",
											  placement->shard->remote_qualified));
	return commands;
}

/* One that the workers can't build in that way. */
static bool
is_exclusion(Oid index_oid)
{
	Relation	index = index_open(index_oid, AccessShareLock);
	bool		result = index->rd_index->indisexclusion;

	index_close(index, AccessShareLock);
	return result;
}

/* The definitions of a table's indexes; must_tell: of which are left out, as core does. */
static List *
table_indexes(Oid relid, bool must_tell)
{
	Relation	rel = relation_open(relid, NoLock);
	List	   *defs = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Oid			index_oid = lfirst_oid(lc);
		bool		is_valid = get_index_isvalid(index_oid);

		if (is_valid && !is_exclusion(index_oid))
			defs = lappend(defs, CzIndexDefGet(index_oid));
		else if (must_tell && !is_valid)
			ereport(WARNING,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg(REINDEX_SKIPS_COMPAT,
							get_namespace_name(get_rel_namespace(index_oid)),
							get_rel_name(index_oid)),
					 errhint_reindex_compat()));
		else if (must_tell)
			ereport(WARNING,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot reindex exclusion constraint index \"%s.%s\" concurrently, skipping",
							get_namespace_name(get_rel_namespace(index_oid)),
							get_rel_name(index_oid))));
	}
	relation_close(rel, NoLock);
	return defs;
}

/*
 * has_long_name
 *		Would core call the new indexes of two shards the same?  It puts _ccnew in place of
 *		the last letters, which are the shard's number, and two that look for a free name at
 *		the same time find the same one.
 */
static bool
has_long_name(Oid relid, List *defs)
{
	const CzTable *table = CzTableGet(relid);
	ListCell   *lc;
	int			i;

	foreach(lc, defs)
	{
		const CzIndexDef *def = lfirst(lc);

		for (i = 0; i < table->nshards; i++)
		{
			if (strlen(CzShardIndexName(def->name, table->shards[i].name_id)) +
				strlen("_ccnew") >= NAMEDATALEN)
				return true;
		}
	}
	return false;
}

/*
 * CzReindexConcurrently
 *		See ddl_int.h.
 */
void
CzReindexConcurrently(const CzUtility *utility, ReindexStmt *stmt, Oid relid, Oid index_oid)
{
	bool		is_reference = CzTableGet(relid)->kind == CZ_TABLE_REFERENCE;
	Oid			schema_oid = OidIsValid(index_oid) ? get_rel_namespace(index_oid) : InvalidOid;
	Reindex		reindex = {0};
	CzWork	   *work;
	char	   *name = NULL;

	reindex.is_index = OidIsValid(index_oid);
	reindex.is_mending = reindex.is_index && !get_index_isvalid(index_oid);
	if (!is_reference && reindex.is_index && is_exclusion(index_oid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("concurrent index creation for exclusion constraints is not supported")));
	/* before anything is done: are they all there? */
	(void) CzLookAtPlacements(CzTableGet(relid));
	work = CzWorkBegin(relid);
	if (reindex.is_index)
		name = MemoryContextStrdup(work->context, get_rel_name(index_oid));
	if (is_reference && stmt != NULL)
	{
		CzUtilityRun(utility, (Node *) stmt);
		/* it has another OID now, and is good, but here alone */
		if (reindex.is_index)
			index_oid = get_relname_relid(name, schema_oid);
		if (reindex.is_mending)
			CzSetIndexValidLate(index_oid, false);
	}
	if (reindex.is_index)
		CzWorkLockAlso(work, index_oid);
	CzNextTransaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	reindex.defs = reindex.is_index ? list_make1(CzIndexDefGet(index_oid)) :
		table_indexes(relid, !is_reference);
	PopActiveSnapshot();
	CzDebugPoint("reindex_begun");
	CzRunConcurrently(relid, reindex_commands, &reindex,
					  reindex.is_mending && ((CzIndexDef *) linitial(reindex.defs))->is_unique ?
					  CZ_ORDER_FIRST_FIRST : CZ_ORDER_ANY,
					  has_long_name(relid, reindex.defs));
	if (reindex.is_mending)
		CzSetIndexValidLate(index_oid, true);
	CzWorkEnd(work);
}
