/*-------------------------------------------------------------------------
 *
 * json.h
 *	  JSON text as a palloc'd tree that knows where each value stands.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_JSON_H
#define CZ_JSON_H

typedef enum CzJsonType
{
	CZ_JSON_NULL,
	CZ_JSON_BOOL,
	CZ_JSON_INTEGER,
	CZ_JSON_REAL,
	CZ_JSON_STRING,
	CZ_JSON_ARRAY,
	CZ_JSON_OBJECT
} CzJsonType;

typedef struct CzJson
{
	CzJsonType	type;
	bool		boolean;		/* CZ_JSON_BOOL */
	int64		integer;		/* CZ_JSON_INTEGER */
	double		real;			/* CZ_JSON_REAL, and CZ_JSON_INTEGER too */
	char	   *string;			/* CZ_JSON_STRING, in the database's encoding */
	char	   *key;			/* in its object, database encoding; NULL: no member */
	int			nitems;			/* CZ_JSON_ARRAY, CZ_JSON_OBJECT */
	struct CzJson **items;		/* [nitems], in the order of the text */
	char	   *path;			/* as tables[0].name; "" at the top */
	int			line;			/* of the value's key, or of the value; from 1 */
	int			column;			/* in characters, from 1 */
} CzJson;

/*
 * CzJsonParse
 *		Parse text in UTF-8; what describes it in messages ("cluster file").
 *
 * Returns: palloc'd in CurrentMemoryContext.
 * Errors:  22032 malformed, not UTF-8 or with a duplicate key, 22023 larger than
 *		max_bytes or deeper than max_depth; the detail names line, column and key
 *		path.
 */
extern CzJson *CzJsonParse(const char *text, size_t length, const char *what,
						   size_t max_bytes, int max_depth);

/* Member of an object, NULL if there is none. */
extern CzJson *CzJsonMember(const CzJson *object, const char *key);

/* "line 3, column 7, key path tables[0].name"; palloc'd. */
extern char *CzJsonWhere(const CzJson *json);

/* What a type is called in messages: "a string". */
extern const char *CzJsonTypeName(CzJsonType type);

#endif							/* CZ_JSON_H */
