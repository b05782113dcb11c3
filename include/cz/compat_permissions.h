/*-------------------------------------------------------------------------
 *
 * compat_permissions.h
 *	  As whom the relations of a query are read and written: in the range table, since 16
 *	  beside it.
 *
 * A part of compat.h, which alone includes it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COMPAT_PERMISSIONS_H
#define CZ_COMPAT_PERMISSIONS_H

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

/* 16: a range table is appended together with its permission infos */
#if CZ_PG_GE(16)
#define query_append_rtable_compat(to, from) \
	CombineRangeTables(&(to)->rtable, &(to)->rteperminfos, (from)->rtable, \
					   (from)->rteperminfos)
#else
#define query_append_rtable_compat(to, from) \
	((to)->rtable = list_concat((to)->rtable, (from)->rtable))
#endif

#endif							/* CZ_COMPAT_PERMISSIONS_H */
