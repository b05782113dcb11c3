/*-------------------------------------------------------------------------
 *
 * pins.c
 *	  The user's settings do not reach texts of ours: those that input and
 *	  output, the parser and the deparser read are pinned around them, here and
 *	  (remote/session.c) in the workers' sessions.
 *
 * Of all settings that a user may change, these decide how a text is written or
 * read:
 *
 *	DateStyle, IntervalStyle, extra_float_digits, bytea_output, lc_monetary
 *						output and input of values
 *	array_nulls			is NULL in an array a null
 *	xmloption			what is read as xml
 *	quote_all_identifiers, standard_conforming_strings
 *						names and strings in SQL that is printed or read
 *	backslash_quote, escape_string_warning, transform_null_equals
 *						SQL that is read
 *	search_path			names, and reg* values
 *
 * TimeZone is not among them: a timestamp with time zone prints its offset.  What
 * *functions* read (TimeZone, default_text_search_config, lc_time ..) is the user's
 * business: the workers follow it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/xml.h"

#include "cz/settings.h"

/*
 * CzIsRegType
 *		See settings.h.
 */
bool
CzIsRegType(Oid type_oid)
{
	switch (type_oid)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return false;
	}
}

/*
 * CzPinsOfType
 *		See settings.h.
 */
int
CzPinsOfType(Oid type_oid)
{
	Oid			base_oid = getBaseType(type_oid);
	Oid			element_oid;

	switch (base_oid)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case BOOLOID:
		case CHAROID:
		case NAMEOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case UNKNOWNOID:
		case BYTEAOID:			/* either form is read */
		case JSONOID:
		case JSONBOID:
		case NUMERICOID:
		case UUIDOID:
		case INETOID:
		case CIDROID:
		case BITOID:
		case VARBITOID:
			return 0;
		case CASHOID:
			return CZ_PIN_TEXT | CZ_PIN_MONEY;
		default:
			break;
	}
	element_oid = get_element_type(base_oid);
	if (OidIsValid(element_oid))
		return CZ_PIN_TEXT | CzPinsOfType(element_oid);
	switch (get_typtype(base_oid))
	{
		case TYPTYPE_ENUM:
			return 0;
		case TYPTYPE_BASE:
		case TYPTYPE_RANGE:
		case TYPTYPE_MULTIRANGE:
			/* those that are built in print numbers, dates and the like */
			if (base_oid < FirstGenbkiObjectId && !CzIsRegType(base_oid))
				return CZ_PIN_TEXT;
			break;
		default:
			break;
	}
	/* it may contain anything */
	return CZ_PIN_ALL;
}

/* Pin one; *level becomes that of the nest if it was -1. */
static void
pin(int *level, const char *name, const char *value)
{
	if (*level < 0)
		*level = NewGUCNestLevel();
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/*
 * CzPinTextSettings
 *		See settings.h.
 */
int
CzPinTextSettings(int what)
{
	int			level = -1;

	if (what & CZ_PIN_DATE_ORDER)
		pin(&level, "DateStyle", "ISO, YMD");
	else if (DateStyle != USE_ISO_DATES)
		pin(&level, "DateStyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		pin(&level, "IntervalStyle", "postgres");
	/* from 1 on it is all digits */
	if (extra_float_digits < 1)
		pin(&level, "extra_float_digits", "3");
	if (bytea_output != BYTEA_OUTPUT_HEX)
		pin(&level, "bytea_output", "hex");
	if (!Array_nulls)
		pin(&level, "array_nulls", "on");
	if (xmloption != XMLOPTION_CONTENT)
		pin(&level, "xmloption", "content");
	if (quote_all_identifiers)
		pin(&level, "quote_all_identifiers", "off");
	if (!standard_conforming_strings)
		pin(&level, "standard_conforming_strings", "on");
	if (backslash_quote != BACKSLASH_QUOTE_SAFE_ENCODING)
		pin(&level, "backslash_quote", "safe_encoding");
	if (!escape_string_warning)
		pin(&level, "escape_string_warning", "on");
	if (Transform_null_equals)
		pin(&level, "transform_null_equals", "off");
	if ((what & CZ_PIN_MONEY) && strcmp(locale_monetary, "C") != 0)
		pin(&level, "lc_monetary", "C");
	if (what & CZ_PIN_PATH)
		/* last: of temporary relations, one called pg_type would be found first else */
		pin(&level, "search_path", "pg_catalog, pg_temp");
	return level;
}

/*
 * CzUnpinTextSettings
 *		See settings.h.
 */
void
CzUnpinTextSettings(int level)
{
	if (level >= 0)
		AtEOXact_GUC(true, level);
}
