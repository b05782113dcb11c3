/*-------------------------------------------------------------------------
 *
 * maintain.c
 *	  VACUUM and ANALYZE of distributed and reference tables.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pgstat_internal.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/fdw.h"
#include "cz/transaction.h"
#include "ddl_int.h"

/* The parenthesised options of a VACUUM or ANALYZE as they were given; core has not
 * looked at them yet. */
static char *
options_sql(const VacuumStmt *stmt, bool for_analyze)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, stmt->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		/* the workers' messages don't come here; and ANALYZE follows by itself */
		if (strcmp(def->defname, "verbose") == 0 || strcmp(def->defname, "analyze") == 0)
			continue;
		if (for_analyze && strcmp(def->defname, "skip_locked") != 0)
			continue;
		/* how much it takes, and statistics of the database: not what is done to the table */
		if (CzOldestMajor(NULL) < 16 && (strcmp(def->defname, "buffer_usage_limit") == 0 ||
										 strcmp(def->defname, "skip_database_stats") == 0))
			continue;
		if (strcmp(def->defname, "process_main") == 0)
			CzRequireMajor(16, "a VACUUM with PROCESS_MAIN");
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "(",
						 quote_identifier(def->defname));
		if (def->arg && (IsA(def->arg, Integer) || IsA(def->arg, Float)))
			appendStringInfo(&buf, " %s", defGetString(def));
		else if (def->arg)
			appendStringInfo(&buf, " %s", quote_literal_cstr(defGetString(def)));
	}
	if (buf.len > 0)
		appendStringInfoString(&buf, ") ");
	return buf.data;
}

/* The column list of a VACUUM or ANALYZE. */
static char *
columns_sql(const VacuumRelation *relation)
{
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, relation->va_cols)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : " (",
						 quote_identifier(strVal(lfirst(lc))));
	if (columns.len > 0)
		appendStringInfoChar(&columns, ')');
	return columns.data;
}

/* Core has told the statistics of no rows, as a partitioned table has none; what it has
 * found is in pg_class. */
static void
report_rows(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	float4		reltuples = -1;
	PgStat_EntryRef *entry;

	if (HeapTupleIsValid(tup))
	{
		reltuples = ((Form_pg_class) GETSTRUCT(tup))->reltuples;
		ReleaseSysCache(tup);
	}
	if (reltuples < 0 || !pgstat_track_counts)
		return;
	entry = pgstat_get_entry_ref_locked(PGSTAT_KIND_RELATION, MyDatabaseId, relid, false);
	if (entry == NULL)
		return;
	((PgStatShared_Relation *) entry->shared_stats)->stats.live_tuples_compat =
		(PgStat_Counter) reltuples;
	pgstat_unlock_entry(entry);
}

/* Core's rule for VACUUM and ANALYZE, which it has under other names in each major. */
static bool
may_maintain(Oid relid)
{
	return may_maintain_compat(relid) || database_ownercheck_compat(MyDatabaseId, GetUserId());
}

/*
 * ANALYZE of parents by core, with rows that come through the FDW, and of their
 * shards on the workers.
 */
static void
analyze_parents(const CzUtility *utility, VacuumStmt *stmt, List *relations)
{
	VacuumStmt *copy = copyObject(stmt);
	char	   *command = psprintf("ANALYZE %s", options_sql(stmt, true));
	CzStatistics *statistics = NULL;
	ListCell   *lc;

	copy->is_vacuumcmd = false;
	copy->rels = copyObject(relations);
	copy->options = NIL;
	foreach(lc, stmt->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		/* core complains about what ANALYZE does not know; the workers about VACUUM's */
		if (!stmt->is_vacuumcmd || strcmp(def->defname, "verbose") == 0 ||
			strcmp(def->defname, "skip_locked") == 0)
			copy->options = lappend(copy->options, def);
	}

	CzAnalyzeShardsForget();
	foreach(lc, copy->rels)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, lc);
		const CzTable *table = CzTableOfName(relation->relation);

		/* with its OID core does not add the partitions to the list */
		relation->oid = table->relid;

		/* several tables are a transaction each: nothing may outlive one */
		if (list_length(relations) == 1 && CZ_IMPORTS_STATISTICS_COMPAT && table->nshards == 1)
		{
			CzMaintainShards(table, command, columns_sql(relation), false, false);
			statistics = CzStatisticsFetch(table, relation->va_cols);
		}
		else if (list_length(relations) == 1)
			CzAnalyzeShardsLater(table, command, columns_sql(relation));
		else
			CzMaintainShards(table, command, columns_sql(relation), false, false);
	}
	CzAnalyzeRowsAreKnown(stmt->is_vacuumcmd);
	PG_TRY();
	{
		CzUtilityRun(utility, (Node *) copy);
		CzAnalyzeShardsFinish();
	}
	PG_CATCH();
	{
		CzAnalyzeShardsForget();
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (statistics != NULL)
		CzStatisticsStore(statistics);
	foreach(lc, copy->rels)
		report_rows(lfirst_node(VacuumRelation, lc)->oid);
}

/* As core says it, of a table and of its partitions. */
static void
warn_skipped(const CzTable *table, const char *verb, bool is_only)
{
	ListCell   *lc;

	foreach(lc, table->is_partitioned && !is_only ?
			find_all_inheritors(table->relid, NoLock, NULL) : list_make1_oid(table->relid))
	{
		if (!may_maintain(lfirst_oid(lc)))
			ereport(WARNING,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg_not_maintainer_compat(get_rel_name(lfirst_oid(lc)), verb)));
	}
}

