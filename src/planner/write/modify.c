/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  Statements that write.
 *
 * UPDATE and DELETE on a distributed table are sent whole, as one modifying
 * leaf, when a router or a colocated pushdown expresses them; the statement's
 * plan is then SELECT returning-columns FROM leaf with the command type of the
 * write.  INSERT goes through core's tuple routing and the FDW.  What cannot be
 * done without risking half a write or replicas that differ is refused.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_coerce.h"
#include "rewrite/rewriteManip.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/typcache.h"

#include "cz/compat.h"

#include "../planner_int.h"

static const char *
command_name(CmdType command)
{
	switch (command)
	{
		case CMD_UPDATE:
			return "UPDATE of";
		case CMD_DELETE:
			return "DELETE on";
		case CMD_INSERT:
			return "INSERT into";
		default:
			return "MERGE into";
	}
}

/*
 * cz_refuse_write
 *		Raise 0A000: a statement that writes to a distributed table can't be done.
 */
void
cz_refuse_write(Query *query, Oid relid, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s distributed table \"%s\" is not supported",
					command_name(query->commandType), get_rel_name(relid)),
			 errdetail("The statement cannot be sent to the shards: %s.", reason)));
}

static bool
is_distributed(const CzTable *table)
{
	return table != NULL &&
		CzTableIsDistributed(table);
}

/*
 * cz_is_write_by_rows
 *		Is it an UPDATE, DELETE or MERGE that rows.c can do?
 */
bool
cz_is_write_by_rows(Query *query)
{
	RangeTblEntry *rte;

	if (query->commandType != CMD_UPDATE && query->commandType != CMD_DELETE &&
		query->commandType != CMD_MERGE)
		return false;
	rte = rt_fetch(query->resultRelation, query->rtable);
	return rte->rtekind == RTE_RELATION && is_distributed(CzTableGet(rte->relid));
}

/* ---- may it be pushed? --------------------------------------------------- */

/*
 * cz_keeps_value
 *		Is a column of the target assigned a value that it provably has already?
 */
bool
cz_keeps_value(Query *query, Node *value, AttrNumber key, CzPlanState *state)
{
	List	   *quals;
	ListCell   *lc;

	if (IsA(value, Var) && ((Var *) value)->varno == query->resultRelation &&
		((Var *) value)->varattno == key && ((Var *) value)->varlevelsup == 0)
		return true;
	value = cz_strip(cz_fold(copyObject(value), state));
	quals = cz_conjuncts(cz_fold(copyObject(query->jointree->quals), state), NIL);
	foreach(lc, cz_equality_classes(quals))
	{
		List	   *members = lfirst(lc);
		ListCell   *lm;

		if (!list_member(members, value))
			continue;
		foreach(lm, members)
		{
			Var		   *var = lfirst(lm);

			if (IsA(var, Var) && var->varno == query->resultRelation &&
				var->varattno == key && var->varlevelsup == 0)
				return true;
		}
	}
	return false;
}

/*
 * cz_has_triggers
 *		Would a command fire triggers of a table?
 */
bool
cz_has_triggers(Relation rel, CmdType command)
{
	TriggerDesc *desc;
	const CzTable *table;
	int			row_triggers;
	int			i;

	if (cz_triggers_are_suspended)
		return false;
	/* an invalidation, which any look into a catalog may bring, frees the relation's own */
	desc = CopyTriggerDesc(rel->trigdesc);
	/* partitions have triggers of their own; an UPDATE may be an INSERT and a DELETE */
	table = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
		CzTableGet(RelationGetRelid(rel)) : NULL;
	row_triggers = table != NULL ? CzAllRowTriggers(table) : 0;
	if (command == CMD_UPDATE ? row_triggers != 0 :
		(row_triggers & (CZ_ROW_TRIGGER(command, false) |
						 CZ_ROW_TRIGGER(command, true))) != 0)
		return true;
	if (desc == NULL)
		return false;
	for (i = 0; i < desc->numtriggers; i++)
	{
		Trigger    *trigger = &desc->triggers[i];

		/* of which the table at the top has but the pattern */
		if (table != NULL && table->is_partitioned && TRIGGER_FOR_ROW(trigger->tgtype))
			continue;
		if (trigger->tgenabled == TRIGGER_DISABLED ||
			!((command == CMD_INSERT && TRIGGER_FOR_INSERT(trigger->tgtype)) ||
			  (command == CMD_UPDATE && TRIGGER_FOR_UPDATE(trigger->tgtype)) ||
			  (command == CMD_DELETE && TRIGGER_FOR_DELETE(trigger->tgtype))))
			continue;
		/* most of those of constraints are the workers' business */
		if (CzTriggerFiresHere(trigger))
			return true;
	}
	return false;
}

