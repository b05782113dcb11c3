/*-------------------------------------------------------------------------
 *
 * append_int.h
 *	  Private to src/cluster: what is appended to a range table.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_APPEND_INT_H
#define CZ_APPEND_INT_H

#include "postgres.h"

/* Rows to be appended, as a relation here. */
typedef struct CzAppendSource
{
	char	   *qualified;		/* its name, quoted */
	char	   *columns;		/* of the table that it is appended to, quoted, with commas */
	bool		is_ours;		/* a foreign table that was made for it */
} CzAppendSource;

/*
 * append_source.c
 *
 * CzAppendSourceHere: an ordinary, distributed, reference or foreign table, or a view, of
 *		this server; locked against writers if the user may do that.
 * CzAppendSourceThere: a table of a worker, read as the user's role there and locked against
 *		writers; takes USAGE on the server.  name: as there; without a schema: in public.
 * CzAppendSourceEnd: forget what was made for it.
 *
 * relid: what it is appended to.
 * Errors: 42703 if the columns are not the same but for generated ones, 42P01, 42501.
 */
extern void CzAppendSourceHere(CzAppendSource *source, Oid source_relid, Oid relid);
extern void CzAppendSourceThere(CzAppendSource *source, Oid server_oid, const char *name,
								Oid relid);
extern void CzAppendSourceEnd(CzAppendSource *source);

#endif							/* CZ_APPEND_INT_H */
