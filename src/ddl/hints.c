/*-------------------------------------------------------------------------
 *
 * hints.c
 *	  What an ALTER TABLE says that the table does not show afterwards: how values of
 *	  a column are converted, what rows that are there get in a new column, which
 *	  constraints go by name although others have their names then.
 *
 * Expressions that are not the same everywhere are computed here: a new column's
 * default once, and in USING whatever does not depend on the row.  Where that is not
 * enough all rows are (rewrite.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "libpq-fe.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/planner.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "ddl_int.h"

static const char *
find_pair(List *pairs, const char *name)
{
	ListCell   *lc;

	foreach(lc, pairs)
	{
		if (strcmp(linitial((List *) lfirst(lc)), name) == 0)
			return lsecond((List *) lfirst(lc));
	}
	return NULL;
}

/*
 * CzUsingOf, CzNewValueOf, CzIsDroppedByName
 *		What hints have of a column or constraint; NULL, false: nothing.
 */
const char *
CzUsingOf(const CzAlterHints *hints, const char *column)
{
	return find_pair(hints->usings, column);
}

const char *
CzNewValueOf(const CzAlterHints *hints, const char *column)
{
	return find_pair(hints->values, column);
}

bool
CzIsDroppedByName(const CzAlterHints *hints, const char *constraint)
{
	return CzListHasString(hints->dropped, constraint);
}

/* What an ADD COLUMN says of a column's values. */
typedef struct Added
{
	Node	   *raw_default;	/* DEFAULT, or NULL */
	bool		is_numbered;	/* serial, or an identity column */
	bool		is_generated;
} Added;

/* Is it one of the types that CREATE TABLE makes a sequence for? */
static bool
is_serial(const TypeName *type)
{
	static const char *const names[] = {"smallserial", "serial2", "serial", "serial4",
	"bigserial", "serial8"};
	int			i;

	for (i = 0; list_length(type->names) == 1 && !type->pct_type && i < lengthof(names); i++)
	{
		if (strcmp(strVal(linitial(type->names)), names[i]) == 0)
			return true;
	}
	return false;
}

/*
 * The command that has added a column: the first one, another may have found it there
 * (IF NOT EXISTS).
 */
static Added
find_added(const AlterTableStmt *stmt, const char *name)
{
	Added		added = {NULL, false, false};
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		ColumnDef  *def = (ColumnDef *) cmd->def;

		if (cmd->subtype != AT_AddColumn || strcmp(def->colname, name) != 0)
			continue;
		added.is_numbered = is_serial(def->typeName);
		foreach(lc2, def->constraints)
		{
			Constraint *constraint = lfirst_node(Constraint, lc2);

			if (constraint->contype == CONSTR_DEFAULT)
				added.raw_default = constraint->raw_expr;
			added.is_numbered |= constraint->contype == CONSTR_IDENTITY;
			added.is_generated |= constraint->contype == CONSTR_GENERATED;
		}
		break;
	}
	return added;
}

/*
 * What rows that are there get in a new column.  That is what ADD COLUMN says, whatever
 * the same statement makes of the column's default; NULL: nothing.
 */
