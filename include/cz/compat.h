/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between the PostgreSQL majors that cz_fdw builds on.
 *
 * No other file tests PG_VERSION_NUM.  A shim is named <thing>_compat and
 * says which major changed what.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COMPAT_H
#define CZ_COMPAT_H

/* postgres.h has had it; what a search finds may be that of a newer libpq's headers */
#ifndef PG_VERSION_NUM
#include "pg_config.h"
#endif

#define CZ_PG_GE(major) (PG_VERSION_NUM >= (major) * 10000)

#if !CZ_PG_GE(15) || CZ_PG_GE(19)
#error "cz_fdw builds on PostgreSQL 15 to 18"
#endif

#if CZ_PG_GE(16)
#include "catalog/pg_database.h"
#include "catalog/pg_class.h"	/* the OIDs of catalogs that object_aclcheck() takes */
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "varatt.h"				/* split off postgres.h in 16 */
#endif

#if CZ_PG_GE(16)
#include "parser/parse_relation.h"	/* getRTEPermissionInfo */
#endif

#if CZ_PG_GE(18)
#include "utils/fmgroids.h"
#include "commands/explain_format.h"	/* split off explain.h in 18 */
#include "commands/explain_state.h"
#endif

/* 18: before the declaration; pg_attribute_noreturn() behind it is no more */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 17: CreateWaitEventSet takes a resource owner, not a memory context; it closes the
 * set's descriptor after an error */
#if CZ_PG_GE(17)
#define CreateWaitEventSet_compat(nevents) \
	CreateWaitEventSet(CurrentResourceOwner, (nevents))
#define CreateKeptWaitEventSet_compat(nevents) \
	CreateWaitEventSet(NULL, (nevents))
#else
#define CreateWaitEventSet_compat(nevents) \
	CreateWaitEventSet(CurrentMemoryContext, (nevents))
#define CreateKeptWaitEventSet_compat(nevents) \
	CreateWaitEventSet(TopMemoryContext, (nevents))
#endif

/* 18: ExecutorRun has no execute_once any more */
#if CZ_PG_GE(18)
#define EXECUTOR_RUN_PARAMS_COMPAT \
	QueryDesc *query_desc, ScanDirection direction, uint64 count
#define EXECUTOR_RUN_ARGS_COMPAT query_desc, direction, count
#else
#define EXECUTOR_RUN_PARAMS_COMPAT \
	QueryDesc *query_desc, ScanDirection direction, uint64 count, bool execute_once
#define EXECUTOR_RUN_ARGS_COMPAT query_desc, direction, count, execute_once
#endif

/* 17: SendProcSignal takes the number of the PGPROC, not the backend's id */
#if CZ_PG_GE(17)
#define SendProcSignal_compat(pid, reason, proc) \
	SendProcSignal((pid), (reason), GetNumberFromPGProc(proc))
#else
#define SendProcSignal_compat(pid, reason, proc) \
	SendProcSignal((pid), (reason), (proc)->backendId)
#endif

/* 17: fdw_restrictinfo; 18: disabled_nodes */
#if CZ_PG_GE(18)
#define CreateForeignScanPath_compat(root, rel, rows, startup_cost, total_cost, outer) \
	create_foreignscan_path((root), (rel), NULL, (rows), 0, (startup_cost), \
							(total_cost), NIL, (outer), NULL, NIL, NIL)
#elif CZ_PG_GE(17)
#define CreateForeignScanPath_compat(root, rel, rows, startup_cost, total_cost, outer) \
	create_foreignscan_path((root), (rel), NULL, (rows), (startup_cost), \
							(total_cost), NIL, (outer), NULL, NIL, NIL)
#else
#define CreateForeignScanPath_compat(root, rel, rows, startup_cost, total_cost, outer) \
	create_foreignscan_path((root), (rel), NULL, (rows), (startup_cost), \
							(total_cost), NIL, (outer), NULL, NIL)
#endif

/* 16: checkAsUser moved from the range table to RTEPermissionInfo */
#if CZ_PG_GE(16)
#define ResultRelUser_compat(rri, estate) \
	ExecGetResultRelCheckAsUser((rri), (estate))
#else
#define ResultRelRte_compat(rri, estate) \
	exec_rt_fetch(((rri)->ri_RootResultRelInfo ? \
				   (rri)->ri_RootResultRelInfo : (rri))->ri_RangeTableIndex, (estate))
#define ResultRelUser_compat(rri, estate) \
	(OidIsValid(ResultRelRte_compat(rri, estate)->checkAsUser) ? \
	 ResultRelRte_compat(rri, estate)->checkAsUser : GetUserId())
#endif

/* the minors of 2026 have WCO_VIEW_CONFLICT_CHECK, as the last one */
#define is_view_conflict_check_compat(kind) ((int) (kind) > (int) WCO_RLS_MERGE_DELETE_CHECK)

/* 17: LockHeldByMe takes whether a stronger mode will do */
#if CZ_PG_GE(17)
#define LockHeldByMe_compat(tag, mode) LockHeldByMe((tag), (mode), false)
#else
#define LockHeldByMe_compat(tag, mode) LockHeldByMe((tag), (mode))
#endif

/* 16: TRUNCATE of a subscription may run as the tables' owners */
#if CZ_PG_GE(16)
#define truncate_guts_compat(rels, relids, logged, behavior, restart) \
	ExecuteTruncateGuts((rels), (relids), (logged), (behavior), (restart), false)
#else
#define truncate_guts_compat(rels, relids, logged, behavior, restart) \
	ExecuteTruncateGuts((rels), (relids), (logged), (behavior), (restart))
#endif

/* 16: flatten_join_alias_vars takes the root, which may be NULL */
#if CZ_PG_GE(16)
#define flatten_join_alias_vars_compat(query, node) \
	flatten_join_alias_vars(NULL, (query), (node))
