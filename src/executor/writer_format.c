/*-------------------------------------------------------------------------
 *
 * writer_format.c
 *	  Rows in the forms of COPY and INSERT.
 *
 * Binary COPY where every column's binary form means the same on each worker:
 * types that initdb made, whose values hold no OIDs but those of such types.
 * Send functions convert texts to this client's encoding, not the worker's, so
 * when the two differ texts are only sent byte by byte.  Text COPY for the
 * rest, with DateStyle and the like pinned as they are on workers.
 *
 * Source: own work; which settings matter to texts is known from
 * contrib/postgres_fdw/postgres_fdw.c, PostgreSQL 15, PostgreSQL License.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/settings.h"
#include "writer_int.h"

/*
 * is_binary_safe
 *		Does the binary form of a (base) type's values mean the same everywhere?
 */
static bool
is_binary_safe(Oid type_oid)
{
	HeapTuple	tuple;
	Form_pg_type type;
	bool		is_safe;
	Oid			element;

	type_oid = getBaseType(type_oid);
	/* an empty vector's binary form is not received */
	if (type_oid >= FirstUnpinnedObjectId || CzIsRegType(type_oid) ||
		type_oid == XMLOID || type_oid == INT2VECTOROID || type_oid == OIDVECTOROID)
		return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type_oid));
	if (!HeapTupleIsValid(tuple))
		return false;
	type = (Form_pg_type) GETSTRUCT(tuple);
	is_safe = OidIsValid(type->typsend) && OidIsValid(type->typreceive) &&
		(type->typtype == TYPTYPE_BASE || type->typtype == TYPTYPE_RANGE ||
		 type->typtype == TYPTYPE_MULTIRANGE);
	element = type->typsubscript == F_ARRAY_SUBSCRIPT_HANDLER ? type->typelem : InvalidOid;
	ReleaseSysCache(tuple);
	return is_safe && (!OidIsValid(element) || is_binary_safe(element));
}

static CzWireKind
wire_kind(Oid type_oid)
{
	switch (getBaseType(type_oid))
	{
		case INT2OID:
			return CZ_WIRE_INT2;
		case INT4OID:
		case DATEOID:
			return CZ_WIRE_INT4;
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case TIMEOID:
			return CZ_WIRE_INT8;
		case BOOLOID:
			return CZ_WIRE_BOOL;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
		case BYTEAOID:
			return CZ_WIRE_VARLENA;
		default:
			return CZ_WIRE_FUNCTION;
	}
}

/* Types whose send functions emit no text, so that encodings do not matter. */
static bool
is_encoding_free(Oid type_oid)
{
	switch (getBaseType(type_oid))
	{
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case UUIDOID:
		case INTERVALOID:
		case TIMETZOID:
		case INETOID:
		case CIDROID:
		case OIDOID:
		case BITOID:
		case VARBITOID:
			return true;
		default:
			return wire_kind(type_oid) != CZ_WIRE_FUNCTION;
	}
}

/*
 * CzWireIsSame
 *		See writer.h.
 */
bool
CzWireIsSame(Oid type_oid)
{
	return is_binary_safe(type_oid);
}

/*
 * CzWireColumnInit
 *		How values of a type go to workers.  Returns whether in binary form.
 */
bool
CzWireColumnInit(CzWireColumn *column, Oid type_oid)
{
	Oid			function;
	bool		is_varlena;

	column->kind = wire_kind(type_oid);
	getTypeOutputInfo(type_oid, &function, &is_varlena);
	fmgr_info(function, &column->out);
	if (!cz_binary_protocol || !is_binary_safe(type_oid) ||
		(pg_get_client_encoding() != GetDatabaseEncoding() && !is_encoding_free(type_oid)))
		return false;
	getTypeBinaryOutputInfo(type_oid, &function, &is_varlena);
	fmgr_info(function, &column->send);
	return true;
}

/*
 * CzWireFormatMake
 *		How rows of tupdesc go to workers; palloc'd in CurrentMemoryContext.
 */
CzWireFormat *
CzWireFormatMake(TupleDesc tupdesc, char **column_names)
{
	CzWireFormat *format = palloc0(sizeof(CzWireFormat));
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	format->is_binary = true;
	format->columns = palloc0(sizeof(CzWireColumn) * Max(tupdesc->natts, 1));
	for (i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);
		const char *name = column_names ? column_names[i] : NameStr(attr->attname);
		CzWireColumn *column;

		if (attr->attisdropped || attr->attgenerated || name == NULL)
			continue;
		column = &format->columns[format->ncolumns++];
		column->attno = i + 1;
		format->pins |= CzPinsOfType(attr->atttypid);
		if (!CzWireColumnInit(column, attr->atttypid))
			format->is_binary = false;
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(name));
	}
	format->column_list = list.data;
	return format;
}

/*
 * CzWireAppendBinary
 *		One value in binary form, with its length, as COPY and arrays have it.
 */
