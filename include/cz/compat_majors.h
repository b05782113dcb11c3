/*-------------------------------------------------------------------------
 *
 * compat_majors.h
 *	  With which major a node of a query came.
 *
 * A part of compat.h, which alone includes it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COMPAT_MAJORS_H
#define CZ_COMPAT_MAJORS_H

/*
 * node_major_compat: the first PostgreSQL that can read the text of a node, as far as there are
 * later ones than 14; functions not looked at.  MERGE came with 15.
 */
#include "nodes/parsenodes.h"
#if CZ_PG_GE(17)
#include "catalog/pg_type_d.h"
#include "utils/timestamp.h"
#endif
static inline int
node_major_compat(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Query:
			if (((Query *) node)->commandType != CMD_MERGE)
				return 14;
			return ((Query *) node)->returningList != NIL ||
				!merge_is_of_15_compat((Query *) node) ? 17 : 15;
#if CZ_PG_GE(16)
		case T_JsonConstructorExpr:
		case T_JsonIsPredicate:
		case T_JsonValueExpr:
			return 16;
#endif
#if CZ_PG_GE(17)
		case T_JsonExpr:
		case T_MergeSupportFunc:
			return 17;
		case T_TableFunc:
			return ((TableFunc *) node)->functype == TFT_JSON_TABLE ? 17 : 14;
		case T_Const:
			return ((Const *) node)->consttype == INTERVALOID && !((Const *) node)->constisnull &&
				INTERVAL_NOT_FINITE(DatumGetIntervalP(((Const *) node)->constvalue)) ? 17 : 14;
#endif
#if CZ_PG_GE(18)
		case T_ReturningExpr:
			return 18;
		case T_Var:
			return ((Var *) node)->varreturningtype != VAR_RETURNING_DEFAULT ? 18 : 14;
#endif
		default:
			return 14;
	}
}

#endif							/* CZ_COMPAT_MAJORS_H */
