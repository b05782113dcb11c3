/*-------------------------------------------------------------------------
 *
 * conflict.c
 *	  INSERT ... ON CONFLICT, as a statement for the shards.
 *
 * A conflict target contains the distribution column, as every unique index does, so
 * what conflicts is on one shard.  The rows are computed here, once, and each shard gets
 * its own in one command (the values of one row as parameters, several rows as a
 * shipment that is split by the key), which tells what it did: RETURNING above the leaf
 * is computed of that, and the other placements get the rows as the first one has left
 * them (stream_replicas.c).  One command a shard, and not one for each batch, because
 * of "cannot affect row a second time".
 *
 * The conditions of policies for rows that are inserted are computed with the rows; WITH
 * CHECK of views comes back as columns, as of an UPDATE; conflict_checks.c has the rest.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "cz/compat.h"
#include "cz/settings.h"

#include "../planner_int.h"

/* Numbers of range-table entries that no query has, while others change. */
#define RTI_TARGET 60001
#define RTI_EXCLUDED 60002
#define RTI_SYSTEM 60003

/* ---- the rows ------------------------------------------------------------- */

/* SELECT the values FROM what the INSERT reads, as a CTE's query of the INSERT. */
static Query *
source_query(Query *query, List *exprs)
{
	Query	   *source = copyObject(query);
	ListCell   *lc;

	source->commandType = CMD_SELECT;
	source->canSetTag = true;
	source->resultRelation = 0;
	cz_blank_rte(rt_fetch(query->resultRelation, source->rtable));
	if (query->onConflict != NULL && query->onConflict->exclRelIndex > 0)
		cz_blank_rte(rt_fetch(query->onConflict->exclRelIndex, source->rtable));
	source->onConflict = NULL;
	source->returningList = NIL;
	source->withCheckOptions = NIL;
	source->cteList = NIL;
	source->hasRecursive = source->hasModifyingCTE = false;
	cz_raise_ctes((Node *) source, 1);
	source->override = OVERRIDING_NOT_SET;
	source->targetList = NIL;
	foreach(lc, exprs)
	{
		int			n = foreach_current_index(lc) + 1;

		source->targetList = lappend(source->targetList,
									 makeTargetEntry(copyObject(lfirst(lc)), n,
													 psprintf("c%d", n), false));
	}
	return source;
}

/*
 * The same with columns behind that say whether a row passes the conditions of
 * policies; the options are taken out of *options into *checks.
 */
static Query *
checked_source(Query *query, Query *source, Relation rel, List *attnos, List **options,
			   List **checks)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Node	  **columns = palloc0(sizeof(Node *) * desc->natts);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *outer = makeNode(Query);
	List	   *names = NIL;
	List	   *rest = NIL;
	ListCell   *lc;
	int			i;

	*checks = NIL;
	foreach(lc, attnos)
	{
		Form_pg_attribute att = TupleDescAttr(desc, lfirst_int(lc) - 1);
		int			n = foreach_current_index(lc) + 1;
		Var		   *var = makeVar(1, n, att->atttypid, att->atttypmod, att->attcollation, 0);

		columns[att->attnum - 1] = (Node *) var;
		names = lappend(names, makeString(psprintf("c%d", n)));
		outer->targetList = lappend(outer->targetList,
									makeTargetEntry((Expr *) copyObject(var), n,
													psprintf("c%d", n), false));
	}
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (columns[i] == NULL && !att->attisdropped && !att->attgenerated)
			columns[i] = (Node *) makeNullConst(att->atttypid, att->atttypmod,
												att->attcollation);
	}
	foreach(lc, *options)
	{
		WithCheckOption *option = lfirst(lc);
		BooleanTest *test = makeNode(BooleanTest);
		Node	   *qual = option->qual;
		int			n = list_length(outer->targetList) + 1;

		if (option->kind != WCO_RLS_INSERT_CHECK)
		{
			rest = lappend(rest, option);
			continue;
		}
		if (!cz_over_written(&qual, query->resultRelation, rel, columns))
			return NULL;
		test->arg = (Expr *) qual;
		test->booltesttype = IS_TRUE;
		test->location = -1;
		outer->targetList = lappend(outer->targetList,
									makeTargetEntry((Expr *) test, n, psprintf("c%d", n),
													false));
		*checks = lappend(*checks, option);
	}
	*options = rest;
	*checks = cz_check_list(*checks);
	if (*checks == NIL)
		return source;
	cz_raise_ctes((Node *) source, 1);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = source;
	rte->alias = makeAlias("new", NIL);
	rte->eref = makeAlias("new", names);
	rte->inFromCl = true;
	ref->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->querySource = QSRC_ORIGINAL;
	outer->canSetTag = true;
	outer->rtable = list_make1(rte);
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	outer->hasSubLinks = checkExprHasSubLink((Node *) outer->targetList);
	outer->hasRowSecurity = query->hasRowSecurity;
	return outer;
}