static Node *
added_default(const Added *added, const char *name, Oid type, int32 typmod)
{
	ParseState *pstate;
	Node	   *expr;

	if (added->raw_default == NULL)
	{
		/* the type's, without those that the statement gives the column */
		expr = get_typdefault(type);
		return expr == NULL ? NULL :
			coerce_to_target_type(NULL, expr, exprType(expr), type, typmod,
								  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	}
	/* core does not say where it is wrong, either */
	pstate = make_parsestate(NULL);
	expr = cookDefault(pstate, copyObject(added->raw_default), type, typmod, name, '\0');
	free_parsestate(pstate);
	return expr;
}

/* The value of a new column's default as SQL, or NULL if it has none. */
static char *
default_sql(Relation rel, AttrNumber attno, const AlterTableStmt *stmt)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Added		added = find_added(stmt, NameStr(att->attname));
	Node	   *expr;
	EState	   *estate;
	ExprState  *state;
	Datum		value;
	bool		isnull;
	char	   *result = NULL;

	if (att->attgenerated || added.is_numbered)
		return NULL;
	expr = added_default(&added, NameStr(att->attname), att->atttypid, att->atttypmod);
	/* a volatile one is for a table without rows; else it is computed here, or refused */
	if (expr == NULL || contain_volatile_functions(expr))
		return NULL;
	estate = CreateExecutorState();
	state = ExecPrepareExpr((Expr *) expr, estate);
	value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), &isnull);
	if (!isnull)
	{
		Oid			output;
		bool		is_varlena;
		int			nestlevel = CzPinTextSettings(CZ_PIN_ALL);

		getTypeOutputInfo(att->atttypid, &output, &is_varlena);
		result = psprintf("%s::%s", quote_literal_cstr(OidOutputFunctionCall(output, value)),
						  format_type_extended(att->atttypid, att->atttypmod,
											   FORMAT_TYPE_TYPEMOD_GIVEN |
											   FORMAT_TYPE_FORCE_QUALIFY));
		CzUnpinTextSettings(nestlevel);
	}
	FreeExecutorState(estate);
	return result;
}

/*
 * CzAlterHintsValues
 *		Add what rows that are there get in the columns that core has just added, by stmt.
 */
void
CzAlterHintsValues(CzAlterHints *hints, const CzImage *before, Relation rel,
				   const AlterTableStmt *stmt)
{
	int			i;

	for (i = before->ncolumns; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);
		char	   *value;

		if (att->attisdropped)
			continue;
		value = default_sql(rel, i + 1, stmt);
		if (value)
			hints->values = lappend(hints->values,
									list_make2(pstrdup(NameStr(att->attname)), value));
	}
}

static void
need(CzAlterHints *hints, Oid classid, Oid oid)
{
	ObjectAddress *address;

	if (!OidIsValid(oid) || oid < FirstNormalObjectId)
		return;
	address = palloc(sizeof(ObjectAddress));
	ObjectAddressSet(*address, classid, oid);
	hints->functions = lappend(hints->functions, address);
}

/* Functions and types that an expression mentions. */
static bool
needs_walker(Node *node, void *context)
{
	CzAlterHints *hints = context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			need(hints, ProcedureRelationId, ((FuncExpr *) node)->funcid);
			need(hints, TypeRelationId, ((FuncExpr *) node)->funcresulttype);
			break;
		case T_Const:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CoerceToDomain:
			need(hints, TypeRelationId, exprType(node));
			break;
		default:
			break;
	}
	return expression_tree_walker(node, needs_walker, context);
}

/* Would a worker, another than this node, have another value of a function? */
static bool
is_of_this_node(Oid funcid, void *context)
{
	if (func_volatile(funcid) != PROVOLATILE_STABLE || cz_is_shippable_stable(funcid))
		return false;
	switch (funcid)
	{
			/* what they read is set there as here */
		case F_ANYTEXTCAT:
		case F_TEXTANYCAT:
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT:
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT_TEXT:
		case F_CONCAT:
		case F_CONCAT_WS:
		case F_FORMAT_TEXT:
		case F_FORMAT_TEXT_ANY:
		case F_TO_DATE:
		case F_TO_TIMESTAMP_TEXT_TEXT:
			return false;
		default:
			*(Oid *) context = funcid;
			return true;
	}
}

/* An expression with such a function, which is stored in *context, or with a name of an object. */
static bool
of_this_node_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CoerceViaIO))
	{
		CoerceViaIO *coerce = (CoerceViaIO *) node;
		bool		is_varlena;
		Oid			param;

		if (CzIsRegType(coerce->resulttype))
			getTypeInputInfo(coerce->resulttype, (Oid *) context, &param);
		else if (CzIsRegType(exprType((Node *) coerce->arg)))
			getTypeOutputInfo(exprType((Node *) coerce->arg), (Oid *) context, &is_varlena);
		/* other text forms follow settings, which are the same there */
		if (OidIsValid(*(Oid *) context))
			return true;
	}
	else if (check_functions_in_node(node, is_of_this_node, context))
		return true;
	return expression_tree_walker(node, of_this_node_walker, context);
}