/*
 * cz_drop_empty_checks
 *		WITH CHECK OPTION of a view without WHERE: there is nothing to check.
 */
void
cz_drop_empty_checks(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->withCheckOptions)
	{
		if (((WithCheckOption *) lfirst(lc))->qual == NULL)
			query->withCheckOptions = foreach_delete_current(query->withCheckOptions, lc);
	}
}

/*
 * cz_add_checks
 *		WITH CHECK conditions become columns of RETURNING, behind what the statement
 *		returns, that say whether a new row passes them.
 */
void
cz_add_checks(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->withCheckOptions)
	{
		BooleanTest *test = makeNode(BooleanTest);

		test->arg = (Expr *) ((WithCheckOption *) lfirst(lc))->qual;
		test->booltesttype = IS_TRUE;
		test->location = -1;
		query->returningList = lappend(query->returningList,
									   makeTargetEntry((Expr *) test,
													   list_length(query->returningList) + 1,
													   "passes", false));
		query->hasSubLinks |= checkExprHasSubLink((Node *) test);
	}
}

/*
 * cz_check_list
 *		WithCheckOptions as CzFragmentPlan has them.
 */
List *
cz_check_list(List *options)
{
	List	   *checks = NIL;
	ListCell   *lc;

	foreach(lc, options)
	{
		WithCheckOption *wco = lfirst(lc);

		checks = lappend(checks,
						 list_make3(makeInteger(wco->kind),
									makeString(pstrdup(wco->relname)),
									makeString(pstrdup(wco->polname ? wco->polname : ""))));
	}
	return checks;
}

/*
 * Does an UPDATE assign what a unique or exclusion constraint may compare, under a policy
 * that checks new rows?  Core asks the policy first, and who may not write a row must not
 * learn whether another one has its key; on a worker the policy comes last.
 */
static bool
keys_need_policy(Query *query, Relation rel)
{
	bool		has_policy = false;
	bool		found = false;
	List	   *indexes;
	ListCell   *lc;
	ListCell   *lc2;
	int			i;

	foreach(lc, query->withCheckOptions)
		has_policy |= lfirst_node(WithCheckOption, lc)->kind == WCO_RLS_UPDATE_CHECK;
	indexes = has_policy ? RelationGetIndexList(rel) : NIL;
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		for (i = 0; (form->indisunique || form->indisexclusion) && i < form->indnkeyatts; i++)
		{
			foreach(lc2, query->targetList)
				found |= form->indkey.values[i] == 0 ||
					form->indkey.values[i] == lfirst_node(TargetEntry, lc2)->resno;
		}
		/* rows may come under the predicate of a partial one */
		found |= (form->indisunique || form->indisexclusion) &&
			!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return found;
}

/*
 * NULL if the write can be pushed, with *locus set; else the reason.  The Query is
 * changed in both cases.
 *
 * keys, sets: out, what it returns for the other placements; NIL: the same text goes
 *		to all of them.
 */
