/*-------------------------------------------------------------------------
 *
 * planner.h
 *	  From a Query to fragments: locus analysis, rewriting, deparsing.
 *
 * Opens no socket.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_PLANNER_H
#define CZ_PLANNER_H

#include "cz/fragment.h"
#include "nodes/pathnodes.h"

extern void CzPlannerInit(void);

/* EXPLAIN is running: statements are planned as they stand. */
extern bool cz_plan_is_shown;

/*
 * CzPlanRelScan
 *		A fragment plan that reads columns of one foreign table or shard: for
 *		the FDW's own ForeignScan (targets of UPDATE and DELETE that are not
 *		pushed down whole).
 *
 * attnos: int list of attribute numbers wanted, in this order;
 *		SelfItemPointerAttributeNumber (-1) asks for ctid.
 * quals:  RestrictInfos; what can be sent is sent, the rest is returned in
 *		*local_quals (RestrictInfos).
 * params: out: expressions of the parameters, for fdw_exprs.
 * lock_rows: append FOR UPDATE.
 */
extern CzFragmentPlan *CzPlanRelScan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
									 List *attnos, List *quals, bool lock_rows,
									 List **local_quals, List **params);

/*
 * CzPartialAggregateName, CzPartialAggregateOf
 *		The name of the aggregate of schema cz_partial that returns the transition
 *		states of an aggregate; that aggregate, InvalidOid if there is none or it
 *		does not fit any more.
 */
extern char *CzPartialAggregateName(Oid aggfnoid);
extern Oid	CzPartialAggregateOf(Oid aggfnoid);

/*
 * cz_is_shippable_stable
 *		Is it a built-in stable function that a worker computes as the coordinator does?
 */
extern bool cz_is_shippable_stable(Oid funcid);

/*
 * cz_collation_is_sure
 *		Do all workers order by a collation as we do?
 */
extern bool cz_collation_is_sure(Oid collation);

#endif							/* CZ_PLANNER_H */