#else
#define flatten_join_alias_vars_compat(query, node) \
	flatten_join_alias_vars((query), (node))
#endif

/* 16: Vars say which outer joins may make them NULL (commit 2489d76c4906) */
#if CZ_PG_GE(16)
#include "rewrite/rewriteManip.h"
#define remove_nulling_relids_compat(query, rtindex, except) \
	(*(query) = *(Query *) remove_nulling_relids((Node *) (query), \
												 bms_make_singleton(rtindex), (except)))
#else
#define remove_nulling_relids_compat(query, rtindex, except) \
	((void) (query), (void) (rtindex), (void) (except))
#endif

/* 16: find_nonnullable_vars() returns a multi-bitmapset */
#if CZ_PG_GE(16)
#include "access/sysattr.h"
#include "nodes/multibitmapset.h"
#include "optimizer/clauses.h"
#define forces_nonnullable_var_compat(clauses, rti, attno) \
	mbms_is_member((rti), (attno) - FirstLowInvalidHeapAttributeNumber, \
				   find_nonnullable_vars((Node *) (clauses)))
#else
#include "optimizer/clauses.h"
static inline bool
forces_nonnullable_var_compat(List *clauses, Index rti, AttrNumber attno)
{
	ListCell   *lc;

	foreach(lc, find_nonnullable_vars((Node *) clauses))
	{
		Var		   *var = lfirst(lc);

		if (var->varno == rti && var->varattno == attno && var->varlevelsup == 0)
			return true;
	}
	return false;
}
#endif

/* 16: the role that a relation is read as moved to RTEPermissionInfo */
#if CZ_PG_GE(16)
#define rte_check_as_user_compat(query, rte) \
	((rte)->perminfoindex == 0 ? InvalidOid : \
	 getRTEPermissionInfo((query)->rteperminfos, (rte))->checkAsUser)
#else
#define rte_check_as_user_compat(query, rte) ((rte)->checkAsUser)
#endif

/* 16: who uses which columns is in RTEPermissionInfo */
#if CZ_PG_GE(16)
#define CzPermissions_compat RTEPermissionInfo
#define query_permissions_compat(query, rte) \
	getRTEPermissionInfo((query)->rteperminfos, (rte))
#else
#define CzPermissions_compat RangeTblEntry
#define query_permissions_compat(query, rte) (rte)
#endif

/* 16: a query that takes over an RTE must have its permission info too */
#if CZ_PG_GE(16)
#define carry_permissions_compat(query, rte) \
	do { \
		ListCell   *lc_; \
		foreach(lc_, (query)->rtable) \
			((RangeTblEntry *) lfirst(lc_))->perminfoindex = 0; \
	} while (0)
#else
#define carry_permissions_compat(query, rte) ((void) 0)
#endif

/* 16: permission infos live beside the range table, in queries and in plans */
#if CZ_PG_GE(16)
#define rte_permissions_compat(query, rte) \
	((rte)->perminfoindex == 0 ? NULL : \
	 copyObject(getRTEPermissionInfo((query)->rteperminfos, (rte))))
#define plan_add_rte_compat(stmt, rte, perm) \
	do { \
		(stmt)->rtable = lappend((stmt)->rtable, (rte)); \
		(rte)->perminfoindex = 0; \
		if ((perm) != NULL) \
		{ \
			(stmt)->permInfos = lappend((stmt)->permInfos, (perm)); \
			(rte)->perminfoindex = list_length((stmt)->permInfos); \
		} \
	} while (0)
#define query_take_permission_compat(to, rte, from) \
	do { \
		if ((rte)->perminfoindex != 0) \
		{ \
			(to)->rteperminfos = \
				list_make1(copyObject(getRTEPermissionInfo((from)->rteperminfos, (RangeTblEntry *) (rte)))); \
			(rte)->perminfoindex = 1; \
		} \
	} while (0)
#define rte_required_perms_compat(stmt, rte) \
	((rte)->perminfoindex == 0 ? 0 : \
	 getRTEPermissionInfo((stmt)->permInfos, (RangeTblEntry *) (rte))->requiredPerms)
#define rte_updated_cols_compat(stmt, rte) \
	((rte)->perminfoindex == 0 ? NULL : \
	 getRTEPermissionInfo((stmt)->permInfos, (RangeTblEntry *) (rte))->updatedCols)
#define rte_clear_permissions_compat(rte) ((rte)->perminfoindex = 0)
#define query_clear_permissions_compat(query) ((query)->rteperminfos = NIL)
#define query_copy_permissions_compat(to, from) \
	((to)->rteperminfos = copyObject((from)->rteperminfos))
#else
#define rte_permissions_compat(query, rte) NULL
#define plan_add_rte_compat(stmt, rte, perm) \
	((stmt)->rtable = lappend((stmt)->rtable, (rte)))
#define query_take_permission_compat(to, rte, from) ((void) 0)
#define rte_clear_permissions_compat(rte) \
	((rte)->requiredPerms = 0, (rte)->checkAsUser = InvalidOid, \
	 (rte)->selectedCols = NULL, (rte)->insertedCols = NULL, \
	 (rte)->updatedCols = NULL)
#define rte_required_perms_compat(stmt, rte) ((rte)->requiredPerms)
#define rte_updated_cols_compat(stmt, rte) ((rte)->updatedCols)
#define query_clear_permissions_compat(query) ((void) 0)
#define query_copy_permissions_compat(to, from) ((void) 0)
#endif

/* 16: which columns are updated moved from the range table to RTEPermissionInfo */
#if CZ_PG_GE(16)
#define estate_set_updated_columns_compat(estate, rte, columns) \
	do { \
		List	   *infos_ = list_copy((estate)->es_rteperminfos); \
		addRTEPermissionInfo(&infos_, (rte))->updatedCols = (columns); \
		(estate)->es_rteperminfos = infos_; \
	} while (0)