static const char *
why_not_pushed(Query *query, const CzTable *table, CzPlanState *state, CzLocus *locus,
			   CzValues *values, List **keys, List **sets)
{
	RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);
	Relation	rel;
	bool		triggers;
	bool		updatable;
	bool		is_partition;
	bool		keys_first;
	const char *reason = NULL;
	List	   *policies;
	List	   *quals;
	ListCell   *lc;
	int			i;
	bool		replicated = false;

	*keys = *sets = NIL;
	if (query->hasModifyingCTE || query->cteList != NIL)
		return "it has a WITH clause";
	rel = table_open(target->relid, NoLock);
	triggers = cz_has_triggers(rel, query->commandType);
	updatable = table->kind != CZ_TABLE_FOREIGN ||
		(GetFdwRoutineForRelation(rel, false)->IsForeignRelUpdatable(rel) &
		 (1 << query->commandType)) != 0;
	is_partition = table->kind == CZ_TABLE_FOREIGN && rel->rd_rel->relispartition;
	keys_first = query->commandType == CMD_UPDATE && is_distributed(table) &&
		keys_need_policy(query, rel);
	table_close(rel, NoLock);
	if (is_partition && query->commandType == CMD_UPDATE)
		return "the bounds of the partition are checked here";
	if (!updatable)
		return "the foreign table has the option updatable 'false'";
	if (triggers)
		return "the table has triggers";
	if (keys_first)
		return "a policy is checked before unique keys";
	if (table->kind == CZ_TABLE_FOREIGN)
	{
		for (i = 0; i < table->natts; i++)
		{
			if (table->column_names[i] != NULL &&
				strcmp(table->column_names[i],
					   get_attname(target->relid, i + 1, false)) != 0)
				return "a column has another name on the worker";
		}
	}
	if (contain_volatile_functions((Node *) query))
		return "it uses a volatile function";

	if (query->commandType == CMD_UPDATE)
	{
		if (query->targetList == NIL)
			return "it sets generated columns only";
		foreach(lc, query->targetList)
		{
			TargetEntry *tle = lfirst(lc);

			if (tle->resjunk)
				return "it assigns several columns from one sub-query";
			if (IsA(tle->expr, Param) &&
				((Param *) tle->expr)->paramkind == PARAM_MULTIEXPR)
				return "it assigns several columns from one sub-query";
			if (tle->resno == table->key_attno &&
				!cz_keeps_value(query, (Node *) tle->expr, table->key_attno, state))
				return "it changes the distribution column";
		}
	}

	policies = target->securityQuals;
	quals = make_ands_implicit((Expr *) query->jointree->quals);
	target->securityQuals = NIL;
	if (policies != NIL)
		query->jointree->quals = (Node *)
			make_ands_explicit(list_concat(list_copy(policies), quals));
	cz_add_checks(query);
	for (i = 0; i < table->nshards; i++)
		replicated |= CzShardIsReplicated(&table->shards[i]);
	if (replicated)
		(void) cz_return_for_replicas(query, state, keys, sets);
	if (!cz_query_is_sendable(query, &reason))
		return reason;
	*locus = cz_query_locus(query, state);
	if (locus->kind != CZ_LOCUS_SHARDED)
		return locus->reason ? locus->reason : "it does not belong to shards";
	if (*keys != NIL && !locus->is_single && !state->has_row_ids &&
		cz_is_better_as_text(query, state))
	{
		query->returningList = list_truncate(query->returningList,
											 list_length(query->returningList) -
											 list_length(*keys) - list_length(*sets));
		*keys = *sets = NIL;
	}
	if (replicated && *keys == NIL)
	{
		reason = cz_replicas_may_differ(query, values ? values->items : NULL);
		if (reason != NULL)
			return reason;
	}
	reason = state->has_row_ids ?
		cz_row_ids_of_write(query, locus->is_single, replicated, *keys != NIL) : NULL;
	if (reason != NULL)
		return reason;
	/* only now, because nothing sees through what guards a qualifier */
	if (policies != NIL)
		query->jointree->quals = (Node *)
			make_ands_explicit(cz_guard_target(policies, cz_conjuncts((Node *) quals, NIL)));
	return NULL;
}

