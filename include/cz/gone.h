/*-------------------------------------------------------------------------
 *
 * gone.h
 *	  What no lock holds may have been dropped by another session meanwhile: errors that
 *	  say so, where core's say XX000 or nothing looks.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_GONE_H
#define CZ_GONE_H

#include "storage/lockdefs.h"
#include "utils/relcache.h"

#include "cz/compat.h"

/*
 * CzObjectIsGone
 *		It was there when the statement began.  kind: "relation", "function", ...
 *
 * Errors:  42P01, 42883 or 42704.
 */
pg_noreturn extern void CzObjectIsGone(const char *kind, Oid oid);

/* As get_rel_name() and relation_open(), but for such an error (42P01). */
extern char *CzNameOf(Oid relid);
extern Relation CzOpenRelation(Oid relid, LOCKMODE lockmode);

#endif							/* CZ_GONE_H */
