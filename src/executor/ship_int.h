/*-------------------------------------------------------------------------
 *
 * ship_int.h
 *	  What the files about shipments share.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_SHIP_INT_H
#define CZ_SHIP_INT_H

#include "executor_int.h"
#include "writer_int.h"

typedef struct ShipColumn
{
	Oid			type_oid;
	int16		typlen;
	bool		typbyval;
	CzWireColumn wire;
	bool		is_binary;		/* its array goes in binary form */
	int			pins;			/* CZ_PIN_*: what its texts depend on */
	char		delimiter;		/* of array texts; 0: not looked up yet */
} ShipColumn;

/* Rows that go together: all, or those of one shard. */
typedef struct ShipPart
{
	Tuplestorestate *store;		/* NULL: no rows */
	int64		nrows;
	int64		nbytes;
	void	   *reader;			/* whose position in the store it is */
	Bitmapset  *read_at;		/* its ctids were; see CzRowIdPlacement */
} ShipPart;

typedef struct Ship
{
	const CzShipment *shipment;
	int			ncolumns;
	ShipColumn *columns;
	TupleDesc	tupdesc;
	CzWireFormat *format;		/* for COPY */
	const CzTable *anchor;		/* repartition: its shards are the parts */
	bool	   *is_wanted;		/* [nparts], repartition */
	bool		is_read;		/* the remaining fields are valid */
	int			version;		/* number of times that it was read */
	int			nparts;
	ShipPart   *parts;
	int64		nrows;
	int64		nbytes;
	bool		is_form_known;
	bool		by_table;		/* read connections get it as a temporary table */
	TupleTableSlot *slot;
	MemoryContext arrays_context;
	StringInfoData *arrays;		/* [ncolumns] of a broadcast, or NULL: not yet */
	Tuplestorestate *chunks;	/* a broadcast in COPY form, or NULL: not yet */
	TupleTableSlot *chunk_slot;
	List	   *free_pointers;	/* ints: read pointers of chunks */
} Ship;

/* ship.c */
extern List *CzShipParts(const Ship *ship, const Fragment *fragment);

/* ship_table.c */
extern char *CzShipTableName(const CzStream *stream, int ship_number);

#endif							/* CZ_SHIP_INT_H */