static PlannedStmt *
plan_pushed(Query *query, const char *query_string, int cursor_options,
			CzPlanState *state, const CzTable *table, CzLocus *locus, CzValues *values,
			List *keys, List *sets)
{
	Query	   *outer = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	CzLeaf	   *leaf = palloc0(sizeof(CzLeaf));
	RangeTblEntry *source = makeNode(RangeTblEntry);
	List	   *names = NIL;
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	PlannedStmt *stmt;
	ListCell   *lc;
	int			n = 0;
	int			nreturned = list_length(query->returningList) -
		list_length(query->withCheckOptions) - list_length(keys) - list_length(sets);

	leaf->checks = cz_check_list(query->withCheckOptions);
	query->withCheckOptions = NIL;
	cz_collect_relations(query, state);
	foreach(lc, query->returningList)
	{
		TargetEntry *tle = lfirst(lc);
		TargetEntry *copy;

		if (tle->resjunk)
			continue;
		names = lappend(names, makeString(psprintf("c%d", ++n)));
		types = lappend_oid(types, exprType((Node *) tle->expr));
		typmods = lappend_int(typmods, exprTypmod((Node *) tle->expr));
		collations = lappend_oid(collations, exprCollation((Node *) tle->expr));
		copy = flatCopyTargetEntry(tle);
		copy->expr = (Expr *) makeVar(1, n, exprType((Node *) tle->expr),
									  exprTypmod((Node *) tle->expr),
									  exprCollation((Node *) tle->expr), 0);
		copy->resno = n;
		copy->ressortgroupref = 0;
		if (foreach_current_index(lc) < nreturned)
			outer->targetList = lappend(outer->targetList, copy);
	}

	source->rtekind = RTE_SUBQUERY;
	source->subquery = query;
	source->eref = makeAlias("leaf", copyObject(names));
	leaf->source = source;
	leaf->locus = *locus;
	leaf->locus.anchor = table;
	leaf->replica_keys = keys;
	leaf->replica_sets = sets;
	leaf->finds_one_row = cz_finds_one_row(query, keys);
	leaf->strategy = locus->is_single ? CZ_STRATEGY_ROUTER : CZ_STRATEGY_PUSHDOWN;
	leaf->rows = 1;
	leaf->target_shard = table->kind == CZ_TABLE_FOREIGN ? table->relid :
		table->shards[0].relid;

	ref->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->querySource = QSRC_ORIGINAL;
	outer->queryId = query->queryId;
	outer->canSetTag = query->canSetTag;
	outer->stmt_location = query->stmt_location;
	outer->stmt_len = query->stmt_len;
	outer->hasRowSecurity = query->hasRowSecurity;
	outer->rtable = list_make1(cz_make_leaf(state, leaf, names, types, typmods,
											collations));
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	if (state->returning != NIL)
	{
		outer->targetList = state->returning;
		outer->hasSubLinks = checkExprHasSubLink((Node *) outer->targetList);
	}
	if (values != NULL)
		cz_attach_values(outer, values, state);

	stmt = cz_call_planner(outer, query_string, cursor_options, state->bound_params);
	stmt->commandType = query->commandType;
	stmt->hasReturning = nreturned > 0;
	stmt->parallelModeNeeded = false;
	return stmt;
}

/*
 * Plan an UPDATE or DELETE as one that is sent whole: as it stands, else with what it
 * reads from elsewhere computed first.  Returns the reason if neither can be.
 *
 * query: NULL: its row-level security cannot be sent.
 */
static const char *
push_write(Query *query, const char *query_string, int cursor_options, CzPlanState *state,
		   const CzTable *table, PlannedStmt **stmt)
{
	CzLocus		locus;
	CzValues   *values;
	Query	   *copy;
	bool		has_others;		/* it reads from elsewhere */
	List	   *keys;
	List	   *sets;
	const char *reason;
	const char *why;
	Query	   *original;
	Query		saved;
	Node	   *quals;
	List	   *policies;

	/* a table without shards has no rows */
	if (table->nshards == 0)
		return "the table has no shards";
	if (query == NULL)
		return "row-level security is enforced on the coordinator";
	cz_drop_unread_ctes(query);
	saved = *query;
	saved.returningList = list_copy(query->returningList);
	quals = query->jointree->quals;
	policies = rt_fetch(query->resultRelation, query->rtable)->securityQuals;
	original = query;
	state->returning = cz_take_returning(&query);
	has_others = query->hasSubLinks || query->cteList != NIL ||
		list_length(query->jointree->fromlist) > 1;
	copy = has_others ? copyObject(query) : query;
	reason = why_not_pushed(copy, table, state, &locus, NULL, &keys, &sets);
	if (reason == NULL)
	{
		*stmt = plan_pushed(copy, query_string, cursor_options, state, table, &locus, NULL,
							keys, sets);
		return NULL;
	}
	if (!has_others)
	{
		/* what was tried was maybe this query itself */
		*original = saved;
		original->jointree->quals = quals;
		rt_fetch(original->resultRelation, original->rtable)->securityQuals = policies;
		state->returning = NIL;
		return reason;
	}
	if (state->has_row_ids && cz_compares_row_ids(query))
		return CZ_ROW_ID_REASON;
	copy = copyObject(query);
	values = cz_take_values(copy, table->key_attno, state);
	if (values == NULL)
	{
		state->returning = NIL;
		return reason;
	}
	why = why_not_pushed(copy, table, state, &locus, values, &keys, &sets);
	if (why != NULL)
		return why;
	*stmt = plan_pushed(copy, query_string, cursor_options, state, table, &locus, values,
						keys, sets);
	return NULL;
}