#else
#define estate_set_updated_columns_compat(estate, rte, columns) \
	((void) (estate), (rte)->updatedCols = (columns))
#endif

/* 16: BEFORE ROW triggers tell what came of the row; 18: and are told whether it is
 * MERGE that updates */
#if CZ_PG_GE(18)
#define exec_br_update_triggers_compat(estate, rri, tuple, slot, failure) \
	ExecBRUpdateTriggers(estate, NULL, rri, NULL, tuple, slot, NULL, failure, false)
#define exec_br_delete_triggers_compat(estate, rri, tuple) \
	ExecBRDeleteTriggers(estate, NULL, rri, NULL, tuple, NULL, NULL, NULL, false)
#elif CZ_PG_GE(16)
#define exec_br_update_triggers_compat(estate, rri, tuple, slot, failure) \
	ExecBRUpdateTriggers(estate, NULL, rri, NULL, tuple, slot, NULL, failure)
#define exec_br_delete_triggers_compat(estate, rri, tuple) \
	ExecBRDeleteTriggers(estate, NULL, rri, NULL, tuple, NULL, NULL, NULL)
#else
#define exec_br_update_triggers_compat(estate, rri, tuple, slot, failure) \
	ExecBRUpdateTriggers(estate, NULL, rri, NULL, tuple, slot, failure)
#define exec_br_delete_triggers_compat(estate, rri, tuple) \
	ExecBRDeleteTriggers(estate, NULL, rri, NULL, tuple, NULL)
#endif

/* 16: COPY's range table has permission infos; 18: and says which relations are left after
 * pruning */
#if CZ_PG_GE(18)
#define exec_init_copy_range_table_compat(estate, cstate) \
	ExecInitRangeTable(estate, (cstate)->range_table, (cstate)->rteperminfos, \
					   bms_make_singleton(1))
#elif CZ_PG_GE(16)
#define exec_init_copy_range_table_compat(estate, cstate) \
	ExecInitRangeTable(estate, (cstate)->range_table, (cstate)->rteperminfos)
#else
#define exec_init_copy_range_table_compat(estate, cstate) \
	ExecInitRangeTable(estate, (cstate)->range_table)
#endif

/* 16: what privileges a statement needs moved from the range table to RTEPermissionInfo */
#if CZ_PG_GE(16)
#define check_insert_privileges_compat(pstate, nsitem, columns) \
	((nsitem)->p_perminfo->requiredPerms = ACL_INSERT, \
	 (nsitem)->p_perminfo->insertedCols = (columns), \
	 ExecCheckPermissions((pstate)->p_rtable, list_make1((nsitem)->p_perminfo), true))
#else
#define check_insert_privileges_compat(pstate, nsitem, columns) \
	((nsitem)->p_rte->requiredPerms = ACL_INSERT, \
	 (nsitem)->p_rte->insertedCols = (columns), \
	 ExecCheckRTPerms((pstate)->p_rtable, true))
#endif

/* 17: COPY may go on after a row that cannot be read (ON_ERROR ignore) */
#if CZ_PG_GE(17)
#define copy_row_failed_compat(cstate) \
	((cstate)->opts.on_error != COPY_ON_ERROR_STOP && (cstate)->escontext->error_occurred && \
	 ((cstate)->escontext->error_occurred = false, true))
#define copy_failed_rows_compat(cstate) ((cstate)->num_errors)
#define copy_tells_failed_compat(cstate) \
	((cstate)->opts.log_verbosity >= COPY_LOG_VERBOSITY_DEFAULT)
#else
#define copy_row_failed_compat(cstate) false
#define copy_failed_rows_compat(cstate) UINT64CONST(0)
#define copy_tells_failed_compat(cstate) false
#define PROGRESS_COPY_TUPLES_SKIPPED 6
#endif

/* 18: COPY goes on after so many of them (REJECT_LIMIT); 0: any number */
#if CZ_PG_GE(18)
#define copy_reject_limit_compat(cstate) ((cstate)->opts.reject_limit)
#else
#define copy_reject_limit_compat(cstate) INT64CONST(0)
#endif

/* 16: COPY's defaults are found by column, and a string may stand for one; 17: ON_ERROR */
#if CZ_PG_GE(17)
#define copy_is_plain_compat(cstate) \
	((cstate)->opts.default_print == NULL && (cstate)->opts.on_error == COPY_ON_ERROR_STOP)
#elif CZ_PG_GE(16)
#define copy_is_plain_compat(cstate) ((cstate)->opts.default_print == NULL)
#else
#define copy_is_plain_compat(cstate) ((cstate)->convert_select_flags == NULL)
#endif
#if CZ_PG_GE(16)
#define copy_default_compat(cstate, i) ((cstate)->defexprs[(cstate)->defmap[i]])
#else
#define copy_default_compat(cstate, i) ((cstate)->defexprs[i])
#endif

/* 16: whether the columns of a relation's indexes are known is a flag */
#if CZ_PG_GE(16)
#define relation_forget_index_attrs_compat(rel) ((rel)->rd_attrsvalid = false)
#else
#define relation_forget_index_attrs_compat(rel) ((rel)->rd_indexattr = NULL)
#endif

/* 16: a relation of a query that needs no privileges, read as a role */
#if CZ_PG_GE(16)
#define query_set_user_compat(query, rte, user) \
	do { \
		if ((rte)->perminfoindex != 0) \
		{ \
			RTEPermissionInfo *info_ = getRTEPermissionInfo((query)->rteperminfos, (rte)); \
			info_->requiredPerms = 0; \
			info_->checkAsUser = (user); \
		} \
	} while (0)
