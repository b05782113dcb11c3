/*-------------------------------------------------------------------------
 *
 * hints.c
 *	  What an ALTER TABLE says that the table does not show afterwards: how values of
 *	  a column are converted, what rows that are there get in a new column, which
 *	  constraints go by name although others have their names then.
 *
 * Expressions that are not the same everywhere are computed here: a new column's
 * default once, and in USING whatever does not depend on the row.
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
#include "rewrite/rewriteHandler.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

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

/* Does the table have a row, as this transaction's connections see it? */
static bool
has_rows(const CzTable *table)
{
	int			i;

	if (table->kind == CZ_TABLE_REFERENCE)
	{
		Relation	rel = table_open(table->relid, NoLock);
		bool		result = RelationGetNumberOfBlocks(rel) > 0;

		table_close(rel, NoLock);
		return result;
	}
	for (i = 0; i < table->nshards; i++)
	{
		CzConn	   *conn = CzTxnConn(table->shards[i].server_oids[0],
									 CzRelationOwner(table->relid), false);
		struct pg_result *res;
		bool		found;

		res = CzConnExec(conn, psprintf("SELECT 1 FROM %s LIMIT 1",
										table->shards[i].remote_qualified));
		found = PQntuples(res) > 0;
		PQclear(res);
		if (found)
			return true;
	}
	return false;
}

/* What an ADD COLUMN says of a column's values. */
typedef struct Added
{
	Node	   *raw_default;	/* DEFAULT, or NULL */
	bool		is_numbered;	/* serial, or an identity column */
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
	Added		added = {NULL, false};
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
		}
		break;
	}
	return added;
}

/*
 * What rows that are there get in a new column.  That is what ADD COLUMN says, whatever
 * the same statement has made of the column's default since; NULL: nothing.
 */
static Node *
added_default(Relation rel, Form_pg_attribute att, const AlterTableStmt *stmt,
			  const char *query_string)
{
	Added		added = find_added(stmt, NameStr(att->attname));
	ParseState *pstate;
	Node	   *expr;

	if (added.raw_default == NULL)
	{
		if (added.is_numbered)
			return (Node *) makeFuncExpr(F_NEXTVAL, INT8OID,
										 list_make1(makeNullConst(REGCLASSOID, -1, InvalidOid)),
										 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
		/* the type's, without those that the statement has given the column */
		expr = get_typdefault(att->atttypid);
		return expr == NULL ? NULL :
			coerce_to_target_type(NULL, expr, exprType(expr), att->atttypid, att->atttypmod,
								  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	}
	pstate = make_parsestate(NULL);
	pstate->p_sourcetext = query_string;
	expr = cookDefault(pstate, copyObject(added.raw_default), att->atttypid, att->atttypmod,
					   NameStr(att->attname), '\0');
	free_parsestate(pstate);
	return expr;
}

/* The value of a new column's default as SQL, or NULL if it has none. */
static char *
default_sql(Relation rel, AttrNumber attno, const CzTable *table, const AlterTableStmt *stmt,
			const char *query_string)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Node	   *expr;
	EState	   *estate;
	ExprState  *state;
	Datum		value;
	bool		isnull;
	char	   *result = NULL;

	if (att->attgenerated)
		return NULL;
	expr = added_default(rel, att, stmt, query_string);
	if (expr == NULL)
		return NULL;
	if (contain_volatile_functions(expr))
	{
		if (has_rows(table))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot add column \"%s\" with a volatile default to table \"%s\", which has rows",
							NameStr(att->attname), RelationGetRelationName(rel)),
					 errdetail("Each placement of a row would get another value."),
					 errhint("Add the column without default, set the default with ALTER COLUMN, then update the rows.")));
		return NULL;
	}
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
 *
 * Errors: 0A000 for a volatile default if there are rows.
 */
void
CzAlterHintsValues(CzAlterHints *hints, const CzImage *before, Relation rel,
				   const CzTable *table, const AlterTableStmt *stmt,
				   const char *query_string)
{
	int			i;

	for (i = before->ncolumns; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);
		char	   *value;

		if (att->attisdropped)
			continue;
		value = default_sql(rel, i + 1, table, stmt, query_string);
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

/* How USING reads on a shard. */
static void
read_using(CzAlterHints *hints, const AlterTableCmd *cmd, Relation rel, const CzTable *table,
		   const char *query_string)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	PlannerInfo *root;
	CzSender	sender = CzSenderOf(CzRelationOwner(table->relid), CzTableServers(table));
	const char *reason;
	Oid			function;
	Node	   *expr;
	int			nestlevel;

	pstate->p_sourcetext = query_string;
	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);
	expr = transformExpr(pstate, copyObject(castNode(ColumnDef, cmd->def)->raw_default),
						 EXPR_KIND_ALTER_COL_TRANSFORM);
	assign_expr_collations(pstate, expr);
	free_parsestate(pstate);

	/* what depends on no row has one value: that of here and now */
	root = makeNode(PlannerInfo);
	root->glob = makeNode(PlannerGlobal);
	expr = estimate_expression_value(root, expr);
	if (contain_volatile_functions(expr) && has_rows(table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("USING of column \"%s\" is volatile, and table \"%s\" has rows",
						cmd->name, RelationGetRelationName(rel)),
				 errdetail("Each placement of a row would get another value."),
				 errhint("Add a new column, fill it by UPDATE, then drop the old one.")));
	function = InvalidOid;
	if (of_this_node_walker(expr, &function) && has_rows(table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s cannot be run on the workers", format_procedure(function)),
				 errdetail("It is stable only: another node may have another value."),
				 errhint("Add a new column, fill it by UPDATE, then drop the old one.")));
	function = CzUntrustedFunction(expr, &sender, &reason);
	if (OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s cannot be run on the workers", format_procedure(function)),
				 errdetail_internal("%s", _(reason)),
				 errhint("Add a new column, fill it by UPDATE, then drop the old one.")));
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

/*
 * CzAlterHintsGet
 *		Before core runs the statement.
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
		if (cmd->subtype == AT_AlterColumnType &&
			castNode(ColumnDef, cmd->def)->raw_default != NULL)
			read_using(hints, cmd, rel, table, query_string);
	}
	table_close(rel, NoLock);
	return hints;
}