/* A function that workers cannot be sent, or a cast, which they are not. */
static bool
is_only_here(Oid function, void *context)
{
	Oid			language;
	HeapTuple	tuple;

	if (function < FirstNormalObjectId ||
		OidIsValid(getExtensionOfObject(ProcedureRelationId, function)))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("function", function);
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language == ClanguageId || language == INTERNALlanguageId;
}

static bool
only_here_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid >= FirstNormalObjectId &&
		((FuncExpr *) node)->funcformat != COERCE_EXPLICIT_CALL &&
		!OidIsValid(getExtensionOfObject(ProcedureRelationId, ((FuncExpr *) node)->funcid)))
		return true;
	if (IsA(node, CoerceViaIO) &&
		TypeCategory(((CoerceViaIO *) node)->resulttype) != TYPCATEGORY_STRING &&
		TypeCategory(exprType((Node *) ((CoerceViaIO *) node)->arg)) != TYPCATEGORY_STRING)
		return true;
	if (check_functions_in_node(node, is_only_here, context))
		return true;
	return expression_tree_walker(node, only_here_walker, context);
}

/*
 * Must values be computed here?  Workers would not all have the same, or lack what it takes,
 * or must not run it.
 */
static bool
is_for_here(Node *expr, const CzTable *table)
{
	CzSender	sender = CzSenderOf(CzRelationOwner(table->relid), CzTableServers(table));
	Oid			function = InvalidOid;

	return contain_volatile_functions(expr) || of_this_node_walker(expr, &function) ||
		only_here_walker(expr, NULL) ||
		OidIsValid(CzUntrustedFunction(expr, &sender, NULL));
}

/* A value of the column becomes one of its new type as core has it. */
static Node *
as_new_type(ParseState *pstate, Node *expr, const ColumnDef *def)
{
	Oid			type;
	int32		typmod;

	typenameTypeIdAndMod(pstate, def->typeName, &type, &typmod);
	return coerce_to_target_type(pstate, expr, exprType(expr), type, typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
}

/* What depends on no row has one value: that of here and now. */
static Node *
fold(Node *expr)
{
	PlannerInfo *root = makeNode(PlannerInfo);

	root->glob = makeNode(PlannerGlobal);
	return estimate_expression_value(root, expr);
}

/* Names of objects are other numbers elsewhere, and core would leave the numbers as they are. */
static void
check_numbers(const AlterTableCmd *cmd, Oid old_type, Node *expr)
{
	if (CzIsRegType(getBaseType(old_type)) == CzIsRegType(getBaseType(exprType(expr))) ||
		!(IsA(expr, RelabelType) && IsA(((RelabelType *) expr)->arg, Var)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot alter type of column \"%s\" from %s to %s", cmd->name,
					format_type_be(old_type), format_type_be(exprType(expr))),
			 errdetail("Nodes have other OIDs for the same names."),
			 errhint("Add a new column, fill it by UPDATE, then drop the old one.")));
}