#else
#define query_set_user_compat(query, rte, user) \
	((rte)->requiredPerms = 0, (rte)->checkAsUser = (user))
#endif

/* 18: ExecutorRun() does not take whether it is the only run */
#if CZ_PG_GE(18)
#define executor_run_compat(desc, direction, count) ExecutorRun(desc, direction, count)
#else
#define executor_run_compat(desc, direction, count) ExecutorRun(desc, direction, count, true)
#endif

/* 16: a range table is appended together with its permission infos */
#if CZ_PG_GE(16)
#define query_append_rtable_compat(to, from) \
	CombineRangeTables(&(to)->rtable, &(to)->rteperminfos, (from)->rtable, \
					   (from)->rteperminfos)
#else
#define query_append_rtable_compat(to, from) \
	((to)->rtable = list_concat((to)->rtable, (from)->rtable))
#endif

/* 18: the result relation is told, for RETURNING's old and new */
#if CZ_PG_GE(18)
#define replace_vars_compat(node, rti, levels_up, rte, tlist, has_sublinks) \
	ReplaceVarsFromTargetList((node), (rti), (levels_up), (rte), (tlist), 0, \
							  REPLACEVARS_REPORT_ERROR, 0, (has_sublinks))
#else
#define replace_vars_compat(node, rti, levels_up, rte, tlist, has_sublinks) \
	ReplaceVarsFromTargetList((node), (rti), (levels_up), (rte), (tlist), \
							  REPLACEVARS_REPORT_ERROR, 0, (has_sublinks))
#endif

/* Make the deparser use a Var's semantic referent. */
#define var_forget_syntax_compat(var) \
	((var)->varnosyn = 0, (var)->varattnosyn = 0)

/* 16: a Var above an outer join says which join may make it NULL */
#if CZ_PG_GE(16)
#define var_set_nulling_join_compat(var, join_rti) \
	((var)->varnullingrels = bms_make_singleton(join_rti))
#define var_add_nulling_join_compat(var, join_rti) \
	((var)->varnullingrels = bms_add_member((var)->varnullingrels, (join_rti)))
#define var_clear_nulling_compat(var) ((var)->varnullingrels = NULL)
#define var_copy_nulling_compat(to, from) \
	((to)->varnullingrels = bms_copy((from)->varnullingrels))
#define var_keep_nulling_compat(var, joins) \
	((var)->varnullingrels = bms_intersect((var)->varnullingrels, (joins)))
#define var_drop_nulling_compat(var, joins) \
	((var)->varnullingrels = bms_difference((var)->varnullingrels, (joins)))
#else
#define var_clear_nulling_compat(var) ((void) (var))
#define var_copy_nulling_compat(to, from) ((void) (to), (void) (from))
#define var_add_nulling_join_compat(var, join_rti) ((void) 0)
#define var_keep_nulling_compat(var, joins) ((void) (joins))
#define var_drop_nulling_compat(var, joins) ((void) (joins))
#define var_set_nulling_join_compat(var, join_rti) ((void) 0)
#endif

/* 16: permission infos; 16, 18: what run-time pruning shares */
#if CZ_PG_GE(18)
#define estate_share_compat(child, parent) \
	((child)->es_rteperminfos = (parent)->es_rteperminfos, \
	 (child)->es_part_prune_infos = (parent)->es_part_prune_infos, \
	 (child)->es_part_prune_states = (parent)->es_part_prune_states, \
	 (child)->es_part_prune_results = (parent)->es_part_prune_results, \
	 (child)->es_unpruned_relids = (parent)->es_unpruned_relids)
#elif CZ_PG_GE(16)
#define estate_share_compat(child, parent) \
	((child)->es_rteperminfos = (parent)->es_rteperminfos)
#else
#define estate_share_compat(child, parent) ((void) (child), (void) (parent))
#endif

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

/* 17: the expression of a generated column can be changed */
#if CZ_PG_GE(17)
#define AT_IS_SET_EXPRESSION_COMPAT(subtype) ((subtype) == AT_SetExpression)
#else
#define AT_IS_SET_EXPRESSION_COMPAT(subtype) ((void) (subtype), false)
#endif

/* 17: partitions have the identity columns of their parent, which a leaf of ours has not */
#define CZ_IDENTITY_RECURSES CZ_PG_GE(17)

/* 18: that a table has no partitions is an error of the kind of relation */
#if CZ_PG_GE(18)
#define ERRCODE_NOT_PARTITIONED_COMPAT ERRCODE_WRONG_OBJECT_TYPE
#define errmsg_not_partitioned_compat(relid, action) \
	(errmsg("ALTER action %s cannot be performed on relation \"%s\"", (action), get_rel_name(relid)), \
	 errdetail_relkind_not_supported(RELKIND_RELATION))
#else
#define ERRCODE_NOT_PARTITIONED_COMPAT ERRCODE_INVALID_OBJECT_DEFINITION
#define errmsg_not_partitioned_compat(relid, action) \
	((void) (action), errmsg("table \"%s\" is not partitioned", get_rel_name(relid)))
#endif

/* 17: other words, and a hint */
#if CZ_PG_GE(17)
#define REINDEX_SKIPS_COMPAT "skipping reindex of invalid index \"%s.%s\""
#define errhint_reindex_compat() errhint("Use DROP INDEX or REINDEX INDEX.")
#else
#define REINDEX_SKIPS_COMPAT "cannot reindex invalid index \"%s.%s\" concurrently, skipping"
#define errhint_reindex_compat() ((void) 0)
#endif

/* 16: other words for who may not VACUUM or ANALYZE */
#if CZ_PG_GE(16)
#define errmsg_not_maintainer_compat(relname, verb) \
	errmsg("permission denied to %s \"%s\", skipping it", (verb), (relname))
