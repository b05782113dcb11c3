/*-------------------------------------------------------------------------
 *
 * majors.c
 *	  Workers of other majors than ours: what is known to the oldest of them.
 *
 * Server option server_version says of which major a worker was when it was looked at
 * last (cluster/check.c).  What the oldest worker does not know, be it a function or a
 * piece of syntax, is not sent to any: shards move, and a statement that was planned
 * must do wherever they are.  Newer workers know all that we know: what they lack was
 * never sent (functions of statistics and the like, and of transition states).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "metadata_int.h"

typedef struct BuiltIn
{
	Oid			oid;
	int			major;
} BuiltIn;

/* Ordered by OID. */
static const BuiltIn built_ins[] = {
#include "built_ins.h"
};

static bool is_registered = false;
static int	oldest_major = 0;	/* 0: not known */
static char oldest_name[NAMEDATALEN];

static void
servers_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	oldest_major = 0;
}

/*
 * CzOldestMajor
 *		See metadata.h.
 */
int
CzOldestMajor(const char **node_name)
{
	if (!is_registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, servers_changed, (Datum) 0);
		is_registered = true;
	}
	if (oldest_major == 0)
	{
		int			oldest = PG_MAJORVERSION_NUM;
		ListCell   *lc;

		oldest_name[0] = '\0';
		foreach(lc, CzNodeList(false))
		{
			const CzNode *node = lfirst(lc);

			if (node->major == 0 || node->major >= oldest)
				continue;
			oldest = node->major;
			strlcpy(oldest_name, node->name, sizeof(oldest_name));
		}
		oldest_major = oldest;
	}
	if (node_name != NULL)
		*node_name = oldest_name;
	return oldest_major;
}

/*
 * CzFunctionMajor
 *		See metadata.h.
 */
int
CzFunctionMajor(Oid function)
{
	int			low = 0;
	int			high = lengthof(built_ins) - 1;

	while (function < FirstGenbkiObjectId && low <= high)
	{
		int			middle = (low + high) / 2;

		if (built_ins[middle].oid == function)
		{
			/* of a later major than ours: the OID is another function's here */
			return built_ins[middle].major <= PG_MAJORVERSION_NUM ?
				built_ins[middle].major : CZ_FIRST_MAJOR;
		}
		if (built_ins[middle].oid < function)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return CZ_FIRST_MAJOR;
}

/*
 * CzTypmodMajor
 *		See metadata.h.
 */
int
CzTypmodMajor(Oid type, int32 typmod)
{
	int			precision;
	int			scale;

	if (type != NUMERICOID && type != NUMERICARRAYOID)
		return CZ_FIRST_MAJOR;
	if (typmod < (int32) VARHDRSZ)
		return CZ_FIRST_MAJOR;
	/* as numeric.c packs them; scales from -1000 to 1000 since 15, from 0 to the precision before */
	precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	return scale < 0 || scale > precision ? 15 : CZ_FIRST_MAJOR;
}

/* The first major that has a collation; built_ins.py looks for others. */
static int
collation_major(Oid collation)
{
	switch (collation)
	{
		case 963:				/* unicode */
			return 16;
		case 811:				/* pg_c_utf8 */
			return 17;
		case 6411:				/* pg_unicode_fast */
			return 18;
		default:
			return CZ_FIRST_MAJOR;
	}
}

typedef struct MajorContext
{
	int			major;			/* that the workers have */
	const char *what;			/* is newer; palloc'd */
	int			its_major;
} MajorContext;

/* check_functions_in_node callback: true ends the search */
static bool
function_is_newer(Oid function, void *arg)
{
	MajorContext *context = arg;

	if (CzFunctionMajor(function) <= context->major)
		return false;
	context->its_major = CzFunctionMajor(function);
	context->what = psprintf("function %s", format_procedure(function));
	return true;
}

/* The collation that the text of a node may name: a constant's, a column's, or that of COLLATE */
static Oid
named_collation(Node *node)
{
	switch (nodeTag(node))
	{
		case T_CollateExpr:
			return ((CollateExpr *) node)->collOid;
		case T_Const:
			return ((Const *) node)->constcollid;
		case T_Param:
			return ((Param *) node)->paramcollid;
		case T_Var:
			return ((Var *) node)->varcollid;
		case T_RelabelType:
			return ((RelabelType *) node)->resultcollid;
		default:
			return exprInputCollation(node);
	}
}

/* Does a path have methods that came with 17? */
static bool
has_new_methods(const Const *path)
{
	static const char *const methods[] = {
		".bigint()", ".boolean()", ".date()", ".decimal(", ".integer()", ".number()", ".string()",
		".time(", ".time_tz(", ".timestamp(", ".timestamp_tz("
	};
	char	   *text;
	int			i;

	if (path->constisnull)
		return false;
	text = OidOutputFunctionCall(F_JSONPATH_OUT, path->constvalue);
	for (i = 0; i < lengthof(methods); i++)
	{
		if (strstr(text, methods[i]) != NULL)
			return true;
	}
	return false;
}

static bool
node_is_newer(Node *node, MajorContext *context)
{
	int			its_major = node_major_compat(node);

	/* what a column is, the worker knows from its table */
	if (IsA(node, FuncExpr) || IsA(node, Const) || IsA(node, RelabelType) || IsA(node, CoerceViaIO))
		its_major = Max(its_major, CzTypmodMajor(exprType(node), exprTypmod(node)));
	if (IsA(node, Const) && ((Const *) node)->consttype == JSONPATHOID && context->major < 17 &&
		has_new_methods((Const *) node))
		its_major = 17;
	if (its_major > context->major)
	{
		context->its_major = its_major;
		context->what = IsA(node, Query) ? "the statement" : "an expression";
		return true;
	}
	its_major = collation_major(named_collation(node));
	if (its_major > context->major)
	{
		context->its_major = its_major;
		context->what = psprintf("collation \"%s\"", get_collation_name(named_collation(node)));
		return true;
	}
	/* a Query or a part of it has none, which the function would not mind */
	return check_functions_in_node(node, function_is_newer, context);
}

static const char *
why_newer(const MajorContext *context)
{
	const char *node_name;
	int			oldest = CzOldestMajor(&node_name);

	return psprintf("%s is of PostgreSQL %d, and node \"%s\" runs %d", context->what,
					context->its_major, node_name, oldest);
}

/*
 * CzNodeIsTooNew
 *		See metadata.h.
 */
bool
CzNodeIsTooNew(Node *node, const char **reason)
{
	MajorContext context = {CzOldestMajor(NULL)};

	if (context.major >= PG_MAJORVERSION_NUM || !node_is_newer(node, &context))
		return false;
	*reason = why_newer(&context);
	return true;
}

static bool
newer_walker(Node *node, MajorContext *context)
{
	if (node == NULL)
		return false;
	return node_is_newer(node, context) ||
		expression_tree_walker(node, newer_walker, (void *) context);
}

/*
 * CzExprIsTooNew
 *		See metadata.h.
 */
bool
CzExprIsTooNew(Node *expr, const char **reason)
{
	MajorContext context = {CzOldestMajor(NULL)};

	if (context.major >= PG_MAJORVERSION_NUM || !newer_walker(expr, &context))
		return false;
	*reason = why_newer(&context);
	return true;
}