/*
 * Have the rows computed first and sent, split by the key: the query that reads them
 * on a shard, NULL if a column can't be sent.
 */
static Query *
shipped_rows(Query *query, Query *source, Relation rel, List *attnos, const CzTable *table,
			 CzValues *values, CzPlanState *state)
{
	CzShip	   *ship = palloc0(sizeof(CzShip));
	CommonTableExpr *cte = makeNode(CommonTableExpr);
	Query	   *reader = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell   *lc;

	foreach(lc, attnos)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), lfirst_int(lc) - 1);
		int			n = foreach_current_index(lc) + 1;

		if (!cz_type_is_output_safe(att->atttypid))
			return NULL;
		ship->types = lappend_oid(ship->types, att->atttypid);
		ship->typmods = lappend_int(ship->typmods, att->atttypmod);
		ship->collations = lappend_oid(ship->collations, att->attcollation);
		if (att->attnum == table->key_attno)
		{
			ship->partition_column = n;
			ship->partition_var = makeVar(1, n, att->atttypid, att->atttypmod,
										  att->attcollation, 0);
		}
		reader->targetList = lappend(reader->targetList,
									 makeTargetEntry((Expr *) makeVar(1, n, att->atttypid,
																	  att->atttypmod,
																	  att->attcollation, 0),
													 n, psprintf("c%d", n), false));
	}
	foreach(lc, source->targetList)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;

		cte->ctecolnames = lappend(cte->ctecolnames,
								   makeString(psprintf("c%d", foreach_current_index(lc) + 1)));
		cte->ctecoltypes = lappend_oid(cte->ctecoltypes, exprType(expr));
		cte->ctecoltypmods = lappend_int(cte->ctecoltypmods, exprTypmod(expr));
		cte->ctecolcollations = lappend_oid(cte->ctecolcollations, exprCollation(expr));
	}
	ship->cte_name = cz_free_cte_name(pstrdup("cz_rows"), query->cteList, values->ctes);
	ship->label = "rows";
	ship->anchor = table->key_attno != 0 ? table : NULL;	/* else all go to the one shard */
	ship->rows = 1;
	ship->source = copyObject(source);
	cte->ctename = pstrdup(ship->cte_name);
	cte->ctematerialized = CTEMaterializeAlways;
	cte->ctequery = (Node *) source;
	cte->location = CZ_CTE_LOCATION;
	cte->cterefcount = 1;
	values->ctes = lappend(values->ctes, cte);

	ref->rtindex = 1;
	reader->commandType = CMD_SELECT;
	reader->querySource = QSRC_ORIGINAL;
	reader->canSetTag = true;
	reader->rtable = list_make1(cz_ship_rte(state, ship));
	reader->jointree = makeFromExpr(list_make1(ref), NULL);
	return reader;
}

/* ---- the conflict --------------------------------------------------------- */

/* Is an index the only one of its table whose conflicts there can be? */
static bool
is_only_arbiter(Relation index)
{
	Relation	rel = relation_open(index->rd_index->indrelid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	bool		is_only = true;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	other = index_open(lfirst_oid(lc), AccessShareLock);

		is_only &= RelationGetRelid(other) == RelationGetRelid(index) ||
			(!other->rd_index->indisunique && !other->rd_index->indisexclusion);
		index_close(other, AccessShareLock);
	}
	list_free(indexes);
	relation_close(rel, NoLock);
	return is_only;
}