#else
#define errmsg_not_maintainer_compat(relname, verb) \
	errmsg("skipping \"%s\" --- only table or database owner can %s it", (relname), (verb))
#endif

/* 17: a privilege to VACUUM, ANALYZE, REINDEX and the like, which an owner has, too */
#if CZ_PG_GE(17)
#define may_maintain_compat(relid) \
	(pg_class_aclcheck((relid), GetUserId(), ACL_MAINTAIN) == ACLCHECK_OK)
#define ACLCHECK_NOT_MAINTAINER_COMPAT ACLCHECK_NO_PRIV
#define cluster_callback_compat RangeVarCallbackMaintainsTable
#else
#define cluster_callback_compat RangeVarCallbackOwnsRelation
#define ACLCHECK_NOT_MAINTAINER_COMPAT ACLCHECK_NOT_OWNER
#define may_maintain_compat(relid) class_ownercheck_compat((relid), GetUserId())
#endif

/* 16: one ownership check for all kinds of objects */
#if CZ_PG_GE(16)
#define database_ownercheck_compat(database_oid, role_oid) \
	object_ownercheck(DatabaseRelationId, (database_oid), (role_oid))
#else
#define database_ownercheck_compat(database_oid, role_oid) \
	pg_database_ownercheck((database_oid), (role_oid))
#endif

/* 18: generated columns that are computed as they are read */
#if CZ_PG_GE(18)
#define is_virtual_column_compat(att) ((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define is_virtual_column_compat(att) ((void) (att), false)
#endif

/* 18: NOT NULL is a constraint with a name, which need not be validated */
#if CZ_PG_GE(18)
#include "catalog/heap.h"
#include "catalog/pg_constraint.h"
#define not_null_constraints_compat(relid) RelationGetNotNullConstraints((relid), true, false)
#define add_not_null_constraints_compat(rel, cooked) \
	((void) AddRelationNotNullConstraints((rel), NIL, (cooked), NIL))
#define not_null_is_valid_compat(desc, attno) \
	(TupleDescCompactAttr((desc), (attno) - 1)->attnullability != ATTNULLABLE_INVALID)
/* a partition's, that its parent has too */
static inline bool
not_null_is_inherited_compat(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = findNotNullConstraintAttnum(relid, attno);
	bool		result = HeapTupleIsValid(tuple) &&
		((Form_pg_constraint) GETSTRUCT(tuple))->coninhcount > 0;

	if (HeapTupleIsValid(tuple))
		heap_freetuple(tuple);
	return result;
}
#else
#define not_null_is_inherited_compat(relid, attno) ((void) (relid), (void) (attno), false)
#define not_null_constraints_compat(relid) ((void) (relid), NIL)
#define add_not_null_constraints_compat(rel, cooked) ((void) (rel), (void) (cooked))
#define not_null_is_valid_compat(desc, attno) ((void) (desc), (void) (attno), true)
#endif
#define CONSTRAINT_NOTNULL_COMPAT 'n'

/* 18: constraints that are not enforced, foreign keys by periods */
#if CZ_PG_GE(18)
#define constraint_is_enforced_compat(con) ((con)->conenforced)
#define constraint_has_period_compat(con) ((con)->conperiod)
#define constraint_set_enforced_compat(constraint, check) \
	((constraint)->is_enforced = (check)->ccenforced)
#else
#define constraint_set_enforced_compat(constraint, check) ((void) (constraint))
#define constraint_is_enforced_compat(con) ((void) (con), true)
#define constraint_has_period_compat(con) ((void) (con), false)
#endif

/* 18: periods, constraints that are not enforced */
#define create_trigger_constraint_compat(name, namespace_oid, deferrable, deferred, relid) \
	CreateConstraintEntry((name), (namespace_oid), CONSTRAINT_TRIGGER, (deferrable), \
						  (deferred), CZ_IS_ENFORCED true, InvalidOid, (relid), NULL, 0, 0, \
						  InvalidOid, InvalidOid, InvalidOid, NULL, NULL, NULL, NULL, 0, ' ', \
						  ' ', NULL, 0, ' ', NULL, NULL, NULL, true, 0, true, \
						  CZ_HAS_PERIOD false)
#if CZ_PG_GE(18)
#define CZ_IS_ENFORCED true,
#define CZ_HAS_PERIOD false,
#else
#define CZ_IS_ENFORCED
#define CZ_HAS_PERIOD
#endif

/* 16: the trigger's parent, and whether partitions follow */
#if CZ_PG_GE(16)
#define enable_trigger_compat(rel, name, fires_when) \
	EnableDisableTrigger((rel), (name), InvalidOid, (fires_when), false, false, NoLock)
#else
#define enable_trigger_compat(rel, name, fires_when) \
	EnableDisableTrigger((rel), (name), (fires_when), false, NoLock)
#endif

/* 16: one function for the ACLs of all kinds of objects */
#if CZ_PG_GE(16)
#define function_aclcheck_compat(function_oid, role_oid) \
	object_aclcheck(ProcedureRelationId, (function_oid), (role_oid), ACL_EXECUTE)
#else
#define function_aclcheck_compat(function_oid, role_oid) \
	pg_proc_aclcheck((function_oid), (role_oid), ACL_EXECUTE)
#endif

/*
 * The input buffer: libpq/libpq.h wants GSSAPI's headers, which need not be installed.
 * 17: it tells how much there is
 */
extern void pq_startmsgread(void);
extern void pq_endmsgread(void);
extern int	pq_peekbyte(void);
#if CZ_PG_GE(17)
extern ssize_t pq_buffer_remaining_data(void);
#define pq_buffer_has_data_compat() (pq_buffer_remaining_data() > 0)
#else
extern bool pq_buffer_has_data(void);
#define pq_buffer_has_data_compat() pq_buffer_has_data()
#endif

