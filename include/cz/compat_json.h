/*-------------------------------------------------------------------------
 *
 * compat_json.h
 *	  SQL/JSON functions as they are printed for a worker.
 *
 * A part of compat.h, which alone includes it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COMPAT_JSON_H
#define CZ_COMPAT_JSON_H

/* 17: the expression of DEFAULT in an SQL/JSON function, or NULL */
static inline Node *
json_default_compat(Node *node)
{
#if CZ_PG_GE(17)
	if (IsA(node, JsonBehavior) && ((JsonBehavior *) node)->btype == JSON_BEHAVIOR_DEFAULT)
		return ((JsonBehavior *) node)->expr;
#endif
	return NULL;
}

/* 17: of JSON_TABLE a copy that has what is passed only once, as it is printed; or NULL */
static inline Node *
json_table_compat(Node *node)
{
#if CZ_PG_GE(17)
	if (IsA(node, TableFunc) && ((TableFunc *) node)->functype == TFT_JSON_TABLE)
	{
		TableFunc  *result = (TableFunc *) copyObject(node);
		ListCell   *lc;

		result->passingvalexprs = NIL;
		foreach(lc, result->colvalexprs)
		{
			if (lfirst(lc) != NULL)
				lfirst_node(JsonExpr, lc)->passing_values = NIL;
		}
		return (Node *) result;
	}
#endif
	return NULL;
}

#endif							/* CZ_COMPAT_JSON_H */
