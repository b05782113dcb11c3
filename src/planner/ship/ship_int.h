/*-------------------------------------------------------------------------
 *
 * ship_int.h
 *	  What the files of shipping (ship*.c) share.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_SHIP_INT_H
#define CZ_SHIP_INT_H

#include "../planner_int.h"

/* Rows from which on a part goes by key rather than everywhere, if it can. */
#define REPARTITION_ROWS 500.0

typedef enum UnitFate
{
	UNIT_STAYS,
	UNIT_BROADCAST,
	UNIT_REPARTITION
} UnitFate;

/* A part of FROM that stays or goes as one. */
typedef struct Unit
{
	Node	   *node;			/* RangeTblRef or JoinExpr */
	Relids		relids;			/* its entries, without those of joins */
	bool		is_inner;		/* a member of the topmost inner join */
	JoinExpr   *nullable_of;	/* the left join that it is the right side of */
	bool		is_everywhere;
	bool		is_sharded;
	bool		is_local;		/* no worker has it: it must go */
	double		rows;			/* estimate after its own conditions; not of
								 * those that are everywhere */
	int			width;
	UnitFate	fate;
	Var		   *key;			/* UNIT_REPARTITION: the column that decides */
	int			group;			/* units of one group go together */
	bool		is_done;
} Unit;

/* A sub-query in FROM that shipments have made good for the workers. */
typedef struct Localized
{
	RangeTblEntry *rte;
	Query	   *original;		/* to ship it whole after all; NULL: it was */
	List	   *ctes;
	double		shipped;
	double		fetched;
	double		broadcast_rows;
} Localized;

typedef struct KnownEstimate
{
	Relids		relids;
	List	   *quals;
	double		rows;
	int			width;
} KnownEstimate;

typedef struct ShipState
{
	CzPlanState *state;
	Query	   *top;			/* gets the CTEs */
	Query	   *query;			/* level that is worked on */
	int			depth;			/* of it, below top */
	List	   *conjuncts;		/* of its topmost inner join */
	List	   *units;
	List	   *ctes;			/* CommonTableExprs made so far */
	List	   *localized;		/* of this level */
	List	   *known_units;	/* of one entry each, as they were found first */
	List	   *known_estimates;	/* KnownEstimates of this level, before it is changed */
	double		shipped;		/* rows, counted as often as they are sent */
	double		fetched;		/* rows of the same on their way here */
	double		pulled;			/* rows of everything that might be pulled */
	double		broadcast_rows;
	List	   *conditional;	/* SubLinks of this level inside CASE or COALESCE */
	struct ShipState *outer;	/* of a correlated level: the one around it */
	const CzTable *outer_anchor;	/* of a correlated level: the outer base's */
	List	   *outer_keys;		/* Vars of the outer level that equal its key */
	bool		is_counted;		/* how often rows of this level come is of interest */
	const char *reason;
} ShipState;

/* ship.c */
extern double cz_ship_copies(const CzTable *anchor);
extern bool cz_ship_localize(ShipState *ss, bool is_correlated);
extern int cz_ship_compare_rows(const ListCell *a, const ListCell *b);

/* ship_groups.c */
extern Relids cz_ship_group_relids(ShipState *ss, int group, List **nodes);
extern List *cz_ship_implied_quals(ShipState *ss, Relids relids);
extern void cz_ship_form_groups(ShipState *ss);

/* ship_make.c */
extern CzShip *cz_ship_make(ShipState *ss, Query *source, char *label, double rows);
extern void cz_ship_count_rows(ShipState *ss, double rows, const CzTable *anchor, bool is_broadcast);
extern void cz_ship_mark_group(ShipState *ss, int group);
extern bool cz_ship_units(ShipState *ss, const CzTable *anchor);

/* ship_sublinks.c */
extern bool cz_ship_simplify_exists(Node *node, void *context);
extern bool cz_ship_sublinks(ShipState *ss, const CzTable *anchor, bool is_correlated);

/* ship_units.c */
extern void cz_ship_set_conjuncts(ShipState *ss);
extern void cz_ship_flatten(ShipState *ss);
extern bool cz_ship_is_good(ShipState *ss, const CzTable *anchor);
extern List *cz_ship_quals_within(List *quals, Relids relids);
extern List *cz_ship_or_quals(List *quals, Relids relids);
extern List *cz_ship_own_quals(ShipState *ss, Unit *unit);
extern void cz_ship_estimate_unit(ShipState *ss, Unit *unit);
extern void cz_ship_estimate(ShipState *ss, Relids relids, List *nodes, List *quals,
							 double *rows, int *width);
extern bool cz_ship_is_lateral(ShipState *ss, Unit *unit);
extern CzLocus cz_ship_locus_of_node(ShipState *ss, Node *node);
extern void cz_ship_swap_localized(ShipState *ss, Relids relids);
extern Unit *cz_ship_add_unit(ShipState *ss, Node *node, bool is_inner, JoinExpr *nullable_of);
extern void cz_ship_add_join_units(ShipState *ss, Node *node, bool is_inner, JoinExpr *nullable_of, int base);
extern Unit *cz_ship_unit_of(ShipState *ss, int rti);
extern bool cz_ship_plain_walker(Node *node, void *context);
extern bool cz_ship_may_look_into(Query *query);
extern ShipState cz_ship_level(const ShipState *ss, Query *query);
extern int cz_ship_correlation(Node *qual, Unit *unit, Var **var, Var **outer);
extern List *cz_ship_keys(ShipState *ss, int base);
extern Var *cz_ship_partition_var(ShipState *ss, Unit *unit, int base, const CzTable *anchor);

#endif							/* CZ_SHIP_INT_H */
