/*-------------------------------------------------------------------------
 *
 * writer_int.h
 *	  What the files of the writer share.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_WRITER_INT_H
#define CZ_WRITER_INT_H

#include "cz/metadata.h"
#include "cz/remote.h"
#include "cz/writer.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

/* What binary COPY begins with: signature, flags, length of the header extension. */
#define CZ_COPY_HEADER "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
#define CZ_COPY_HEADER_BYTES 19

/* How one column goes to a worker. */
typedef enum CzWireKind
{
	CZ_WIRE_FUNCTION,			/* the type's send function */
	CZ_WIRE_INT2,				/* the others: without a function call */
	CZ_WIRE_INT4,
	CZ_WIRE_INT8,
	CZ_WIRE_BOOL,
	CZ_WIRE_VARLENA				/* bytes as they are: text, varchar, bytea */
} CzWireKind;

typedef struct CzWireColumn
{
	AttrNumber	attno;
	CzWireKind	kind;
	FmgrInfo	send;			/* CZ_WIRE_FUNCTION in binary form */
	FmgrInfo	out;			/* text form */
} CzWireColumn;

/* How rows of one shape go to workers. */
typedef struct CzWireFormat
{
	bool		is_binary;
	int			pins;			/* CZ_PIN_*: what its texts depend on */
	int			ncolumns;
	CzWireColumn *columns;
	char	   *column_list;	/* quoted, with commas, no parentheses */
} CzWireFormat;

/* writer_format.c */
extern CzWireFormat *CzWireFormatMake(TupleDesc tupdesc, char **column_names);
extern bool CzWireColumnInit(CzWireColumn *column, Oid type_oid);
extern void CzWireAppendBinary(CzWireColumn *column, Datum value, StringInfo buf);
extern void CzWireAppendRow(CzWireFormat *format, TupleTableSlot *slot, StringInfo buf);
extern char *CzWireInsertSql(CzWireFormat *format, const char *qualified_name);
extern const char **CzWireRowTexts(CzWireFormat *format, TupleTableSlot *slot);
extern void CzWireAppendLiteral(StringInfo buf, const char *text);

/* writer_inserts.c */
typedef enum CzInsertsState
{
	CZ_INSERTS_RUN,				/* more answers are to come */
	CZ_INSERTS_DONE,
	CZ_INSERTS_FAILED,			/* the worker refused */
	CZ_INSERTS_LOST				/* the connection is lost */
} CzInsertsState;

typedef struct CzInserts CzInserts;
extern CzInserts *CzInsertsMake(void);
extern void CzInsertsAdd(CzInserts *inserts, const char *sql, int nparams,
						 const char **values);
extern bool CzInsertsSend(CzInserts *inserts, CzConn *conn, StringInfo prefix);
extern CzInsertsState CzInsertsTake(CzInserts *inserts, CzConn *conn);
extern struct pg_result *CzInsertsError(CzInserts *inserts);
extern int	CzInsertsCount(const CzInserts *inserts);

/* writer_errors.c */
extern long CzCopyErrorLine(const struct pg_result *res, const char *table_name);
extern void CzReportRowError(struct pg_result *res, CzConn *conn, const char *sql,
							 const char *copy_table, int64 row_number,
							 const CzLine *line);

#endif							/* CZ_WRITER_INT_H */