/* ON CONSTRAINT with an exclusion constraint: no columns stand for it. */
static void
check_exclusion(const OnConflictExpr *conflict, Relation index)
{
	if (conflict->action == ONCONFLICT_UPDATE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("ON CONFLICT DO UPDATE not supported with exclusion constraints")));
	if (!index->rd_index->indimmediate)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters"),
				 errtableconstraint(RelationIdGetRelation(index->rd_index->indrelid),
									RelationGetRelationName(index))));
	if (!is_only_arbiter(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT ON CONSTRAINT with exclusion constraint \"%s\" is not supported on distributed table \"%s\"",
						RelationGetRelationName(index),
						get_rel_name(index->rd_index->indrelid)),
				 errdetail("The table has other unique or exclusion constraints."),
				 errhint("ON CONFLICT DO NOTHING without a constraint heeds all of them.")));
}

/*
 * ON CONSTRAINT: shards call it otherwise, so say its columns; nothing where it is the only
 * one there is.
 */
static void
name_columns(OnConflictExpr *conflict)
{
	Oid			index_oid = get_constraint_index(conflict->constraint);
	Relation	index;
	int			i;

	if (!OidIsValid(index_oid))
		return;
	index = index_open(index_oid, AccessShareLock);
	if (index->rd_index->indisexclusion)
		check_exclusion(conflict, index);
	for (i = 0; !index->rd_index->indisexclusion && i < index->rd_index->indnkeyatts; i++)
	{
		InferenceElem *elem = makeNode(InferenceElem);
		AttrNumber	attno = index->rd_index->indkey.values[i];
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(index->rd_index->indrelid, attno, &type, &typmod, &collation);
		elem->expr = (Node *) makeVar(1, attno, type, typmod, collation, 0);
		conflict->arbiterElems = lappend(conflict->arbiterElems, elem);
	}
	index_close(index, AccessShareLock);
	conflict->constraint = InvalidOid;
}

typedef struct MultiContext
{
	List	   *sublinks;		/* MULTIEXPR ones */
	bool		failed;
} MultiContext;

static Node *
multi_mutator(Node *node, MultiContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
	{
		int			id = ((Param *) node)->paramid >> 16;
		int			column = ((Param *) node)->paramid & 0xFFFF;
		ListCell   *lc;

		foreach(lc, context->sublinks)
		{
			SubLink    *sublink = copyObject(lfirst(lc));
			Query	   *query = (Query *) sublink->subselect;
			ListCell   *lt;

			if (sublink->subLinkId != id)
				continue;
			foreach(lt, query->targetList)
			{
				TargetEntry *tle = lfirst(lt);

				if (!tle->resjunk && tle->resno != column)
					tle->expr = (Expr *) makeNullConst(exprType((Node *) tle->expr),
													   exprTypmod((Node *) tle->expr),
													   exprCollation((Node *) tle->expr));
				tle->resjunk |= tle->resno != column;
			}
			if (query->setOperations != NULL || query->distinctClause != NIL ||
				query->groupClause != NIL || query->sortClause != NIL ||
				contain_volatile_functions((Node *) query))
				context->failed = true;
			sublink->subLinkType = EXPR_SUBLINK;
			sublink->subLinkId = 0;
			query->targetList = list_make1(list_nth(query->targetList, column - 1));
			((TargetEntry *) linitial(query->targetList))->resno = 1;
			return (Node *) sublink;
		}
		context->failed = true;
		return node;
	}
	return expression_tree_mutator(node, multi_mutator, (void *) context);
}

/* (a, b) = (SELECT x, y ...): a = (SELECT x ...), b = (SELECT y ...). */
static bool
split_multi_assignments(OnConflictExpr *conflict)
{
	MultiContext context = {NIL, false};
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, conflict->onConflictSet)
	{
		TargetEntry *tle = lfirst(lc);

		if (tle->resjunk)
			context.sublinks = lappend(context.sublinks, tle->expr);
		else
			targets = lappend(targets, tle);
	}
	if (context.sublinks == NIL)
		return true;
	conflict->onConflictSet = (List *) multi_mutator((Node *) targets, &context);
	return !context.failed;
}

