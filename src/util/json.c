/*-------------------------------------------------------------------------
 *
 * json.c
 *	  JSON text as a palloc'd tree that knows where each value stands.
 *
 * Jansson decides what is JSON; no other file includes its header.  It keeps
 * no positions, so while its tree is copied the text is walked along in step:
 * objects keep the order of their members, and duplicates are rejected, so the
 * n-th member of the tree is the n-th of the text.
 *
 * json_t is malloc'd.  A callback of the memory context frees it when anything
 * throws while it is copied.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <jansson.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cz/json.h"

/* A place in the text. */
typedef struct Cursor
{
	const char *at;
	const char *end;
	int			line;
	int			column;
} Cursor;

static void
advance(Cursor *cursor)
{
	if (*cursor->at == '\n')
	{
		cursor->line++;
		cursor->column = 1;
	}
	else if (cursor->at + 1 >= cursor->end ||
			 ((unsigned char) cursor->at[1] & 0xC0) != 0x80)
		cursor->column++;		/* not in the middle of a character */
	cursor->at++;
}

static void
skip_space(Cursor *cursor)
{
	while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) && *cursor->at)
		advance(cursor);
}

/* Over a string, the cursor being at its opening quote. */
static void
skip_string(Cursor *cursor)
{
	advance(cursor);
	while (cursor->at < cursor->end && *cursor->at != '"')
	{
		if (*cursor->at == '\\' && cursor->at + 1 < cursor->end)
			advance(cursor);
		advance(cursor);
	}
	if (cursor->at < cursor->end)
		advance(cursor);
}

/* Over a number or a word. */
static void
skip_word(Cursor *cursor)
{
	while (cursor->at < cursor->end && !strchr(",]} \t\r\n", *cursor->at))
		advance(cursor);
}

/*
 * CzJsonTypeName
 *		See json.h.
 */
const char *
CzJsonTypeName(CzJsonType type)
{
	switch (type)
	{
		case CZ_JSON_NULL:
			return "null";
		case CZ_JSON_BOOL:
			return "a boolean";
		case CZ_JSON_INTEGER:
			return "an integer";
		case CZ_JSON_REAL:
			return "a number";
		case CZ_JSON_STRING:
			return "a string";
		case CZ_JSON_ARRAY:
			return "an array";
		case CZ_JSON_OBJECT:
			return "an object";
	}
	return "?";
}

static char *
where_text(int line, int column, const char *path)
{
	return psprintf("line %d, column %d, key path %s", line, column,
					path[0] ? path : "(top level)");
}

/*
 * CzJsonWhere
 *		See json.h.
 */
char *
CzJsonWhere(const CzJson *json)
{
	return where_text(json->line, json->column, json->path);
}

/*
 * Walk the text before it is given to Jansson: nesting must not exceed the
 * limit.  Brackets in strings don't count; malformed text may be walked wrong,
 * which Jansson reports.
 */
static void
check_depth(const char *text, size_t length, const char *what, int max_depth)
{
	Cursor		cursor = {text, text + length, 1, 1};
	int			depth = 0;

	while (cursor.at < cursor.end)
	{
		switch (*cursor.at)
		{
			case '"':
				skip_string(&cursor);
				continue;
			case '{':
			case '[':
				if (++depth > max_depth)
					ereport(ERROR,
							(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							 errmsg("%s is nested too deeply", what),
							 errdetail("More than %d levels at line %d, column %d.",
									   max_depth, cursor.line, cursor.column)));
				break;
			case '}':
			case ']':
				depth--;
				break;
		}
		advance(&cursor);
	}
}

/*
 * Key path of the place where Jansson stopped: keys and indexes of the open
 * objects and arrays.
 */
static char *
path_at(const char *text, size_t position, int max_depth)
{
	Cursor		cursor = {text, text + position, 1, 1};
	const char **keys = palloc0(sizeof(char *) * (max_depth + 2));
	int		   *key_lengths = palloc0(sizeof(int) * (max_depth + 2));
	int		   *indexes = palloc0(sizeof(int) * (max_depth + 2));
	int			depth = 0;
	int			i;
	StringInfoData path;

	while (cursor.at < cursor.end)
	{
		char		c = *cursor.at;

		if (c == '"')
		{
			const char *start = cursor.at + 1;

			skip_string(&cursor);
			if (depth > 0 && indexes[depth] < 0 && keys[depth] == NULL)
			{
				keys[depth] = start;
				key_lengths[depth] = Max(0, (int) (cursor.at - start) - 1);
			}
			continue;
		}
		if ((c == '{' || c == '[') && depth <= max_depth)
		{
			depth++;
			keys[depth] = NULL;
			indexes[depth] = c == '[' ? 0 : -1;
		}
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		else if (c == ',' && depth > 0)
		{
			keys[depth] = NULL;
			if (indexes[depth] >= 0)
				indexes[depth]++;
		}
		advance(&cursor);
	}

	initStringInfo(&path);
	for (i = 1; i <= depth; i++)
	{
		if (indexes[i] >= 0)
			appendStringInfo(&path, "[%d]", indexes[i]);
		else if (keys[i] != NULL)
		{
			if (path.len > 0)
				appendStringInfoChar(&path, '.');
			appendBinaryStringInfo(&path, keys[i],
								   pg_encoding_mbcliplen(PG_UTF8, keys[i], key_lengths[i],
														 NAMEDATALEN));
		}
	}
	return path.data;
}

