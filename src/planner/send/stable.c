/*-------------------------------------------------------------------------
 *
 * stable.c
 *	  Built-in stable functions that a worker computes as the coordinator does.
 *
 * They read nothing but settings that remote sessions follow: TimeZone, and
 * default_text_search_config.  By OID, so that a function that a later major adds
 * is not sent before somebody has looked at it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgroids.h"

#include "../planner_int.h"

/*
 * cz_reads_search_config
 *		Is it one that reads default_text_search_config?
 */
bool
cz_reads_search_config(Oid funcid)
{
	switch (funcid)
	{
		case F_PHRASETO_TSQUERY_TEXT:
		case F_PLAINTO_TSQUERY_TEXT:
		case F_TO_TSQUERY_TEXT:
		case F_TO_TSVECTOR_JSON:
		case F_TO_TSVECTOR_JSONB:
		case F_TO_TSVECTOR_TEXT:
		case F_TS_HEADLINE_JSONB_TSQUERY:
		case F_TS_HEADLINE_JSONB_TSQUERY_TEXT:
		case F_TS_HEADLINE_JSON_TSQUERY:
		case F_TS_HEADLINE_JSON_TSQUERY_TEXT:
		case F_TS_HEADLINE_TEXT_TSQUERY:
		case F_TS_HEADLINE_TEXT_TSQUERY_TEXT:
		case F_WEBSEARCH_TO_TSQUERY_TEXT:
			return true;
		default:
			return false;
	}
}

/*
 * cz_is_shippable_stable
 *		Is it one that may be sent?
 */
bool
cz_is_shippable_stable(Oid funcid)
{
	if (cz_reads_search_config(funcid))
		return true;
	switch (funcid)
	{
		case F_ARRAY_TO_JSON_ANYARRAY:
		case F_ARRAY_TO_JSON_ANYARRAY_BOOL:
		case F_DATE_CMP_TIMESTAMPTZ:
		case F_DATE_EQ_TIMESTAMPTZ:
		case F_DATE_GE_TIMESTAMPTZ:
		case F_DATE_GT_TIMESTAMPTZ:
		case F_DATE_LE_TIMESTAMPTZ:
		case F_DATE_LT_TIMESTAMPTZ:
		case F_DATE_NE_TIMESTAMPTZ:
		case F_DATE_PART_TEXT_TIMESTAMPTZ:
		case F_DATE_TIMESTAMPTZ:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT:
		case F_EXTRACT_TEXT_TIMESTAMPTZ:
		case F_GENERATE_SERIES_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL:
		case F_JSONB_AGG:
		case F_JSONB_BUILD_ARRAY_:
		case F_JSONB_BUILD_ARRAY_ANY:
		case F_JSONB_BUILD_OBJECT_:
		case F_JSONB_BUILD_OBJECT_ANY:
		case F_JSON_AGG:
		case F_JSON_BUILD_ARRAY_:
		case F_JSON_BUILD_ARRAY_ANY:
		case F_JSON_BUILD_OBJECT_:
		case F_JSON_BUILD_OBJECT_ANY:
		case F_JSON_OBJECT_AGG:
		case F_ROW_TO_JSON_RECORD:
		case F_ROW_TO_JSON_RECORD_BOOL:
		case F_TIMESTAMPTZ_CMP_DATE:
		case F_TIMESTAMPTZ_CMP_TIMESTAMP:
		case F_TIMESTAMPTZ_DATE:
		case F_TIMESTAMPTZ_DATE_TIME:
		case F_TIMESTAMPTZ_EQ_DATE:
		case F_TIMESTAMPTZ_EQ_TIMESTAMP:
		case F_TIMESTAMPTZ_GE_DATE:
		case F_TIMESTAMPTZ_GE_TIMESTAMP:
		case F_TIMESTAMPTZ_GT_DATE:
		case F_TIMESTAMPTZ_GT_TIMESTAMP:
		case F_TIMESTAMPTZ_LE_DATE:
		case F_TIMESTAMPTZ_LE_TIMESTAMP:
		case F_TIMESTAMPTZ_LT_DATE:
		case F_TIMESTAMPTZ_LT_TIMESTAMP:
		case F_TIMESTAMPTZ_MI_INTERVAL:
		case F_TIMESTAMPTZ_NE_DATE:
		case F_TIMESTAMPTZ_NE_TIMESTAMP:
		case F_TIMESTAMPTZ_PL_INTERVAL:
		case F_TIMESTAMPTZ_TIMESTAMP:
		case F_TIMESTAMP_CMP_TIMESTAMPTZ:
		case F_TIMESTAMP_EQ_TIMESTAMPTZ:
		case F_TIMESTAMP_GE_TIMESTAMPTZ:
		case F_TIMESTAMP_GT_TIMESTAMPTZ:
		case F_TIMESTAMP_LE_TIMESTAMPTZ:
		case F_TIMESTAMP_LT_TIMESTAMPTZ:
		case F_TIMESTAMP_NE_TIMESTAMPTZ:
		case F_TIMESTAMP_TIMESTAMPTZ:
		case F_TIMETZ_TIME:
		case F_TIMETZ_TIMESTAMPTZ:
		case F_TIMEZONE_TEXT_TIMETZ:
		case F_TIME_TIMESTAMPTZ:
		case F_TO_CHAR_FLOAT4_TEXT:
		case F_TO_CHAR_FLOAT8_TEXT:
		case F_TO_CHAR_INT4_TEXT:
		case F_TO_CHAR_INT8_TEXT:
		case F_TO_CHAR_INTERVAL_TEXT:
		case F_TO_CHAR_NUMERIC_TEXT:
		case F_TO_CHAR_TIMESTAMPTZ_TEXT:
		case F_TO_CHAR_TIMESTAMP_TEXT:
		case F_TO_JSON:
		case F_TO_JSONB:
			return true;
		default:
			return false;
	}
}
