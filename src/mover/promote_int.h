/*-------------------------------------------------------------------------
 *
 * promote_int.h
 *	  Private to src/mover: a clone becomes a node.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_PROMOTE_INT_H
#define CZ_PROMOTE_INT_H

#include "cz/move.h"
#include "datatype/timestamp.h"
#include "mover_int.h"

typedef struct CzPromotion
{
	CzMove	   *move;			/* its row of cz.move; source: the primary, target: the clone */
	CzPromotePlan *plan;
	TimestampTz started_at;
	int64		token;			/* number of the last row that was written on the primary */
	bool		has_token;		/* the clone has got the table */
	MemoryContext context;		/* of an attempt */
	List	   *groups;			/* CzMove * for each group that the clone takes; in context */
	CzMove		all;			/* their tables together */
} CzPromotion;

/*
 * clone_side.c
 *
 * CzCloneCheckTime: 57014 if the time is over that the clone had to catch up.
 * CzCloneTokenMake: the table CZ_PROMOTE_TOKEN on the primary.
 * CzCloneSees: does the clone see within limit_ms what is committed on the primary now?
 * CzClonePromote: promote it, or wait until somebody has.
 * CzCloneForgetPrepared: roll back what is prepared there.
 * CzCloneIdentify: a word by which it is known from now on, beside the primary's; palloc'd.
 * CzCloneForgetPrimary: the primary's word goes.
 * CzCloneMarkLeftOver: tables that the clone has and does not take: marked there, and on the
 *		clean-up list of this transaction.
 */
extern void CzCloneCheckTime(const CzPromotion *p);
extern void CzCloneTokenMake(const CzPromotion *p);
extern bool CzCloneSees(CzPromotion *p, bool is_locked, int limit_ms);
extern void CzClonePromote(CzPromotion *p);
extern void CzCloneForgetPrepared(const CzPromotion *p);
extern char *CzCloneIdentify(const CzPromotion *p);
extern void CzCloneForgetPrimary(Oid clone_oid);
extern void CzCloneMarkLeftOver(const CzPromotion *p);

#endif							/* CZ_PROMOTE_INT_H */