/* Is it ONLY of the table (18)? */
static bool
names_only(const VacuumRelation *relation)
{
	return relation->relation != NULL && !relation->relation->inh;
}

/* ANALYZE of a root or a partition. */
static void
analyze_tree(const CzUtility *utility, const VacuumStmt *stmt, Oid relid, VacuumRelation *relation)
{
	bool		is_pushed = !ActiveSnapshotSet();
	bool		is_only = relation != NULL && names_only(relation);

	if (is_pushed)
		PushActiveSnapshot(GetTransactionSnapshot());
	/* an older worker analyzes the partitions, too */
	CzAnalyzeTree(utility, stmt, relid, relation ? relation->va_cols : NIL,
				  psprintf("ANALYZE %s%s", options_sql(stmt, true),
						   is_only && CzOldestMajor(NULL) >= 18 ? "ONLY " : ""),
				  relation ? columns_sql(relation) : "", stmt->is_vacuumcmd, is_only);
	report_rows(relid);
	if (is_pushed)
		PopActiveSnapshot();
}

/*
 * VACUUM or ANALYZE of the whole database: all shards of the tables that the user may
 * name; the parents, and what is not ours, are core's.
 *
 * Returns: roots, of which core finds no rows.
 */
static List *
maintain_database(const CzUtility *utility, VacuumStmt *stmt, bool with_analyze)
{
	List	   *roots = NIL;
	ListCell   *lc;

	/* before anything is done */
	if (stmt->is_vacuumcmd)
		PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL, "VACUUM");
	foreach(lc, CzTableList())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));

		if (table == NULL || !may_maintain(table->relid))
			continue;
		if (stmt->is_vacuumcmd)
			CzMaintainShards(table, psprintf("VACUUM %s", options_sql(stmt, false)), "", true,
							 true);
		if (with_analyze)
			CzMaintainShards(table, psprintf("ANALYZE %s", options_sql(stmt, true)), "", false,
							 true);
		if (with_analyze && OidIsValid(table->map_relid))
			roots = lappend_oid(roots, table->relid);
	}
	return roots;
}

/*
 * CzVacuum
 *		VACUUM and ANALYZE that name tables of ours: on the workers' shards, then
 *		core analyzes the parent with rows that it samples through the FDW.
 *
 * Returns: false if no table of ours is named.
 */
bool
CzVacuum(const CzUtility *utility, VacuumStmt *stmt)
{
	List	   *others = NIL;
	List	   *analyze = NIL;
	List	   *trees = NIL;
	List	   *roots;
	bool		is_ours = false;
	bool		with_analyze = !stmt->is_vacuumcmd;
	MemoryContext caller = CurrentMemoryContext;
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "analyze") == 0)
			with_analyze = defGetBoolean(def);
	}

	if (stmt->rels == NIL && OidIsValid(CzFdwOid()))
	{
		roots = maintain_database(utility, stmt, with_analyze);
		if (roots == NIL)
			return false;
		CzUtilityRun(utility, (Node *) stmt);
		/* that was several transactions */
		MemoryContextSwitchTo(caller);
		foreach(lc, roots)
		{
			if (CzTableGet(lfirst_oid(lc)) != NULL)
				analyze_tree(utility, stmt, lfirst_oid(lc), NULL);
		}
		return true;
	}
	foreach(lc, stmt->rels)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, lc);

		if (CzTableOfName(relation->relation))
			is_ours = true;
	}
	if (!is_ours)
		return false;
	if (stmt->is_vacuumcmd)
		PreventInTransactionBlock(utility->context == PROCESS_UTILITY_TOPLEVEL, "VACUUM");

	foreach(lc, stmt->rels)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, lc);
		const CzTable *table = CzTableOfName(relation->relation);

		if (table == NULL)
		{
			others = lappend(others, relation);
			continue;
		}
		if (!may_maintain(table->relid))
		{
			warn_skipped(table, stmt->is_vacuumcmd ? "vacuum" : "analyze", names_only(relation));
			continue;
		}
		if (stmt->is_vacuumcmd && table->is_partitioned && names_only(relation))
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("VACUUM ONLY of partitioned table \"%s\" has no effect",
							get_rel_name(table->relid))));
		else if (stmt->is_vacuumcmd)
			CzMaintainShards(table, psprintf("VACUUM %s", options_sql(stmt, false)), "", true,
							 false);
		if (table->kind == CZ_TABLE_REFERENCE)
		{
			if (with_analyze)
				CzMaintainShards(table, psprintf("ANALYZE %s", options_sql(stmt, true)),
								 columns_sql(relation), false, false);
			others = lappend(others, relation);
		}
		else if (with_analyze && OidIsValid(table->map_relid))
			trees = lappend(trees, relation);
		else if (with_analyze)
			analyze = lappend(analyze, relation);
	}

	foreach(lc, trees)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, lc);
		const CzTable *table = CzTableOfName(relation->relation);

		if (table != NULL)
			analyze_tree(utility, stmt, table->relid, relation);
	}
	if (analyze != NIL)
		analyze_parents(utility, stmt, analyze);
	if (others != NIL)
	{
		VacuumStmt *copy;
		bool		is_pushed;

		/* the first one has begun a new transaction and its memory context, which
		 * this one will end */
		MemoryContextSwitchTo(caller);
		copy = copyObject(stmt);
		copy->rels = others;
		is_pushed = !ActiveSnapshotSet();
		if (is_pushed)
			PushActiveSnapshot(GetTransactionSnapshot());
		CzUtilityRun(utility, (Node *) copy);
		/* gone with its transaction if there were several tables */
		if (is_pushed && ActiveSnapshotSet())
			PopActiveSnapshot();
	}
	return true;
}