/* Raise what Jansson found; its quotes of the text might hold a secret. */
static void
raise_syntax_error(const char *text, size_t length, const char *what,
				   const json_error_t *error, int max_depth)
{
	char	   *message = pstrdup(error->text);
	char	   *near = strstr(message, " near '");
	char	   *path;
	size_t		position = error->position < 0 ? 0 : Min((size_t) error->position, length);

	if (near)
		*near = '\0';
	path = path_at(text, position, max_depth);
	if (!pg_verify_mbstr(PG_UTF8, path, strlen(path), true))
		path = pstrdup("");
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_JSON_TEXT),
			 errmsg("%s is not valid JSON: %s", what, message),
			 errdetail("At %s.",
					   where_text(Max(error->line, 1), Max(error->column, 1),
								  pg_any_to_server(path, strlen(path), PG_UTF8)))));
}

static void
free_json(void *arg)
{
	json_t	  **root = (json_t **) arg;

	json_decref(*root);
	*root = NULL;
}

static CzJson *copy_value(json_t *json, Cursor *cursor, const char *path);

static CzJson *
copy_member(json_t *value, const char *key, Cursor *cursor, const char *path)
{
	int			line;
	int			column;
	char	   *server_key = pg_any_to_server(pstrdup(key), strlen(key), PG_UTF8);
	CzJson	   *item;

	skip_space(cursor);
	line = cursor->line;
	column = cursor->column;
	skip_string(cursor);
	skip_space(cursor);
	advance(cursor);			/* the colon */
	item = copy_value(value, cursor, path[0] ? psprintf("%s.%s", path, server_key)
					  : server_key);
	item->key = server_key;
	item->line = line;
	item->column = column;
	skip_space(cursor);
	advance(cursor);			/* comma or closing bracket */
	return item;
}

static CzJson *
copy_element(json_t *value, int index, Cursor *cursor, const char *path)
{
	CzJson	   *item = copy_value(value, cursor, psprintf("%s[%d]", path, index));

	skip_space(cursor);
	advance(cursor);
	return item;
}

/*
 * Copy a value; the cursor is before it and ends up behind it.  Depth has been
 * checked.
 */
static CzJson *
copy_value(json_t *json, Cursor *cursor, const char *path)
{
	CzJson	   *result = palloc0(sizeof(CzJson));
	const char *key;
	json_t	   *value;
	size_t		index;

	CHECK_FOR_INTERRUPTS();
	skip_space(cursor);
	result->path = pstrdup(path);
	result->line = cursor->line;
	result->column = cursor->column;

	switch (json_typeof(json))
	{
		case JSON_OBJECT:
			result->type = CZ_JSON_OBJECT;
			result->items = palloc(sizeof(CzJson *) * Max(json_object_size(json), 1));
			advance(cursor);
			json_object_foreach(json, key, value)
				result->items[result->nitems++] = copy_member(value, key, cursor, path);
			if (result->nitems == 0)
			{
				skip_space(cursor);
				advance(cursor);
			}
			break;
		case JSON_ARRAY:
			result->type = CZ_JSON_ARRAY;
			result->items = palloc(sizeof(CzJson *) * Max(json_array_size(json), 1));
			advance(cursor);
			json_array_foreach(json, index, value)
				result->items[result->nitems++] = copy_element(value, index, cursor, path);
			if (result->nitems == 0)
			{
				skip_space(cursor);
				advance(cursor);
			}
			break;
		case JSON_STRING:
			{
				char	   *copy = pstrdup(json_string_value(json));

				result->type = CZ_JSON_STRING;
				result->string = pg_any_to_server(copy, strlen(copy), PG_UTF8);
				skip_string(cursor);
				break;
			}
		case JSON_INTEGER:
			result->type = CZ_JSON_INTEGER;
			result->integer = json_integer_value(json);
			result->real = (double) result->integer;
			skip_word(cursor);
			break;
		case JSON_REAL:
			result->type = CZ_JSON_REAL;
			result->real = json_real_value(json);
			skip_word(cursor);
			break;
		case JSON_TRUE:
		case JSON_FALSE:
			result->type = CZ_JSON_BOOL;
			result->boolean = json_is_true(json);
			skip_word(cursor);
			break;
		case JSON_NULL:
			result->type = CZ_JSON_NULL;
			skip_word(cursor);
			break;
	}
	return result;
}

/*
 * CzJsonParse
 *		See json.h.
 */
CzJson *
CzJsonParse(const char *text, size_t length, const char *what, size_t max_bytes,
			int max_depth)
{
	MemoryContextCallback *callback;
	json_t	  **root;
	json_error_t error;
	CzJson	   *result;
	Cursor		cursor = {text, text + length, 1, 1};

	if (length > max_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too large", what),
				 errdetail("It has %zu bytes, the limit is %zu.", length, max_bytes)));
	check_depth(text, length, what, max_depth);

	root = palloc0(sizeof(json_t *));
	callback = palloc0(sizeof(MemoryContextCallback));
	callback->func = free_json;
	callback->arg = root;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);

	*root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (*root == NULL)
		raise_syntax_error(text, length, what, &error, max_depth);
	result = copy_value(*root, &cursor, "");
	free_json(root);
	return result;
}

/*
 * CzJsonMember
 *		See json.h.
 */
CzJson *
CzJsonMember(const CzJson *object, const char *key)
{
	int			i;

	for (i = 0; object->type == CZ_JSON_OBJECT && i < object->nitems; i++)
		if (strcmp(object->items[i]->key, key) == 0)
			return object->items[i];
	return NULL;
}