/* 16: a setting's record is looked up by name; before, it has to be searched for */
#include "utils/guc_tables.h"
#if CZ_PG_GE(16)
#define find_setting_compat(name) find_option((name), false, true, DEBUG1)
#else
static inline struct config_generic *
find_setting_compat(const char *name)
{
	int			i;

	for (i = 0; i < GetNumConfigOptions(); i++)
	{
		if (pg_strcasecmp(get_guc_variables()[i]->name, name) == 0)
			return get_guc_variables()[i];
	}
	return NULL;
}
#endif

/* 16: one ownership check for all kinds of objects */
#if CZ_PG_GE(16)
#define class_ownercheck_compat(relid, role_oid) \
	object_ownercheck(RelationRelationId, (relid), (role_oid))
#define function_ownercheck_compat(function_oid, role_oid) \
	object_ownercheck(ProcedureRelationId, (function_oid), (role_oid))
#define namespace_ownercheck_compat(namespace_oid, role_oid) \
	object_ownercheck(NamespaceRelationId, (namespace_oid), (role_oid))
#else
#define class_ownercheck_compat(relid, role_oid) pg_class_ownercheck((relid), (role_oid))
#define function_ownercheck_compat(function_oid, role_oid) \
	pg_proc_ownercheck((function_oid), (role_oid))
#define namespace_ownercheck_compat(namespace_oid, role_oid) \
	pg_namespace_ownercheck((namespace_oid), (role_oid))
#endif

/* 16: relation file "nodes" became "numbers" and "locators", errors may be soft */
#if CZ_PG_GE(16)
#define GetNewRelFileNumber_compat(tablespace, persistence) \
	GetNewRelFileNumber((tablespace), NULL, (persistence))
#define rd_locator_compat(rel) ((rel)->rd_locator)
#define RelFileLocator_compat RelFileLocator
#define relation_set_new_filenode_compat relation_set_new_filelocator
#define RelFileNumber_compat RelFileNumber
#define binary_upgrade_next_index_relfile_compat \
	binary_upgrade_next_index_pg_class_relfilenumber
#define stringToQualifiedNameList_compat(string) stringToQualifiedNameList((string), NULL)
#else
#define GetNewRelFileNumber_compat(tablespace, persistence) \
	GetNewRelFileNode((tablespace), NULL, (persistence))
#define rd_locator_compat(rel) ((rel)->rd_node)
#define RelFileLocator_compat RelFileNode
#define relation_set_new_filenode_compat relation_set_new_filenode
#define RelFileNumber_compat Oid
#define binary_upgrade_next_index_relfile_compat \
	binary_upgrade_next_index_pg_class_relfilenode
#define stringToQualifiedNameList_compat(string) stringToQualifiedNameList((string))
#endif

/* 17: what a tuple descriptor does not hold is given apart; 18: no add_column_mode */
#define insert_attributes_compat(catalog, desc, relid) \
	InsertPgAttributeTuples((catalog), (desc), (relid), NULL, NULL)
#if CZ_PG_GE(18)
#define store_attr_default_compat(rel, attno, expr) \
	StoreAttrDefault((rel), (attno), (expr), true)
#else
#define store_attr_default_compat(rel, attno, expr) \
	StoreAttrDefault((rel), (attno), (expr), true, false)
#endif

/* 17: reindex_relation takes the statement; statistics targets may be null and are
 * two bytes; the ICU locale of a collation is its locale */
#if CZ_PG_GE(17)
#define reindex_relation_compat(relid, flags, params) \
	reindex_relation(NULL, (relid), (flags), (params))
#define DatumGetStatisticsTarget_compat(datum) ((int) DatumGetInt16(datum))
#define Anum_pg_collation_locale_compat Anum_pg_collation_colllocale
#else
#define reindex_relation_compat(relid, flags, params) \
	reindex_relation((relid), (flags), (params))
#define DatumGetStatisticsTarget_compat(datum) ((int) DatumGetInt32(datum))
#define Anum_pg_collation_locale_compat Anum_pg_collation_colliculocale
#endif

/* 16: tailoring rules of ICU collations */
#if CZ_PG_GE(16)
#define Anum_pg_collation_collicurules_compat Anum_pg_collation_collicurules
#else
#define Anum_pg_collation_collicurules_compat InvalidAttrNumber
#endif

/* 17: the local transaction id moved into PGPROC's vxid */
#if CZ_PG_GE(17)
#define MyLocalTransactionId_compat() (MyProc->vxid.lxid)
#else
#define MyLocalTransactionId_compat() (MyProc->lxid)
#endif

/* 18: deferrable primary keys on request only, as before */
#if CZ_PG_GE(18)
#define RelationGetPrimaryKeyIndex_compat(rel) RelationGetPrimaryKeyIndex((rel), false)
#else
#define RelationGetPrimaryKeyIndex_compat(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* 17: a sub-query is told of the set operation that it is part of */
#if CZ_PG_GE(17)
#define subquery_planner_compat(glob, query) \
	subquery_planner((glob), (query), NULL, false, 0.0, NULL)
#else
#define subquery_planner_compat(glob, query) \
	subquery_planner((glob), (query), NULL, false, 0.0)
#endif

/* 18: a path key has a comparison, not the strategy of a btree */
#if CZ_PG_GE(18)
#define pathkey_operator_compat(pathkey, type) \
	get_opfamily_member_for_cmptype((pathkey)->pk_opfamily, (type), (type), \
									(pathkey)->pk_cmptype)
#else
#define pathkey_operator_compat(pathkey, type) \
	get_opfamily_member((pathkey)->pk_opfamily, (type), (type), (pathkey)->pk_strategy)
#endif

/*
 * 18: some types have hash functions of their own, which workers of older majors lack; the
 * values are those of hash_base_compat(), or InvalidOid where there was none for the type.
 */
