/*-------------------------------------------------------------------------
 *
 * fdw_int.h
 *	  Private to src/fdw: the parts of the FdwRoutine and the readers of
 *	  options.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_FDW_INT_H
#define CZ_FDW_INT_H

#include "cz/metadata.h"
#include "cz/remote.h"
#include "cz/writer.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"
#include "utils/sampling.h"

struct pg_result;

/* in options.c */

/* The value of an option, or NULL; borrowed from the list. */
extern const char *CzFdwOption(List *options, const char *name);

/* The table's value if set, else the server's, else the default. */
extern bool CzFdwBoolOption(ForeignTable *table, const char *name, bool default_value);
extern int	CzFdwIntOption(ForeignTable *table, const char *name, int default_value);
extern double CzFdwRealOption(ForeignTable *table, const char *name, double default_value);

/* Each fills in its file's callbacks. */
extern void CzFdwAnalyzeRoutine(FdwRoutine *routine);
extern void CzFdwImportRoutine(FdwRoutine *routine);
extern void CzFdwModifyRoutine(FdwRoutine *routine);
extern void CzFdwScanRoutine(FdwRoutine *routine);
extern void CzFdwTruncateRoutine(FdwRoutine *routine);

/* in deparse.c */

/* What one remote INSERT, UPDATE or DELETE is made of. */
typedef struct CzFdwStatement
{
	char	   *head;			/* INSERT: up to and including VALUES; else the
								 * whole statement */
	char	   *tail;			/* INSERT: what follows the rows; else empty */
	List	   *attnos;			/* int list: columns that are sent, in order; of
								 * an UPDATE or DELETE $1 is the ctid */
	List	   *returned_attnos;	/* int list: columns of RETURNING, in order */
} CzFdwStatement;

extern CzFdwStatement *CzFdwInsertStatement(Relation rel, bool do_nothing,
											Bitmapset *returned);
extern CzFdwStatement *CzFdwUpdateStatement(Relation rel, List *attnos,
											Bitmapset *returned);
extern CzFdwStatement *CzFdwDeleteStatement(Relation rel, Bitmapset *returned);

/* The text of an INSERT of nrows rows, with parameters by row. */
extern char *CzFdwInsertText(const CzFdwStatement *statement, int nrows);

/* The one shard of a foreign table and its column names; 55000 if there is no
 * active server.  Borrowed as CzTableGet's result is. */
extern const CzTable *CzFdwTable(Relation rel);

/* in remote_rows.c */

/*
 * CzFdwReadConn
 *		A connection for reading outside of a plan: the transaction's if it must
 *		be that one, else a cached one.  CzFdwReadConnRelease gives it back, also
 *		after an error.
 */
extern CzConn *CzFdwReadConn(Oid server_oid, Oid user_oid);
extern void CzFdwReadConnRelease(CzConn *conn);

/* The same for any placement of a shard that can be reached. */
extern CzConn *CzFdwReadConnOfShard(const CzShard *shard, Oid user_oid);

/* Kind of the remote relation, for what can be done with it. */
typedef struct CzFdwRemoteKind
{
	char		relkind;		/* pg_class.relkind on the worker */
	bool		has_children;	/* partitions or inheritance: ctid is not unique */
	bool		takes_copy;		/* COPY FROM does what INSERT does */
} CzFdwRemoteKind;

extern CzFdwRemoteKind CzFdwRemoteKindGet(CzConn *conn, const char *qualified_name);

/* Turns rows of a PGresult into tuples of a relation. */
typedef struct CzFdwRowReader CzFdwRowReader;

extern CzFdwRowReader *CzFdwRowReaderCreate(Relation rel, List *attnos);

/* Row number row, in CurrentMemoryContext; columns not in attnos are NULL. */
extern HeapTuple CzFdwRowReaderGet(CzFdwRowReader *reader, struct pg_result *res, int row);

/* in analyze.c */

/* The reservoir of sampled rows: each row seen has the same chance to be in it. */
typedef struct CzReservoir
{
	HeapTuple  *rows;			/* [target_rows] */
	int			target_rows;
	int			nrows;			/* in use */
	double		seen_rows;
	double		skip_rows;		/* rows to pass over; < 0: to be drawn */
	ReservoirStateData state;
} CzReservoir;

extern void CzReservoirInit(CzReservoir *reservoir, int target_rows);

/* Where in the reservoir the next row goes, or -1: nowhere. */
extern int	CzReservoirPosition(CzReservoir *reservoir);

/* in shards.c */

/* If core analyzes a shard as a part of its parent: a measure of its size; and its
 * rows out of one sample over all shards. */
extern bool CzFdwSampleSize(Relation relation, double *size);
extern int	CzFdwSampleRows(Relation relation, int elevel, HeapTuple *rows, int targrows,
							double *totalrows, double *totaldeadrows);

/* in route.c */

typedef struct CzFdwRoute CzFdwRoute;

extern CzFdwRoute *CzFdwRouteBegin(EState *estate, ResultRelInfo *rri, Oid user_oid,
								   bool is_copy);
extern CzWriter *CzFdwRouteWriter(CzFdwRoute *route, Relation rel);
extern void CzFdwRoutePut(CzFdwRoute *route, CzWriter *writer, const CzShard *shard,
						  TupleTableSlot *slot);
extern void CzFdwRouteEnd(CzFdwRoute *route);

#endif							/* CZ_FDW_INT_H */
