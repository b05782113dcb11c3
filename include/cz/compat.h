/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between the PostgreSQL majors that cz_fdw builds on.
 *
 * No other file tests PG_VERSION_NUM, or includes the parts that are headers of their own
 * (compat_*.h): who needs a shim includes this one.  A shim is named <thing>_compat and
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

/* 18: a foreign key with RESTRICT says 23001, older ones 23503 as every other does */
#define RESTRICT_ERRCODE_COMPAT \
	(CZ_PG_GE(18) ? ERRCODE_RESTRICT_VIOLATION : ERRCODE_FOREIGN_KEY_VIOLATION)

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

#include "cz/compat_permissions.h"

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

#include "cz/compat_copy.h"

/* 16: whether the columns of a relation's indexes are known is a flag */
#if CZ_PG_GE(16)
#define relation_forget_index_attrs_compat(rel) ((rel)->rd_attrsvalid = false)
#else
#define relation_forget_index_attrs_compat(rel) ((rel)->rd_indexattr = NULL)
#endif

/* 18: ExecutorRun() does not take whether it is the only run */
#if CZ_PG_GE(18)
#define executor_run_compat(desc, direction, count) ExecutorRun(desc, direction, count)
#else
#define executor_run_compat(desc, direction, count) ExecutorRun(desc, direction, count, true)
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

#include "cz/compat_returning.h"

/* 17: IN with a sub-query that refers to the query around it can become a join */
#define CZ_JOINS_CORRELATED_ANY CZ_PG_GE(17)

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

/* 18: pg_restore_attribute_stats() */
#define CZ_IMPORTS_STATISTICS_COMPAT CZ_PG_GE(18)

/* 18: told when it began */
#if CZ_PG_GE(18)
#define pgstat_report_analyze_compat(rel) \
	pgstat_report_analyze((rel), 0, 0, true, GetCurrentTimestamp())
#else
#define pgstat_report_analyze_compat(rel) pgstat_report_analyze((rel), 0, 0, true)
#endif

#include "cz/compat_scram.h"

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

#include "cz/compat_majors.h"

#include "cz/compat_json.h"

#endif							/* CZ_COMPAT_H */