#if CZ_PG_GE(18)
static inline Oid
hash_base_compat(Oid function)
{
	switch (function)
	{
		case F_HASHDATEEXTENDED:
			return F_HASHINT4EXTENDED;
		case F_HASHBOOLEXTENDED:
		case F_HASHBYTEAEXTENDED:
		case F_HASHCIDEXTENDED:
		case F_HASHXIDEXTENDED:
		case F_HASHXID8EXTENDED:
		case F_TIMESTAMPTZ_HASH_EXTENDED:
			return InvalidOid;
		default:
			return function;
	}
}
#else
#define hash_base_compat(function) (function)
#endif

/* 18: grouping expressions are columns of a range-table entry */
#define CZ_HAS_GROUP_ENTRIES CZ_PG_GE(18)
#if CZ_PG_GE(18)
#define rte_group_expr_compat(rte, attno) \
	((rte)->rtekind == RTE_GROUP ? (Node *) list_nth((rte)->groupexprs, (attno) - 1) : NULL)
#else
#define rte_group_expr_compat(rte, attno) NULL
#endif

/* 18: interpretations of operators are those of any index method */
#if CZ_PG_GE(18)
#define get_op_interpretation_compat(opno) get_op_index_interpretation(opno)
#define interpretation_orders_compat(interpretation) \
	(((OpIndexInterpretation *) (interpretation))->cmptype != COMPARE_EQ && \
	 ((OpIndexInterpretation *) (interpretation))->cmptype != COMPARE_NE)
#else
#define get_op_interpretation_compat(opno) get_op_btree_interpretation(opno)
#define interpretation_orders_compat(interpretation) \
	(((OpBtreeInterpretation *) (interpretation))->strategy != BTEqualStrategyNumber && \
	 ((OpBtreeInterpretation *) (interpretation))->strategy != ROWCOMPARE_NE)
#endif

/*
 * MyProcNumber_compat: index of this process among all.  PGPROC.pgprocno became
 * MyProcNumber, 024c52111757 (17).
 */
#if CZ_PG_GE(17)
#define MyProcNumber_compat MyProcNumber
#else
#define MyProcNumber_compat (MyProc->pgprocno)
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

/* 17: random() of a range, so each has its arguments in its name */
#if CZ_PG_GE(17)
#define F_RANDOM_compat F_RANDOM_
#else
#define F_RANDOM_compat F_RANDOM
#endif

/* 18: the kind of slots is told (NULL: any), and where the table itself is kept */
#if CZ_PG_GE(18)
#define BuildTupleHashTable_compat(parent, desc, n, columns, equal, hash, collations, nbuckets, \
								   extra, table_context, row_context, varies) \
	BuildTupleHashTable((parent), (desc), NULL, (n), (columns), (equal), (hash), (collations), \
						(nbuckets), (extra), (table_context), (table_context), (row_context), \
						(varies))
#else
#define BuildTupleHashTable_compat BuildTupleHashTable
#endif

/* 18: comparisons are not those of btree alone; a collation lost its symbol, not its OID */
#if CZ_PG_GE(18)
#define get_op_btree_interpretation_compat get_op_index_interpretation
#define ordering_kind_compat CompareType
#define ORDERING_GREATER_compat COMPARE_GT
#define POSIX_COLLATION_OID_compat 951
#else
#define get_op_btree_interpretation_compat get_op_btree_interpretation
#define ordering_kind_compat int16
#define ORDERING_GREATER_compat BTGreaterStrategyNumber
#define POSIX_COLLATION_OID_compat POSIX_COLLATION_OID
#endif

/* 18: whether a collation is C is told by its locale */
#if CZ_PG_GE(18)
#define collate_is_c_compat(collation) (pg_newlocale_from_collation(collation)->collate_is_c)
#else
#define collate_is_c_compat(collation) lc_collate_is_c(collation)
#endif

/* 16: the counters of a table lost their prefix */
#if CZ_PG_GE(16)
#define live_tuples_compat live_tuples
#else
#define live_tuples_compat n_live_tuples
#endif

/* The rows of a relation without storage; 18: frozen pages, too */
#if CZ_PG_GE(18)
#define vac_update_relstats_compat(rel, rows) \
	vac_update_relstats((rel), -1, (rows), 0, 0, (rel)->rd_rel->relhasindex, \
						InvalidTransactionId, InvalidMultiXactId, NULL, NULL, true)
#else
#define vac_update_relstats_compat(rel, rows) \
	vac_update_relstats((rel), -1, (rows), 0, (rel)->rd_rel->relhasindex, \
						InvalidTransactionId, InvalidMultiXactId, NULL, NULL, true)
#endif

/* 16: made by core when it is needed */
#if CZ_PG_GE(16)
#define rri_set_root_map_compat(rri, map) ((void) (map))
#else
#define rri_set_root_map_compat(rri, map) ((rri)->ri_RootToPartitionMap = (map))
#endif

/* 18: told when it began */
#if CZ_PG_GE(18)
#define pgstat_report_analyze_compat(rel) \
	pgstat_report_analyze((rel), 0, 0, true, GetCurrentTimestamp())
#else
#define pgstat_report_analyze_compat(rel) pgstat_report_analyze((rel), 0, 0, true)
#endif

/*
 * 18: a session keeps the keys with which its client has logged in (commit 761c79508e7f);
 * authenticated_user_compat: who that was.  scram_keys_of_compat: the keys of a password.
 */
