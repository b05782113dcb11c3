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

#endif							/* CZ_COMPAT_H */