/* Plan a SELECT over the leaf that writes. */
static PlannedStmt *
plan_write(Query *query, CmdType command, bool has_returning, const char *query_string,
		   int cursor_options, CzPlanState *state)
{
	PlannedStmt *stmt = cz_call_planner(query, query_string,
										cursor_options & ~CURSOR_OPT_PARALLEL_OK,
										state->bound_params);

	stmt->commandType = command;
	stmt->hasReturning = has_returning;
	stmt->parallelModeNeeded = false;
	return stmt;
}

/* Plan an UPDATE, DELETE or MERGE as one that is done row by row. */
static PlannedStmt *
plan_by_rows(Query *query, const char *query_string, int cursor_options, CzPlanState *state)
{
	CmdType		command = query->commandType;
	bool		has_returning = query->returningList != NIL;

	/* all is read before anything is written */
	state->is_select = !query->hasModifyingCTE;
	if (command == CMD_MERGE)
		cz_merge_by_rows(query, state);
	else
		cz_write_by_rows(query, state);
	return plan_write(query, command, has_returning, query_string, cursor_options, state);
}

/*
 * cz_plan_modify
 *		Plan a writing statement that uses workers.
 *
 * Errors:  0A000 if it can't be done.
 */
PlannedStmt *
cz_plan_modify(Query *query, const char *query_string, int cursor_options,
			   CzPlanState *state)
{
	RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);
	const CzTable *table = target->rtekind == RTE_RELATION ? cz_rte_table(target) : NULL;
	PlannedStmt *stmt = NULL;

	cz_drop_empty_checks(query);
	if (is_distributed(table) && query->commandType == CMD_INSERT)
	{
		bool		has_returning = query->returningList != NIL;

		if (cz_insert_as_leaf(query, state))
			return plan_write(query, CMD_INSERT, has_returning, query_string,
							  cursor_options, state);
	}
	if (table != NULL && table->kind != CZ_TABLE_REFERENCE &&
		(query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE) &&
		!(table->kind == CZ_TABLE_FOREIGN && CzIsShard(table->relid, NULL)))
	{
		Query	   *candidate = query;

		if (query->withCheckOptions != NIL || cz_query_has_barriers(query))
			candidate = cz_fence_query(query);

		if (!list_member_oid(state->upserted_again, table->relid))
			(void) push_write(candidate, query_string, cursor_options, state, table, &stmt);
		if (stmt != NULL)
			return stmt;
		if (is_distributed(table))
			return plan_by_rows(query, query_string, cursor_options, state);
	}
	if (is_distributed(table) && query->commandType == CMD_MERGE)
	{
		Query	   *copy = copyObject(query);
		CzLocus		locus;

		if (!list_member_oid(state->upserted_again, table->relid) &&
			cz_merge_is_sent(copy, table, state, &locus))
			return plan_pushed(copy, query_string, cursor_options, state, table, &locus, NULL,
							   NIL, NIL);
		return plan_by_rows(query, query_string, cursor_options, state);
	}
	cz_rewrite_query(query, state, true);
	return cz_call_planner(query, query_string, cursor_options, state->bound_params);
}
