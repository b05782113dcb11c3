/*-------------------------------------------------------------------------
 *
 * plan_moves.h
 *	  Which placements move where, so that the nodes are equally full.
 *
 * A function over arrays: it knows no catalog and no node, so that it can be tried
 * on any cluster.  A group is what moves together: the shards of one number of all
 * tables of a colocation group.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_PLAN_MOVES_H
#define CZ_PLAN_MOVES_H

typedef struct CzPlanNode
{
	double		capacity;		/* > 0; how much it should have, relative to others */
	int			zone;			/* the same number: the same zone */
	bool		accepts;		/* may shards be placed there?  What is there goes if not */
	bool		is_away;		/* it does not answer: nothing comes now, and nothing goes
								 * without need */
} CzPlanNode;

typedef struct CzPlanGroup
{
	double		cost;			/* > 0 */
	int			family;			/* groups of the same tables; from 0 on */
	int			nplacements;
	const int  *nodes;			/* [nplacements] indexes of nodes, all different */
	int			wanted;			/* placements that it should have; fewer than it has: as it is */
	bool		is_fixed;		/* its placements stay where they are */
} CzPlanGroup;

/* May a group be on a node?  Asked at most once for each pair. */
typedef bool (*CzPlanAllowed) (int group, int node, void *arg);

typedef struct CzPlanInput
{
	int			nnodes;
	const CzPlanNode *nodes;
	int			ngroups;
	const CzPlanGroup *groups;
	int			nfamilies;
	CzPlanAllowed allowed;		/* NULL: always */
	void	   *allowed_arg;
	double		threshold;		/* a node may be fuller, or emptier, by this share of the mean */
	double		improvement;	/* a move lowers the fuller of two nodes by at least this share
								 * of what is moved */
	int			max_moves;
	bool		only_needed;	/* nothing but what must leave its node, or is missing */
} CzPlanInput;

typedef struct CzPlanMove
{
	int			group;
	int			from;			/* node; -1: one placement more */
	int			to;
} CzPlanMove;

typedef struct CzPlan
{
	int			nmoves;
	CzPlanMove *moves;			/* in the order in which they should be made: first what must
								 * be, then what helps most */
	int			nstranded;		/* placements that should leave their node, or are missing, for
								 * which there is no other node */
} CzPlan;

/*
 * CzPlanMoves
 *		Plan moves.  No two placements of a group are ever on one node, and none come to
 *		a zone that has one already while another zone has room.
 */
extern CzPlan *CzPlanMoves(const CzPlanInput *input);

#endif							/* CZ_PLAN_MOVES_H */
