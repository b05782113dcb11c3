/*-------------------------------------------------------------------------
 *
 * in_list.c
 *	  expression IN (SELECT c1 FROM shipment), which may become = ANY (array).
 *
 * A worker's planner knows nothing of what unnest() returns: it takes 200 values for
 * granted, however long the array is, and joins accordingly.  Of expression = ANY (array)
 * it knows the elements, and it goes into the branches of a UNION ALL, to their indexes.
 * It looks at each element, though: where there are so many that no index helps, it must
 * not; then the rows are just looked up in the hash table that the executor makes.
 *
 * The texts are made of the same piece of the template, as the executor decides whether
 * the rows go as arrays, and knows how many there are.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/transam.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "../planner_int.h"

/* Elements, as a share of a shard's rows, up to which an index may be of use. */
#define INDEXED_SHARE 0.05
#define LEAST_INDEXED 100

/* The shipment that a query reads, and does nothing else; or NULL. */
static RangeTblEntry *
plain_reader(Query *query)
{
	TargetEntry *tle;
	Var		   *var;
	RangeTblEntry *rte;
	CzShip	   *ship;

	if (list_length(query->rtable) != 1 || list_length(query->targetList) != 1 ||
		list_length(query->jointree->fromlist) != 1 || query->jointree->quals != NULL ||
		query->groupClause != NIL || query->havingQual != NULL ||
		query->groupingSets != NIL || query->distinctClause != NIL ||
		query->limitCount != NULL || query->limitOffset != NULL || query->cteList != NIL)
		return NULL;
	tle = linitial(query->targetList);
	var = (Var *) tle->expr;
	rte = linitial(query->rtable);
	ship = cz_ship_of_rte(rte);
	if (ship == NULL || !IsA(var, Var) || var->varattno != 1 || var->varlevelsup != 0 ||
		list_length(ship->types) != 1)
		return NULL;
	/* the array's elements must be what the column's values are */
	if (linitial_oid(ship->types) >= FirstGenbkiObjectId ||
		CzShipmentColumnIsText(linitial_oid(ship->types)) ||
		linitial_oid(ship->collations) != get_typcollation(linitial_oid(ship->types)))
		return NULL;
	return rte;
}

/* How many elements may be looked up by an index that expression may have. */
static int
most_indexed(Query *query, Node *expr)
{
	Var		   *var = (Var *) cz_strip(expr);
	RangeTblEntry *rte;
	const CzTable *table;

	if (!IsA(var, Var) || var->varlevelsup > 0)
		return LEAST_INDEXED;
	rte = rt_fetch(var->varno, query->rtable);
	table = rte->rtekind == RTE_RELATION ? CzTableGet(rte->relid) : NULL;
	if (table == NULL)
		return LEAST_INDEXED;
	return (int) Max(LEAST_INDEXED, Min(cz_relation_rows(rte->relid) / Max(table->nshards, 1) *
										INDEXED_SHARE, 10000));
}

/*
 * cz_note_in_lists
 *		Add CzInLists for the shipments that a query reads in a conjunct
 *		"expression IN (SELECT c1 FROM shipment)" of its WHERE, by an operator that the
 *		executor can hash.
 */
void
cz_note_in_lists(Query *query, List **in_lists)
{
	ListCell   *lc;

	if (!query->hasSubLinks || query->jointree == NULL)
		return;
	foreach(lc, cz_conjuncts(query->jointree->quals, NIL))
	{
		SubLink    *sublink = lfirst(lc);
		OpExpr	   *op;
		RangeTblEntry *rte;

		if (!IsA(sublink, SubLink) || sublink->subLinkType != ANY_SUBLINK ||
			!IsA(sublink->testexpr, OpExpr))
			continue;
		op = (OpExpr *) sublink->testexpr;
		rte = plain_reader((Query *) sublink->subselect);
		if (rte != NULL && op->opno < FirstGenbkiObjectId &&
			op_hashjoinable(op->opno, exprType(linitial(op->args))))
		{
			CzInList   *in_list = palloc(sizeof(CzInList));

			in_list->rte = rte;
			in_list->most = most_indexed(query, linitial(op->args));
			*in_lists = lappend(*in_lists, in_list);
		}
	}
}

/*
 * cz_in_list_of
 *		The one of a shipment's entry, or NULL.
 */
CzInList *
cz_in_list_of(List *in_lists, RangeTblEntry *rte)
{
	ListCell   *lc;

	foreach(lc, in_lists)
	{
		if (((CzInList *) lfirst(lc))->rte == rte)
			return lfirst(lc);
	}
	return NULL;
}

/* Is the end of text[0 .. len) a word, after blanks?  Then *len is where it begins. */
static bool
ends_with(const char *text, size_t *len, const char *word)
{
	size_t		word_len = strlen(word);
	size_t		end = *len;

	while (end > 0 && isspace((unsigned char) text[end - 1]))
		end--;
	if (end < word_len || strncmp(text + end - word_len, word, word_len) != 0)
		return false;
	*len = end - word_len;
	return true;
}

/*
 * cz_cut_in_list
 *		The pieces of the template text[0 .. before), a relation, and *rest, where the
 *		relation reads shipment number ship: before "IN (SELECT c1 FROM", and a List of
 *		the number, the two texts around the relation, and most.  *rest becomes what
 *		follows.
 *
 * in_list: of that shipment; NULL: none.
 * Returns: NIL, with *rest unchanged, if the text is not what it should be.
 */
List *
cz_cut_in_list(const CzInList *in_list, const char *text, size_t before, int ship,
			   char **rest)
{
	size_t		len = before;
	char	   *alias;
	size_t		alias_len;
	List	   *piece;

	if (in_list == NULL || (*rest)[0] != ' ')
		return NIL;
	alias_len = strspn(*rest + 1, "abcdefghijklmnopqrstuvwxyz_0123456789");
	alias = pnstrdup(*rest + 1, alias_len);
	if (alias_len == 0 || (*rest)[1 + alias_len] != ')' ||
		!ends_with(text, &len, "FROM") || !ends_with(text, &len, psprintf("%s.c1", alias)) ||
		!ends_with(text, &len, "SELECT") || !ends_with(text, &len, "(") ||
		!ends_with(text, &len, "IN"))
		return NIL;
	piece = list_make4(makeInteger(ship), makeString(pnstrdup(text + len, before - len)),
					   makeString(psprintf(" %s)", alias)), makeInteger(in_list->most));
	*rest += alias_len + 2;
	return list_make2(makeString(pnstrdup(text, len)), piece);
}