static bool
other_table_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		const CzTable *table = rte->rtekind == RTE_RELATION ? cz_rte_table(rte) : NULL;

		return rte->rtekind == RTE_CTE ||
			(rte->rtekind == RTE_RELATION && (table == NULL || table->kind != CZ_TABLE_REFERENCE));
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, other_table_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, other_table_walker, context);
}

/* Why the shards can't do what is to be done in a conflict, or NULL. */
static const char *
why_not_there(Query *remote, const CzTable *table)
{
	OnConflictExpr *conflict = remote->onConflict;
	bool		has_key = false;
	ListCell   *lc;

	foreach(lc, conflict->arbiterElems)
	{
		Var		   *column = (Var *) ((InferenceElem *) lfirst(lc))->expr;

		has_key |= IsA(column, Var) && column->varattno == table->key_attno;
	}
	foreach(lc, conflict->onConflictSet)
	{
		TargetEntry *tle = lfirst(lc);
		Var		   *value = (Var *) tle->expr;

		if (tle->resno == table->key_attno &&
			(!IsA(value, Var) || value->varattno != tle->resno || value->varlevelsup != 0 ||
			 (value->varno != remote->resultRelation && !has_key)))
			return "it changes the distribution column";
	}
	if (contain_volatile_functions((Node *) conflict->onConflictSet) ||
		contain_volatile_functions(conflict->onConflictWhere))
		return "it uses a volatile function in a conflict";
	if (other_table_walker((Node *) conflict->onConflictSet, NULL) ||
		other_table_walker(conflict->onConflictWhere, NULL))
		return "a correlated sub-query in a conflict reads a table that is not a reference table";
	return NULL;
}

/* ---- the statement -------------------------------------------------------- */

/* INSERT INTO target (columns) rows or values ON CONFLICT ... */
static Query *
remote_query(Query *query, List *attnos, Query *rows, List *values, List *options)
{
	Query	   *remote = makeNode(Query);
	RangeTblEntry *target = copyObject(rt_fetch(query->resultRelation, query->rtable));
	ListCell   *lc;
	List	   *clauses;

	target->securityQuals = NIL;
	remote->commandType = CMD_INSERT;
	remote->querySource = QSRC_ORIGINAL;
	remote->canSetTag = true;
	remote->hasSubLinks = query->hasSubLinks;
	remote->rtable = list_make1(target);
	query_copy_permissions_compat(remote, query);
	query_name_returned_compat(remote);
	remote->resultRelation = 1;
	remote->jointree = makeFromExpr(NIL, NULL);

	if (query->onConflict != NULL)
	{
		OnConflictExpr *conflict = copyObject(query->onConflict);

		conflict->exclRelTlist = NIL;
		options = copyObject(options);
		clauses = list_make2(conflict, options);
		ChangeVarNodes((Node *) clauses, query->resultRelation, RTI_TARGET, 0);
		if (conflict->exclRelIndex > 0)
		{
			RangeTblEntry *excluded = copyObject(rt_fetch(conflict->exclRelIndex,
														  query->rtable));

			ChangeVarNodes((Node *) clauses, query->onConflict->exclRelIndex, RTI_EXCLUDED,
						   0);
			remote->rtable = lappend(remote->rtable, excluded);
			ChangeVarNodes((Node *) clauses, RTI_EXCLUDED, list_length(remote->rtable), 0);
			conflict->exclRelIndex = list_length(remote->rtable);
		}
		ChangeVarNodes((Node *) clauses, RTI_TARGET, 1, 0);
		if (OidIsValid(conflict->constraint))
			name_columns(conflict);
		remote->onConflict = conflict;
		remote->withCheckOptions = options;
	}
	if (rows != NULL)
	{
		RangeTblEntry *rte = makeNode(RangeTblEntry);
		RangeTblRef *ref = makeNode(RangeTblRef);
		List	   *names = NIL;

		foreach(lc, rows->targetList)
		{
			TargetEntry *tle = lfirst(lc);

			if (tle->resjunk)
				continue;
			names = lappend(names, makeString(pstrdup(tle->resname)));
			values = lappend(values, makeVarFromTargetEntry(list_length(remote->rtable) + 1,
															tle));
		}
		rte->rtekind = RTE_SUBQUERY;
		rte->subquery = rows;
		rte->alias = makeAlias("rows", NIL);
		rte->eref = makeAlias("rows", names);
		rte->inFromCl = true;
		remote->rtable = lappend(remote->rtable, rte);
		ref->rtindex = list_length(remote->rtable);
		remote->jointree->fromlist = list_make1(ref);
	}
	foreach(lc, values)
		remote->targetList = lappend(remote->targetList,
									 makeTargetEntry(lfirst(lc),
													 list_nth_int(attnos,
																  foreach_current_index(lc)),
													 NULL, false));
	return remote;
}

