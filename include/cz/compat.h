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

#include "pg_config.h"

#define CZ_PG_GE(major) (PG_VERSION_NUM >= (major) * 10000)

#if !CZ_PG_GE(15) || CZ_PG_GE(19)
#error "cz_fdw builds on PostgreSQL 15 to 18"
#endif

#if CZ_PG_GE(16)
#include "varatt.h"				/* split off postgres.h in 16 */
#endif

#if CZ_PG_GE(18)
#include "commands/explain_format.h"	/* split off explain.h in 18 */
#include "commands/explain_state.h"
#endif

/* 17: CreateWaitEventSet takes a resource owner, not a memory context */
#if CZ_PG_GE(17)
#define CreateWaitEventSet_compat(nevents) \
	CreateWaitEventSet(NULL, (nevents))
#else
#define CreateWaitEventSet_compat(nevents) \
	CreateWaitEventSet(CurrentMemoryContext, (nevents))
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

/* 17: LockHeldByMe takes whether a stronger mode will do */
#if CZ_PG_GE(17)
#define LockHeldByMe_compat(tag, mode) LockHeldByMe((tag), (mode), false)
#else
#define LockHeldByMe_compat(tag, mode) LockHeldByMe((tag), (mode))
#endif

#endif							/* CZ_COMPAT_H */