#if CZ_PG_GE(18)
#include "common/base64.h"
#include "common/scram-common.h"
/* GSSAPI's headers are not needed to build an extension, and Port looks the same without */
#undef ENABLE_GSS
#include "libpq/libpq-be.h"
#include "libpq/scram.h"
#include "miscadmin.h"
#define CZ_HAS_SESSION_KEYS_COMPAT true
#define authenticated_user_compat() GetAuthenticatedUserId()
static inline char *
encode_key_compat(const uint8 *key)
{
	int			size = pg_b64_enc_len(SCRAM_SHA_256_KEY_LEN) + 1;
	char	   *result = palloc0(size);

	if (pg_b64_encode(key, SCRAM_SHA_256_KEY_LEN, result, size) < 0)
		elog(ERROR, "could not encode a SCRAM key");
	return result;
}

static inline bool
session_scram_keys_compat(char **client_key, char **server_key)
{
	if (MyProcPort == NULL || !MyProcPort->has_scram_keys)
		return false;
	*client_key = encode_key_compat(MyProcPort->scram_ClientKey);
	*server_key = encode_key_compat(MyProcPort->scram_ServerKey);
	return true;
}

static inline bool
scram_keys_of_compat(const char *verifier, const char *password, char **client_key,
					 char **server_key)
{
	int			iterations;
	pg_cryptohash_type hash;
	int			length;
	char	   *salt;
	uint8		salt_bytes[256];
	int			nsalt;
	uint8		stored[SCRAM_MAX_KEY_LEN];
	uint8		server[SCRAM_MAX_KEY_LEN];
	uint8		salted[SCRAM_MAX_KEY_LEN];
	uint8		client[SCRAM_MAX_KEY_LEN];
	const char *error = NULL;

	if (!parse_scram_secret(verifier, &iterations, &hash, &length, &salt, stored, server))
		return false;
	nsalt = pg_b64_decode(salt, strlen(salt), salt_bytes, sizeof(salt_bytes));
	if (nsalt < 0 ||
		scram_SaltedPassword(password, hash, length, salt_bytes, nsalt, iterations, salted,
							 &error) < 0 ||
		scram_ClientKey(salted, hash, length, client, &error) < 0)
		return false;
	*client_key = encode_key_compat(client);
	*server_key = encode_key_compat(server);
	return true;
}
#else
#define CZ_HAS_SESSION_KEYS_COMPAT false
#define authenticated_user_compat() InvalidOid
#define session_scram_keys_compat(client_key, server_key) \
	((void) (client_key), (void) (server_key), false)
#define scram_keys_of_compat(verifier, password, client_key, server_key) \
	((void) (verifier), (void) (password), (void) (client_key), (void) (server_key), false)
#endif

/* 18: options of EXPLAIN that extensions have (commit c65bc2e1d14a) */
#if CZ_PG_GE(18)
#define register_explain_option_compat(name, handler) \
	RegisterExtensionExplainOption((name), (handler))
#define set_explain_state_compat(es, state) \
	SetExplainExtensionState((es), GetExplainExtensionId("cz_fdw"), (state))
#define explain_state_compat(es) \
	GetExplainExtensionState((es), GetExplainExtensionId("cz_fdw"))
#else
#define register_explain_option_compat(name, handler) ((void) (name), (void) (handler))
#define set_explain_state_compat(es, state) ((void) (es), (void) (state))
#define explain_state_compat(es) ((void) (es), NULL)
#endif

/*
 * node_major_compat: the first PostgreSQL that can read the text of a node, as far as there are
 * later ones than 14; functions not looked at.  MERGE came with 15.
 */
#include "nodes/parsenodes.h"
#if CZ_PG_GE(17)
#include "catalog/pg_type_d.h"
#include "utils/timestamp.h"
#endif
static inline int
node_major_compat(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Query:
			if (((Query *) node)->commandType != CMD_MERGE)
				return 14;
			return ((Query *) node)->returningList != NIL ||
				!merge_is_of_15_compat((Query *) node) ? 17 : 15;
#if CZ_PG_GE(16)
		case T_JsonConstructorExpr:
		case T_JsonIsPredicate:
		case T_JsonValueExpr:
			return 16;
#endif
#if CZ_PG_GE(17)
		case T_JsonExpr:
		case T_MergeSupportFunc:
			return 17;
		case T_TableFunc:
			return ((TableFunc *) node)->functype == TFT_JSON_TABLE ? 17 : 14;
		case T_Const:
			return ((Const *) node)->consttype == INTERVALOID && !((Const *) node)->constisnull &&
				INTERVAL_NOT_FINITE(DatumGetIntervalP(((Const *) node)->constvalue)) ? 17 : 14;
#endif
#if CZ_PG_GE(18)
		case T_ReturningExpr:
			return 18;
		case T_Var:
			return ((Var *) node)->varreturningtype != VAR_RETURNING_DEFAULT ? 18 : 14;
#endif
		default:
			return 14;
	}
}

/* 17: the expression of DEFAULT in an SQL/JSON function, or NULL */
static inline Node *
json_default_compat(Node *node)
{
#if CZ_PG_GE(17)
	if (IsA(node, JsonBehavior) && ((JsonBehavior *) node)->btype == JSON_BEHAVIOR_DEFAULT)
		return ((JsonBehavior *) node)->expr;
#endif
	return NULL;
}

/* 17: of JSON_TABLE a copy that has what is passed only once, as it is printed; or NULL */
static inline Node *
json_table_compat(Node *node)
{
#if CZ_PG_GE(17)
	if (IsA(node, TableFunc) && ((TableFunc *) node)->functype == TFT_JSON_TABLE)
	{
		TableFunc  *result = (TableFunc *) copyObject(node);
		ListCell   *lc;

		result->passingvalexprs = NIL;
		foreach(lc, result->colvalexprs)
		{
			if (lfirst(lc) != NULL)
				lfirst_node(JsonExpr, lc)->passing_values = NIL;
		}
		return (Node *) result;
	}
#endif
	return NULL;
}

#endif							/* CZ_COMPAT_H */