typedef struct SystemContext
{
	Index		rti;			/* the target */
	int			depth;
	Query	   *remote;			/* gets the columns */
	bool		failed;			/* a worker cannot give one */
} SystemContext;

/* System columns of the target, but tableoid, and the old row's become columns of RTI_SYSTEM. */
static Node *
system_mutator(Node *node, SystemContext *context)
{
	if (node == NULL)
		return NULL;
	/* whether there is an old row, which it is NULL without, only the worker knows */
	if (returning_expr_compat(node) != NULL && returning_expr_is_old_compat(node))
		context->failed = true;
	if (IsA(node, Var) && ((Var *) node)->varno == context->rti &&
		(int) ((Var *) node)->varlevelsup == context->depth &&
		(var_is_old_compat((Var *) node) ||
		 (((Var *) node)->varattno < 0 && ((Var *) node)->varattno != TableOidAttributeNumber)))
	{
		Var		   *var = copyObject((Var *) node);
		Var		   *own = makeVar(1, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
		int			n = list_length(context->remote->returningList) + 1;

		var_copy_returning_compat(own, var);
		var_clear_returning_compat(var);
		context->failed |= own->varattno == 0 || !cz_type_is_output_safe(own->vartype) ||
			own->varattno == TableOidAttributeNumber;
		context->remote->returningList =
			lappend(context->remote->returningList,
					makeTargetEntry((Expr *) own, n, psprintf("system%d", n), false));
		var->varno = RTI_SYSTEM;
		var->varattno = n;
		var_forget_syntax_compat(var);
		return (Node *) var;
	}
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, system_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, system_mutator, (void *) context);
}

/*
 * What the shards return for the statement: the columns that RETURNING uses.  *targets
 * is RETURNING over them.
 */
static bool
return_columns(Query *query, Query *remote, Relation rel, AttrNumber key_attno,
			   List **targets)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Node	  **columns = palloc0(sizeof(Node *) * desc->natts);
	SystemContext context = {query->resultRelation, 0, remote, false};
	Bitmapset  *used;
	bool		all;
	int			i;

	*targets = query->returningList;
	if (*targets == NIL)
		return true;
	*targets = (List *) system_mutator((Node *) *targets, &context);
	if (context.failed)
		return false;
	used = cz_used_columns((Node *) *targets, query->resultRelation);
	all = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		int			n = list_length(remote->returningList) + 1;

		/* one column at least: rows are counted */
		if (att->attisdropped ||
			(!all && att->attnum != key_attno &&
			 !bms_is_member(att->attnum - FirstLowInvalidHeapAttributeNumber, used)))
			continue;
		if (!cz_type_is_output_safe(att->atttypid))
			return false;
		columns[i] = (Node *) makeVar(1, n, att->atttypid, att->atttypmod,
									  att->attcollation, 0);
		remote->returningList =
			lappend(remote->returningList,
					makeTargetEntry((Expr *) makeVar(1, att->attnum, att->atttypid,
													 att->atttypmod, att->attcollation, 0),
									n, pstrdup(NameStr(att->attname)), false));
	}
	if (!cz_over_written((Node **) targets, query->resultRelation, rel, columns))
		return false;
	ChangeVarNodes((Node *) *targets, RTI_SYSTEM, 1, 0);
	return true;
}

