/*-------------------------------------------------------------------------
 *
 * compat_returning.h
 *	  RETURNING's old and new rows; MERGE's conditions and actions.
 *
 * A part of compat.h, which alone includes it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COMPAT_RETURNING_H
#define CZ_COMPAT_RETURNING_H

/* 18: RETURNING can say old and new; what is no Var is wrapped */
#if CZ_PG_GE(18)
#define var_is_old_compat(var) ((var)->varreturningtype == VAR_RETURNING_OLD)
#define var_is_new_compat(var) ((var)->varreturningtype == VAR_RETURNING_NEW)
#define var_clear_returning_compat(var) ((var)->varreturningtype = VAR_RETURNING_DEFAULT)
#define var_copy_returning_compat(to, from) ((to)->varreturningtype = (from)->varreturningtype)
#define query_name_returned_compat(query) \
	((query)->returningOldAlias = "old", (query)->returningNewAlias = "new")
#define returning_expr_compat(node) \
	(IsA((node), ReturningExpr) ? (Node *) ((ReturningExpr *) (node))->retexpr : NULL)
#define returning_expr_is_old_compat(node) (((ReturningExpr *) (node))->retold)
#define var_returning_compat(var) ((int) (var)->varreturningtype)
#define var_set_old_compat(var) ((var)->varreturningtype = VAR_RETURNING_OLD)
#define RETURNING_HAS_OLD_COMPAT true
#define projection_has_old_compat(projection) \
	(((projection)->pi_state.flags & EEO_FLAG_HAS_OLD) != 0)
#define result_null_slot_compat(estate, rri) ExecGetAllNullSlot((estate), (rri))
#define result_set_null_slot_compat(rri, slot) ((rri)->ri_AllNullSlot = (slot))
/* null_slot: instead of the old row if there is none, which is NULL */
#define projection_set_rows_compat(projection, old_slot, null_slot, new_slot) \
	((projection)->pi_exprContext->ecxt_oldtuple = (old_slot) != NULL ? (old_slot) : (null_slot), \
	 (projection)->pi_exprContext->ecxt_newtuple = (new_slot), \
	 (projection)->pi_state.flags &= ~(EEO_FLAG_OLD_IS_NULL | EEO_FLAG_NEW_IS_NULL), \
	 (projection)->pi_state.flags |= (old_slot) != NULL ? 0 : EEO_FLAG_OLD_IS_NULL)
#else
#define var_is_old_compat(var) ((void) (var), false)
#define var_is_new_compat(var) ((void) (var), false)
#define var_clear_returning_compat(var) ((void) (var))
#define var_copy_returning_compat(to, from) ((void) (to), (void) (from))
#define query_name_returned_compat(query) ((void) (query))
#define returning_expr_compat(node) ((void) (node), (Node *) NULL)
#define returning_expr_is_old_compat(node) ((void) (node), false)
#define var_returning_compat(var) 0
#define var_set_old_compat(var) ((void) (var))
#define RETURNING_HAS_OLD_COMPAT false
#define projection_has_old_compat(projection) ((void) (projection), false)
#define result_null_slot_compat(estate, rri) ((void) (estate), (void) (rri), (TupleTableSlot *) NULL)
#define result_set_null_slot_compat(rri, slot) ((void) (rri), (void) (slot))
#define projection_set_rows_compat(projection, old_slot, null_slot, new_slot) \
	((void) (projection), (void) (old_slot), (void) (null_slot), (void) (new_slot))
#endif

/* 17: the condition of a MERGE has a place of its own, and WHEN three kinds of rows */
#if CZ_PG_GE(17)
#define merge_condition_compat(query) ((query)->mergeJoinCondition)
#define merge_forget_compat(query) \
	((query)->mergeJoinCondition = NULL, (query)->mergeTargetRelation = 0)
#define merge_action_is_matched_compat(action) ((action)->matchKind == MERGE_WHEN_MATCHED)
#define merge_action_is_by_source_compat(action) \
	((action)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
static inline bool
merge_is_of_15_compat(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		if (merge_action_is_by_source_compat((MergeAction *) lfirst(lc)))
			return false;
	}
	return true;
}
#else
#define merge_condition_compat(query) ((query)->jointree->quals)
#define merge_forget_compat(query) ((query)->mergeUseOuterJoin = false)
#define merge_action_is_matched_compat(action) ((action)->matched)
#define merge_action_is_by_source_compat(action) ((void) (action), false)
#define merge_is_of_15_compat(query) ((void) (query), true)
#endif

/* 17: which action MERGE's RETURNING is of */
#if CZ_PG_GE(17)
#define is_merge_action_compat(node) IsA((node), MergeSupportFunc)
#else
#define is_merge_action_compat(node) ((void) (node), false)
#endif

#endif							/* CZ_COMPAT_RETURNING_H */
