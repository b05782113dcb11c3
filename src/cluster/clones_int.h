/*-------------------------------------------------------------------------
 *
 * clones_int.h
 *	  Private to src/cluster: standbys of workers that are to become workers.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_CLONES_INT_H
#define CZ_CLONES_INT_H

#include "cz/metadata.h"
#include "fmgr.h"

/*
 * CzCloneCheck
 *		Is a clone a streaming standby of its primary, for which commits there do not wait?
 *
 * may_promote: out, if not NULL: may our role promote it?
 * Errors: 55000, 08001.
 */
extern void CzCloneCheck(const CzNode *clone, const CzNode *primary, bool *may_promote);

/* 55000 if a node is none. */
extern void CzCloneCheckIs(const CzNode *node);

/* The node whose id is an argument.  Errors: 42704, 22004. */
extern CzNode *CzCloneNodeOfId(FunctionCallInfo fcinfo, int arg);

#endif							/* CZ_CLONES_INT_H */