void
CzWireAppendBinary(CzWireColumn *column, Datum value, StringInfo buf)
{
	switch (column->kind)
	{
		case CZ_WIRE_INT2:
			pq_sendint32(buf, 2);
			pq_sendint16(buf, (uint16) DatumGetInt16(value));
			break;
		case CZ_WIRE_INT4:
			pq_sendint32(buf, 4);
			pq_sendint32(buf, (uint32) DatumGetInt32(value));
			break;
		case CZ_WIRE_INT8:
			pq_sendint32(buf, 8);
			pq_sendint64(buf, (uint64) DatumGetInt64(value));
			break;
		case CZ_WIRE_BOOL:
			pq_sendint32(buf, 1);
			pq_sendbyte(buf, DatumGetBool(value) ? 1 : 0);
			break;
		case CZ_WIRE_VARLENA:
			{
				struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

				pq_sendint32(buf, VARSIZE_ANY_EXHDR(bytes));
				appendBinaryStringInfo(buf, VARDATA_ANY(bytes),
									   VARSIZE_ANY_EXHDR(bytes));
				if ((Pointer) bytes != DatumGetPointer(value))
					pfree(bytes);
				break;
			}
		case CZ_WIRE_FUNCTION:
			{
				bytea	   *bytes = SendFunctionCall(&column->send, value);

				pq_sendint32(buf, VARSIZE(bytes) - VARHDRSZ);
				appendBinaryStringInfo(buf, VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
				pfree(bytes);
				break;
			}
	}
}

/* One value in COPY's text form. */
static void
append_copy_text(StringInfo buf, const char *text)
{
	const char *p;

	for (p = text; *p; p++)
	{
		switch (*p)
		{
			case '\\':
				appendStringInfoString(buf, "\\\\");
				break;
			case '\n':
				appendStringInfoString(buf, "\\n");
				break;
			case '\r':
				appendStringInfoString(buf, "\\r");
				break;
			case '\t':
				appendStringInfoString(buf, "\\t");
				break;
			default:
				appendStringInfoCharMacro(buf, *p);
		}
	}
}

/*
 * CzWireAppendRow
 *		One row in COPY form.  Allocates in CurrentMemoryContext, which should be
 *		short-lived.
 */
void
CzWireAppendRow(CzWireFormat *format, TupleTableSlot *slot, StringInfo buf)
{
	int			nest_level = -1;
	int			i;

	slot_getallattrs(slot);
	if (format->is_binary)
		pq_sendint16(buf, (uint16) format->ncolumns);
	else if (format->pins != 0)
		nest_level = CzPinTextSettings(format->pins);

	for (i = 0; i < format->ncolumns; i++)
	{
		CzWireColumn *column = &format->columns[i];
		Datum		value = slot->tts_values[column->attno - 1];
		bool		isnull = slot->tts_isnull[column->attno - 1];

		if (format->is_binary)
		{
			if (isnull)
				pq_sendint32(buf, (uint32) -1);
			else
				CzWireAppendBinary(column, value, buf);
			continue;
		}
		if (i > 0)
			appendStringInfoChar(buf, '\t');
		if (isnull)
			appendStringInfoString(buf, "\\N");
		else
			append_copy_text(buf, OutputFunctionCall(&column->out, value));
	}
	if (!format->is_binary)
		appendStringInfoChar(buf, '\n');
	CzUnpinTextSettings(nest_level);
}

/*
 * CzWireAppendLiteral
 *		A value's text as an untyped literal.
 */
void
CzWireAppendLiteral(StringInfo buf, const char *text)
{
	/* standard_conforming_strings is on on workers; E'' is right in any case */
	const char *p;

	if (strchr(text, '\\') != NULL)
		appendStringInfoChar(buf, 'E');
	appendStringInfoChar(buf, '\'');
	for (p = text; *p; p++)
	{
		if (*p == '\'' || *p == '\\')
			appendStringInfoChar(buf, *p);
		appendStringInfoChar(buf, *p);
	}
	appendStringInfoChar(buf, '\'');
}

/*
 * CzWireInsertSql
 *		The INSERT of one row, whose columns are parameters.
 */
char *
CzWireInsertSql(CzWireFormat *format, const char *qualified_name)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	appendStringInfo(&buf, "INSERT INTO %s", qualified_name);
	if (format->ncolumns == 0)
	{
		appendStringInfoString(&buf, " DEFAULT VALUES");
		return buf.data;
	}
	appendStringInfo(&buf, " (%s) VALUES (", format->column_list);
	for (i = 1; i <= format->ncolumns; i++)
		appendStringInfo(&buf, "%s$%d", i > 1 ? ", " : "", i);
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/*
 * CzWireRowTexts
 *		The parameters of that INSERT, as texts; NULL: NULL.
 */
const char **
CzWireRowTexts(CzWireFormat *format, TupleTableSlot *slot)
{
	const char **texts = palloc0(sizeof(char *) * Max(format->ncolumns, 1));
	int			nest_level = -1;
	int			i;

	slot_getallattrs(slot);
	if (format->pins != 0)
		nest_level = CzPinTextSettings(format->pins);
	for (i = 0; i < format->ncolumns; i++)
	{
		CzWireColumn *column = &format->columns[i];

		if (!slot->tts_isnull[column->attno - 1])
			texts[i] = OutputFunctionCall(&column->out, slot->tts_values[column->attno - 1]);
	}
	CzUnpinTextSettings(nest_level);
	return texts;
}