/* ALTER COLUMN TYPE: how USING reads on a shard, and whether a worker may run it. */
static void
read_type(CzAlterHints *hints, const AlterTableCmd *cmd, Relation rel, const CzTable *table,
		  const char *query_string)
{
	ColumnDef  *def = castNode(ColumnDef, cmd->def);
	AttrNumber	attno = get_attnum(table->relid, cmd->name);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *expr;
	Node	   *whole;
	int			nestlevel;

	/* core says what is wrong with it */
	if (attno <= 0)
		return;
	pstate->p_sourcetext = query_string;
	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);
	if (def->raw_default != NULL)
		expr = transformExpr(pstate, copyObject(def->raw_default),
							 EXPR_KIND_ALTER_COL_TRANSFORM);
	else
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

		expr = (Node *) makeVar(1, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
	}
	whole = as_new_type(pstate, copyObject(expr), def);
	if (whole == NULL)
	{
		free_parsestate(pstate);
		return;
	}
	assign_expr_collations(pstate, expr);
	assign_expr_collations(pstate, whole);
	free_parsestate(pstate);

	check_numbers(cmd, TupleDescAttr(RelationGetDescr(rel), attno - 1)->atttypid, whole);
	if (is_for_here(fold(whole), table))
	{
		hints->needs_rewrite = true;
		/* should there be no partition that has rows, the worker need not know, either */
		if (table->is_partitioned)
			hints->usings = lappend(hints->usings, list_make2(cmd->name, "NULL"));
		return;
	}
	if (def->raw_default == NULL)
		return;
	expr = fold(expr);
	(void) needs_walker(expr, hints);
	nestlevel = CzPinTextSettings(CZ_PIN_ALL);
	hints->usings = lappend(hints->usings,
							list_make2(cmd->name,
									   deparse_expression(expr,
														  deparse_context_for(RelationGetRelationName(rel),
																			  RelationGetRelid(rel)),
														  false, false)));
	CzUnpinTextSettings(nestlevel);
}

/* Is a column there when core comes to add columns? */
static bool
stays(Relation rel, const AlterTableStmt *stmt, const char *name)
{
	ListCell   *lc;

	if (get_attnum(RelationGetRelid(rel), name) == InvalidAttrNumber)
		return false;
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_DropColumn && strcmp(cmd->name, name) == 0)
			return false;
	}
	return true;
}

/* ADD COLUMN: would rows that are there get another value each? */
static void
read_added(CzAlterHints *hints, const AlterTableStmt *stmt, const AlterTableCmd *cmd,
		   Relation rel, const CzTable *table, const char *query_string)
{
	ColumnDef  *def = castNode(ColumnDef, cmd->def);
	Added		added = find_added(stmt, def->colname);
	bool		is_volatile = added.is_numbered;

	if (stays(rel, stmt, def->colname) || added.is_generated)
		return;
	if (!is_volatile)
	{
		ParseState *pstate = make_parsestate(NULL);
		Oid			type;
		int32		typmod;

		pstate->p_sourcetext = query_string;
		typenameTypeIdAndMod(pstate, def->typeName, &type, &typmod);
		free_parsestate(pstate);
		is_volatile = contain_volatile_functions(added_default(&added, def->colname, type,
															   typmod));
	}
	/* each placement of a row would get another value */
	hints->needs_rewrite |= is_volatile;
}

/*
 * CzAlterHintsGet
 *		Before core runs the statement.
 *
 * Errors: 0A000 for values that cannot be computed there nor here; those of expressions.
 */
CzAlterHints *
CzAlterHintsGet(const AlterTableStmt *stmt, const CzTable *table, const char *query_string)
{
	CzAlterHints *hints = palloc0(sizeof(CzAlterHints));
	Relation	rel = table_open(table->relid, NoLock);
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_DropConstraint)
			hints->dropped = lappend(hints->dropped, cmd->name);
		/* the index is the constraint's from then on */
		if (cmd->subtype == AT_AddConstraint && castNode(Constraint, cmd->def)->indexname)
			hints->dropped = lappend(hints->dropped,
									 castNode(Constraint, cmd->def)->indexname);
		if (AT_IS_SET_EXPRESSION_COMPAT(cmd->subtype))
			hints->expressions = lappend(hints->expressions, makeString(cmd->name));
		if (cmd->subtype == AT_AlterColumnType)
			read_type(hints, cmd, rel, table, query_string);
		if (cmd->subtype == AT_AddColumn)
			read_added(hints, stmt, cmd, rel, table, query_string);
	}
	table_close(rel, NoLock);
	return hints;
}