static bool
is_replicated(const CzTable *table)
{
	int			i;

	for (i = 0; i < table->nshards; i++)
	{
		if (table->shards[i].nplacements > 1)
			return true;
	}
	return false;
}

/*
 * Make the leaf that sends a remote INSERT; the query becomes a SELECT over it.
 *
 * leaf: what the caller has set of it stays.
 * Returns: NULL, or why it can't be done; the query has not changed then.
 */
static const char *
remote_as_leaf(Query *query, Query *remote, CzPlanState *state, const CzTable *table,
			   Relation rel, CzLeaf *leaf, CzValues *values)
{
	const char *reason = NULL;
	List	   *names = NIL;
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	List	   *targets;
	RangeTblEntry *leaf_rte;
	ListCell   *lc;

	if (!return_columns(query, remote, rel, table->key_attno, &targets))
		reason = "a row of a table is returned";
	leaf->checks = cz_check_list(remote->withCheckOptions);
	cz_add_checks(remote);
	remote->withCheckOptions = NIL;
	if (is_replicated(table) && reason == NULL)
	{
		leaf->replica_upserts = remote->onConflict != NULL &&
			remote->onConflict->action == ONCONFLICT_UPDATE;
		if (!cz_return_for_copies(remote, state, &leaf->replica_keys, &leaf->replica_sets))
			reason = leaf->locus.anchor != NULL ? "replicas cannot be told of its rows" :
				cz_replicas_may_differ(remote, NULL);
	}
	if (reason == NULL)
		(void) cz_query_is_sendable(remote, &reason);
	if (reason != NULL)
		return reason;

	foreach(lc, remote->returningList)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;

		names = lappend(names, makeString(psprintf("c%d", foreach_current_index(lc) + 1)));
		types = lappend_oid(types, exprType(expr));
		typmods = lappend_int(typmods, exprTypmod(expr));
		collations = lappend_oid(collations, exprCollation(expr));
	}
	leaf->source = makeNode(RangeTblEntry);
	leaf->source->rtekind = RTE_SUBQUERY;
	leaf->source->subquery = remote;
	leaf->source->eref = makeAlias("leaf", copyObject(names));
	leaf->locus.kind = CZ_LOCUS_SHARDED;
	leaf->locus.anchor = table;
	leaf->is_uncounted = !query->canSetTag;
	leaf->rows = 1;
	leaf->target_shard = table->shards[0].relid;
	cz_collect_relations(remote, state);
	leaf_rte = cz_make_leaf(state, leaf, names, types, typmods, collations);
	cz_select_over_leaf(query, state, leaf_rte, targets, values);
	return NULL;
}

/*
 * The rows of an INSERT ... SELECT if they stay on the shards that they come from, so
 * that each shard can do its part: the query that reads them there, with leaf->locus
 * set; else NULL.
 */
static Query *
pushed_rows(Query *query, List *exprs, List *attnos, const CzTable *table, CzLeaf *leaf,
			CzPlanState *state)
{
	Query	   *source;
	const char *reason;
	ListCell   *lc;

	if (!cz_enable_pushdown || query->jointree->fromlist == NIL || query->cteList != NIL ||
		leaf->insert_checks != NIL || state->has_row_ids)
		return NULL;
	/* a row outside of a seal is looked at before it is written (executor/admit.c) */
	if (table->seals != NULL)
		return NULL;
	/* beside other parts that write it must not read what these have written */
	if (!query->canSetTag)
		return NULL;
	source = source_query(query, exprs);
	if (contain_volatile_functions((Node *) source))
		return NULL;
	if (cz_query_has_barriers(source))
		source = cz_fence_query(source);
	if (source == NULL || !cz_query_is_sendable(source, &reason))
		return NULL;
	leaf->locus = cz_query_locus(source, state);
	if (leaf->locus.kind != CZ_LOCUS_SHARDED || leaf->locus.outer_keys != NIL ||
		leaf->locus.is_confined || !cz_same_group(leaf->locus.anchor, table))
		return NULL;
	foreach(lc, attnos)
	{
		if (lfirst_int(lc) == table->key_attno &&
			!list_member_int(leaf->locus.key_columns, foreach_current_index(lc) + 1))
			return NULL;
	}
	leaf->strategy = leaf->locus.is_single ? CZ_STRATEGY_ROUTER : CZ_STRATEGY_PUSHDOWN;
	return source;
}

/*
 * One try of cz_conflict_as_leaf.
 *
 * pushes: the rows stay on their shards; else they come here first.
 */
static const char *
try_conflict(Query *query, CzPlanState *state, const CzTable *table, Relation rel,
			 bool pushes)
{
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	CzValues   *values = palloc0(sizeof(CzValues));
	List	   *options = query->withCheckOptions;
	Query	   *remote;
	Query	   *rows = NULL;
	Query	   *source;
	List	   *exprs;
	List	   *attnos;
	List	   *params = NIL;
	const char *reason;
	ListCell   *lc;

	cz_insert_values(query, rel, table->key_attno, &exprs, &attnos);
	source = checked_source(query, source_query(query, exprs), rel, attnos, &options,
							&leaf->insert_checks);
	if (source == NULL)
		return "a policy uses a system column";
	if (pushes)
	{
		rows = pushed_rows(query, exprs, attnos, table, leaf, state);
		if (rows == NULL)
			return "its rows come from other shards";
	}
	else if (query->jointree->fromlist == NIL && query->jointree->quals == NULL &&
			 !query->hasTargetSRFs && leaf->insert_checks == NIL)
	{
		foreach(lc, exprs)
			params = lappend(params, cz_take_expr(values, copyObject(lfirst(lc))));
		leaf->insert_attnos = attnos;
		leaf->insert_is_quiet = cz_writes_nothing(exprs);
		leaf->strategy = CZ_STRATEGY_ROUTER;
	}
	else
	{
		rows = shipped_rows(query, source, rel, attnos, table, values, state);
		leaf->strategy = CZ_STRATEGY_PUSHDOWN;
		if (rows == NULL)
			return "a column cannot be sent to the workers";
	}
	remote = remote_query(query, attnos, rows, params, options);
	if (remote->onConflict == NULL)
		return remote_as_leaf(query, remote, state, table, rel, leaf, values);
	if (!split_multi_assignments(remote->onConflict))
		return "it assigns several columns from one sub-query";
	if (!cz_guard_conflict(remote, rel, &leaf->conflict_checks))
		return "a policy uses a system column";
	if (!cz_take_conflict(remote, values, state))
		return "there are too many sub-queries";
	reason = why_not_there(remote, table);
	if (reason != NULL)
		return reason;
	return remote_as_leaf(query, remote, state, table, rel, leaf, values);
}

/*
 * cz_conflict_as_leaf
 *		Turn an INSERT ... ON CONFLICT into a distributed table, or one that returns
 *		system columns (and has no WITH CHECK conditions), into a SELECT over the leaf that
 *		does it.
 *
 * Returns: NULL, or why it can't be done; the query has not changed then.
 */
const char *
cz_conflict_as_leaf(Query *query, CzPlanState *state, const CzTable *table, Relation rel)
{
	if (query->jointree->fromlist != NIL &&
		try_conflict(query, state, table, rel, true) == NULL)
		return NULL;
	return try_conflict(query, state, table, rel, false);
}

/*
 * cz_push_insert
 *		Turn an INSERT ... SELECT whose rows stay on the shards that they come from into
 *		a SELECT over the leaf that has each shard do its part.
 *
 * The first placement does it, and the others get the rows.
 *
 * Returns: false, and the query has not changed, if it is not such an INSERT.
 */
bool
cz_push_insert(Query *query, CzPlanState *state, const CzTable *table, Relation rel)
{
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	Query	   *source;
	List	   *exprs;
	List	   *attnos;

	if (query->withCheckOptions != NIL)
		return false;
	cz_insert_values(query, rel, table->key_attno, &exprs, &attnos);
	source = pushed_rows(query, exprs, attnos, table, leaf, state);
	return source != NULL &&
		remote_as_leaf(query, remote_query(query, attnos, source, NIL, NIL), state, table,
					   rel, leaf, palloc0(sizeof(CzValues))) == NULL;
}
