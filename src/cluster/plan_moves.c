/*-------------------------------------------------------------------------
 *
 * plan_moves.c
 *	  Which placements move where: see plan_moves.h.
 *
 * Two steps over a copy of the map.  First what must be: placements leave nodes that
 * accept none, placements of a group leave a zone that has several of them, those that
 * are missing are made; the largest first, each to the node that is emptiest after
 * it.  Then, while a node is too full or too empty, one placement goes from the
 * fullest to an emptier node: the one whose cost comes nearest to what makes the two
 * equal.  Where none fits, two placements change their nodes.
 *
 * A placement may be moved more than once on the way.  What is to be done is the
 * difference between the map and its copy, so that it moves once in the end.
 *
 * Each node has its groups in an array sorted by cost; 100,000 groups on 200 nodes
 * are planned in a second or two.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "plan_moves.h"

/* Placements on the fuller node that are tried for another one */
#define MAX_CANDIDATES 64
/* Those among them that fit, of which the one of the best family is taken */
#define MAX_FITTING 8
/* The emptiest nodes of each zone that are tried */
#define MAX_TARGETS 8
/* Placements for which a partner is looked for to change places with */
#define MAX_SWAPS 64
/* Rounds in which nodes that could not be improved are tried again */
#define MAX_ROUNDS 8
/* Larger matrixes of families and nodes are not kept */
#define MAX_COUNTS (16 * 1024 * 1024)

/* A move must improve by more than what sums of floating-point numbers are wrong by */
#define EPSILON 1e-9

typedef struct NodeState
{
	double		load;
	int			ngroups;
	int			size;
	int		   *groups;			/* by cost, then by number */
	bool		is_stuck;		/* nothing that it has can be moved to advantage */
} NodeState;

typedef struct GroupState
{
	int			nplacements;
	int		   *nodes;			/* room for as many as it may have */
	int			first_pick;		/* when it was moved first; 0: never */
	bool		must_move;
} GroupState;

typedef struct State
{
	const CzPlanInput *in;
	NodeState  *nodes;
	GroupState *groups;
	int		   *counts;			/* [family * nnodes + node]; NULL: too many */
	char	   *answers;		/* [group * nnodes + node]: 1 allowed, 2 not, 0 not asked;
								 * NULL: all are allowed */
	int			nzones;
	bool	   *zone_accepts;	/* has a zone a node that accepts placements? */
	double		mean;			/* load by capacity, were it spread evenly */
	int			npicks;
	int			nmoved;			/* placements that are not where they were */
	int			nstranded;
} State;

static double
fullness(const State *state, int node)
{
	return state->nodes[node].load / state->in->nodes[node].capacity;
}

static bool
is_allowed(State *state, int group, int node)
{
	const CzPlanInput *in = state->in;
	char	   *answer;

	if (!in->nodes[node].accepts)
		return false;
	if (in->allowed == NULL)
		return true;
	answer = &state->answers[(Size) group * in->nnodes + node];
	if (*answer == 0)
		*answer = in->allowed(group, node, in->allowed_arg) ? 1 : 2;
	return *answer == 1;
}

static bool
is_on(const State *state, int group, int node)
{
	const GroupState *g = &state->groups[group];
	int			i;

	for (i = 0; i < g->nplacements; i++)
	{
		if (g->nodes[i] == node)
			return true;
	}
	return false;
}

/* Placements of a group in a zone, other than the one on a node. */
static int
count_in_zone(const State *state, int group, int zone, int except_node)
{
	const GroupState *g = &state->groups[group];
	int			n = 0;
	int			i;

	for (i = 0; i < g->nplacements; i++)
	{
		if (g->nodes[i] != except_node && state->in->nodes[g->nodes[i]].zone == zone)
			n++;
	}
	return n;
}

/* Is the group in as many zones as before if a placement goes from one node to another? */
static bool
keeps_zones(const State *state, int group, int from, int to)
{
	int			from_zone = state->in->nodes[from].zone;
	int			to_zone = state->in->nodes[to].zone;

	if (from_zone == to_zone || count_in_zone(state, group, to_zone, from) == 0)
		return true;
	/* one zone more has none: only if the old one has others */
	return count_in_zone(state, group, from_zone, from) > 0;
}

static int
compare_cost(const State *state, int a, int b)
{
	double		x = state->in->groups[a].cost;
	double		y = state->in->groups[b].cost;

	return x < y ? -1 : x > y ? 1 : a < b ? -1 : a > b ? 1 : 0;
}

/* The first position on a node whose group is not less than one of that cost. */
static int
find_cost(const State *state, int node, double cost)
{
	const NodeState *n = &state->nodes[node];
	int			low = 0;
	int			high = n->ngroups;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (state->in->groups[n->groups[middle]].cost < cost)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The position of a group on a node, or where it would be. */
static int
find_group(const State *state, int node, int group)
{
	const NodeState *n = &state->nodes[node];
	int			low = 0;
	int			high = n->ngroups;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_cost(state, n->groups[middle], group) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
count_family(State *state, int group, int node, int difference)
{
	if (state->counts != NULL)
		state->counts[(Size) state->in->groups[group].family * state->in->nnodes + node] +=
			difference;
}

static void
add_to_node(State *state, int group, int node)
{
	NodeState  *n = &state->nodes[node];
	int			at = find_group(state, node, group);

	if (n->ngroups == n->size)
	{
		n->size = n->size > 0 ? n->size * 2 : 16;
		n->groups = n->groups ? repalloc_huge(n->groups, n->size * sizeof(int)) :
			palloc(n->size * sizeof(int));
	}
	memmove(n->groups + at + 1, n->groups + at, (n->ngroups - at) * sizeof(int));
	n->groups[at] = group;
	n->ngroups++;
	n->load += state->in->groups[group].cost;
	count_family(state, group, node, 1);
}

static void
take_from_node(State *state, int group, int node)
{
	NodeState  *n = &state->nodes[node];
	int			at = find_group(state, node, group);

	Assert(at < n->ngroups && n->groups[at] == group);
	memmove(n->groups + at, n->groups + at + 1, (n->ngroups - at - 1) * sizeof(int));
	n->ngroups--;
	n->load -= state->in->groups[group].cost;
	if (n->ngroups == 0)
		n->load = 0;			/* no error of earlier sums is left */
	count_family(state, group, node, -1);
}

/* Was a placement of the group on the node at first? */
static bool
was_on(const State *state, int group, int node)
{
	const CzPlanGroup *g = &state->in->groups[group];
	int			i;

	for (i = 0; i < g->nplacements; i++)
	{
		if (g->nodes[i] == node)
			return true;
	}
	return false;
}

/* from -1: a new placement */
static void
apply_move(State *state, int group, int from, int to)
{
	GroupState *g = &state->groups[group];
	int			i;

	Assert(!is_on(state, group, to));
	state->npicks++;
	if (g->first_pick == 0)
		g->first_pick = state->npicks;
	if (from < 0)
		g->nodes[g->nplacements++] = to;
	else
	{
		for (i = 0; g->nodes[i] != from; i++)
			Assert(i < g->nplacements);
		g->nodes[i] = to;
		take_from_node(state, group, from);
	}
	add_to_node(state, group, to);
	if (!was_on(state, group, to))
		state->nmoved++;
	if (from >= 0 && !was_on(state, group, from))
		state->nmoved--;
}

static State *
make_state(const CzPlanInput *in)
{
	State	   *state = palloc0(sizeof(State));
	double		total = 0;
	double		capacity = 0;
	int			i;
	int			j;

	state->in = in;
	state->nodes = palloc0(in->nnodes * sizeof(NodeState));
	state->groups = MemoryContextAllocHuge(CurrentMemoryContext,
										   Max(in->ngroups, 1) * sizeof(GroupState));
	memset(state->groups, 0, in->ngroups * sizeof(GroupState));
	if ((int64) in->nfamilies * in->nnodes <= MAX_COUNTS)
		state->counts = palloc0(Max(in->nfamilies, 1) * in->nnodes * sizeof(int));
	if (in->allowed != NULL)
		state->answers = MemoryContextAllocExtended(CurrentMemoryContext,
													(Size) Max(in->ngroups, 1) * in->nnodes,
													MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (i = 0; i < in->nnodes; i++)
	{
		state->nzones = Max(state->nzones, in->nodes[i].zone + 1);
		if (in->nodes[i].accepts)
			capacity += in->nodes[i].capacity;
	}
	state->zone_accepts = palloc0(Max(state->nzones, 1) * sizeof(bool));
	for (i = 0; i < in->nnodes; i++)
		state->zone_accepts[in->nodes[i].zone] |= in->nodes[i].accepts;

	for (i = 0; i < in->ngroups; i++)
	{
		const CzPlanGroup *group = &in->groups[i];
		GroupState *g = &state->groups[i];

		g->nodes = palloc(Max(group->nplacements, Max(group->wanted, 1)) * sizeof(int));
		for (j = 0; j < group->nplacements; j++)
		{
			NodeState  *n = &state->nodes[group->nodes[j]];

			g->nodes[g->nplacements++] = group->nodes[j];
			n->size++;
			total += group->cost;
		}
		total += Max(group->wanted - group->nplacements, 0) * group->cost;
	}
	state->mean = capacity > 0 ? total / capacity : 0;
	return state;
}

static int
compare_entries(const void *a, const void *b, void *arg)
{
	return compare_cost(arg, *(const int *) a, *(const int *) b);
}

/* What each node has, sorted once. */
static void
fill_nodes(State *state)
{
	const CzPlanInput *in = state->in;
	int			i;
	int			j;

	for (i = 0; i < in->nnodes; i++)
	{
		state->nodes[i].size += 16;
		state->nodes[i].groups = MemoryContextAllocHuge(CurrentMemoryContext,
														state->nodes[i].size * sizeof(int));
	}
	for (i = 0; i < in->ngroups; i++)
	{
		for (j = 0; j < state->groups[i].nplacements; j++)
		{
			NodeState  *n = &state->nodes[state->groups[i].nodes[j]];

			n->groups[n->ngroups++] = i;
			n->load += in->groups[i].cost;
			count_family(state, i, state->groups[i].nodes[j], 1);
		}
	}
	for (i = 0; i < in->nnodes; i++)
		qsort_arg(state->nodes[i].groups, state->nodes[i].ngroups, sizeof(int),
				  compare_entries, state);
}

/*
 * best_target
 *		The node for a placement that leaves a node (-1: is new); -1: there is none.
 *
 * new_zone: only nodes in zones without another placement.
 */
static int
best_target(State *state, int group, int from, bool new_zone)
{
	const CzPlanInput *in = state->in;
	double		cost = in->groups[group].cost;
	int			best = -1;
	int			best_shared = 0;
	double		best_after = 0;
	int			node;

	for (node = 0; node < in->nnodes; node++)
	{
		double		after = (state->nodes[node].load + cost) / in->nodes[node].capacity;
		int			shared;

		if (!in->nodes[node].accepts || in->nodes[node].is_away || is_on(state, group, node))
			continue;
		shared = count_in_zone(state, group, in->nodes[node].zone, from);
		if ((new_zone && shared > 0) ||
			(best >= 0 && (shared > best_shared ||
						   (shared == best_shared && after >= best_after))) ||
			!is_allowed(state, group, node))
			continue;
		best = node;
		best_shared = shared;
		best_after = after;
	}
	return best;
}

/* A placement that shares its zone with another one, on the fullest node of such; -1: none. */
static int
crowded_placement(const State *state, int group)
{
	const GroupState *g = &state->groups[group];
	int			result = -1;
	int			i;

	for (i = 0; i < g->nplacements; i++)
	{
		int			node = g->nodes[i];

		if (count_in_zone(state, group, state->in->nodes[node].zone, node) > 0 &&
			(result < 0 || fullness(state, node) > fullness(state, result)))
			result = node;
	}
	return result;
}

/* Is there a zone without a placement of the group that accepts some? */
static bool
has_free_zone(const State *state, int group)
{
	int			zone;

	for (zone = 0; zone < state->nzones; zone++)
	{
		if (state->zone_accepts[zone] && count_in_zone(state, group, zone, -1) == 0)
			return true;
	}
	return false;
}

/* What a group must have, whatever is full or empty. */
static void
place_group(State *state, int group)
{
	const CzPlanGroup *in = &state->in->groups[group];
	GroupState *g = &state->groups[group];
	int			i;
	int			to;

	for (i = 0; i < g->nplacements && !in->is_fixed; i++)
	{
		if (is_allowed(state, group, g->nodes[i]))
			continue;
		to = best_target(state, group, g->nodes[i], false);
		if (to < 0)
			state->nstranded++;
		else
		{
			g->must_move = true;
			apply_move(state, group, g->nodes[i], to);
		}
	}
	while (g->nplacements < in->wanted)
	{
		to = best_target(state, group, -1, false);
		if (to < 0)
		{
			state->nstranded += in->wanted - g->nplacements;
			break;
		}
		g->must_move = true;
		apply_move(state, group, -1, to);
	}
	while (!in->is_fixed && !state->in->only_needed && g->nplacements > 1 &&
		   has_free_zone(state, group))
	{
		int			from = crowded_placement(state, group);

		to = from < 0 ? -1 : best_target(state, group, from, true);
		if (to < 0)
			break;
		g->must_move = true;
		apply_move(state, group, from, to);
	}
}

static int
compare_cost_falling(const void *a, const void *b, void *arg)
{
	return -compare_cost(arg, *(const int *) a, *(const int *) b);
}

static void
place_needed(State *state)
{
	int			ngroups = state->in->ngroups;
	int		   *order = MemoryContextAllocHuge(CurrentMemoryContext,
											   Max(ngroups, 1) * sizeof(int));
	int			i;

	for (i = 0; i < ngroups; i++)
		order[i] = i;
	qsort_arg(order, ngroups, sizeof(int), compare_cost_falling, state);
	for (i = 0; i < ngroups && state->nmoved < state->in->max_moves; i++)
	{
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		place_group(state, order[i]);
	}
	pfree(order);
}

/* May a placement of the group go, as far as rules say? */
static bool
may_move(State *state, int group, int from, int to)
{
	return !state->in->groups[group].is_fixed && !is_on(state, group, to) &&
		keeps_zones(state, group, from, to) && is_allowed(state, group, to);
}

/* Would the placement of that cost, less what comes back, make the pair better? */
static bool
is_improvement(const State *state, int from, int to, double cost, double moved)
{
	double		capacity = state->in->nodes[from].capacity;
	double		before = fullness(state, from);
	double		after = Max(before - cost / capacity,
							fullness(state, to) + cost / state->in->nodes[to].capacity);

	return before - after > EPSILON * before &&
		before - after >= state->in->improvement * moved / capacity;
}

/* How many more of a group's family the one node has than the other. */
static int
family_difference(const State *state, int group, int from, int to)
{
	const int  *counts;

	if (state->counts == NULL)
		return 0;
	counts = state->counts + (Size) state->in->groups[group].family * state->in->nnodes;
	return counts[from] - counts[to];
}

/* Move the placement from one node to another that levels them best; false: none does. */
static bool
try_move(State *state, int from, int to, double level)
{
	const NodeState *n = &state->nodes[from];
	int			up = find_cost(state, from, level);
	int			down = up - 1;
	int			best = -1;
	int			nfitting = 0;
	int			i;

	for (i = 0; i < MAX_CANDIDATES && nfitting < MAX_FITTING; i++)
	{
		double		above = up < n->ngroups ? state->in->groups[n->groups[up]].cost - level : -1;
		double		below = down >= 0 ? level - state->in->groups[n->groups[down]].cost : -1;
		int			group;

		if (above < 0 && below < 0)
			break;
		if (below < 0 || (above >= 0 && above < below))
			group = n->groups[up++];
		else
			group = n->groups[down--];
		if (!is_improvement(state, from, to, state->in->groups[group].cost,
							state->in->groups[group].cost) ||
			!may_move(state, group, from, to))
			continue;
		nfitting++;
		/* one that is nearer by far is better than a good spread of tables */
		if (best >= 0 && fabs(state->in->groups[group].cost - level) >
			fabs(state->in->groups[best].cost - level) + 0.1 * level)
			break;
		if (best < 0 || family_difference(state, group, from, to) >
			family_difference(state, best, from, to))
			best = group;
	}
	if (best < 0)
		return false;
	apply_move(state, best, from, to);
	return true;
}

/* The same, while another one comes back. */
static bool
try_swap(State *state, int from, int to, double level)
{
	const NodeState *n = &state->nodes[from];
	const NodeState *other = &state->nodes[to];
	int			at = find_cost(state, from, level);
	int			step = Max((n->ngroups - at) / MAX_SWAPS, 1);

	for (; at < n->ngroups; at += step)
	{
		int			group = n->groups[at];
		double		cost = state->in->groups[group].cost;
		int			back = find_cost(state, to, cost - level);
		int			i;

		if (!may_move(state, group, from, to))
			continue;
		for (i = Max(back - 2, 0); i < other->ngroups && i < back + 2; i++)
		{
			int			partner = other->groups[i];
			double		difference = cost - state->in->groups[partner].cost;

			if (difference <= 0 ||
				!is_improvement(state, from, to, difference,
								cost + state->in->groups[partner].cost) ||
				!may_move(state, partner, to, from))
				continue;
			apply_move(state, group, from, to);
			apply_move(state, partner, to, from);
			return true;
		}
	}
	return false;
}

/* The fullest node that is not stuck; -1: none. */
static int
fullest_node(const State *state)
{
	int			best = -1;
	int			node;

	for (node = 0; node < state->in->nnodes; node++)
	{
		if (state->nodes[node].is_stuck || state->nodes[node].ngroups == 0 ||
			!state->in->nodes[node].accepts || state->in->nodes[node].is_away)
			continue;
		if (best < 0 || fullness(state, node) > fullness(state, best))
			best = node;
	}
	return best;
}

/* The emptiest node that has not been tried, of a zone that has not been tried enough. */
static int
next_target(const State *state, int from, const bool *tried, const int *zone_tries)
{
	int			best = -1;
	int			node;

	for (node = 0; node < state->in->nnodes; node++)
	{
		if (tried[node] || node == from || !state->in->nodes[node].accepts ||
			state->in->nodes[node].is_away ||
			zone_tries[state->in->nodes[node].zone] >= MAX_TARGETS)
			continue;
		if (best < 0 || fullness(state, node) < fullness(state, best))
			best = node;
	}
	return best;
}

/* Take something from a node; false: nothing of it can be moved to advantage. */
static bool
relieve(State *state, int from, bool *tried, int *zone_tries)
{
	const CzPlanInput *in = state->in;
	bool		is_too_full = fullness(state, from) > state->mean * (1 + in->threshold);
	bool		swaps;

	for (swaps = false;; swaps = true)
	{
		memset(tried, 0, in->nnodes * sizeof(bool));
		memset(zone_tries, 0, state->nzones * sizeof(int));
		for (;;)
		{
			int			to = next_target(state, from, tried, zone_tries);
			double		difference;
			double		level;

			if (to < 0)
				break;
			difference = fullness(state, from) - fullness(state, to);
			if (difference <= EPSILON * state->mean ||
				(!is_too_full &&
				 fullness(state, to) >= state->mean * (1 - in->threshold)))
				break;
			level = difference / (1 / in->nodes[from].capacity + 1 / in->nodes[to].capacity);
			if (swaps ? try_swap(state, from, to, level) : try_move(state, from, to, level))
				return true;
			tried[to] = true;
			zone_tries[in->nodes[to].zone]++;
		}
		if (swaps)
			return false;
	}
}

/* Level the nodes. */
static void
level_nodes(State *state)
{
	const CzPlanInput *in = state->in;
	bool	   *tried = palloc(in->nnodes * sizeof(bool));
	int		   *zone_tries = palloc(Max(state->nzones, 1) * sizeof(int));
	int			round;
	int			node;

	for (round = 0; round < MAX_ROUNDS; round++)
	{
		int			before = state->npicks;

		for (node = 0; node < in->nnodes; node++)
			state->nodes[node].is_stuck = false;
		while (state->nmoved < in->max_moves && (node = fullest_node(state)) >= 0 &&
			   fullness(state, node) > state->mean * (1 - in->threshold))
		{
			CHECK_FOR_INTERRUPTS();
			if (!relieve(state, node, tried, zone_tries))
				state->nodes[node].is_stuck = true;
		}
		if (state->npicks == before || state->nmoved >= in->max_moves)
			break;
	}
	pfree(tried);
	pfree(zone_tries);
}

static int
compare_moves(const void *a, const void *b, void *arg)
{
	const State *state = arg;
	const GroupState *x = &state->groups[((const CzPlanMove *) a)->group];
	const GroupState *y = &state->groups[((const CzPlanMove *) b)->group];

	if (x->must_move != y->must_move)
		return x->must_move ? -1 : 1;
	return x->first_pick < y->first_pick ? -1 : x->first_pick > y->first_pick ? 1 : 0;
}

/* The moves that make the map what its copy is, for one group. */
static void
emit_group(const State *state, int group, CzPlan *plan)
{
	const CzPlanGroup *before = &state->in->groups[group];
	const GroupState *after = &state->groups[group];
	int			nfrom = 0;
	int			i;
	int			j;
	int		   *from = palloc(Max(before->nplacements, 1) * sizeof(int));

	for (i = 0; i < before->nplacements; i++)
	{
		if (!is_on(state, group, before->nodes[i]))
			from[nfrom++] = before->nodes[i];
	}
	for (i = 0; i < after->nplacements; i++)
	{
		CzPlanMove *move;
		int			to = after->nodes[i];

		if (was_on(state, group, to))
			continue;
		move = &plan->moves[plan->nmoves++];
		move->group = group;
		move->to = to;
		move->from = -1;
		/* within the zone if one leaves it, so that zones are kept on the way */
		for (j = 0; j < nfrom; j++)
		{
			if (state->in->nodes[from[j]].zone == state->in->nodes[to].zone)
				break;
		}
		if (j == nfrom && nfrom > 0)
			j = 0;
		if (j < nfrom)
		{
			move->from = from[j];
			from[j] = from[--nfrom];
		}
	}
	pfree(from);
}

/*
 * CzPlanMoves
 *		See plan_moves.h.
 */
CzPlan *
CzPlanMoves(const CzPlanInput *input)
{
	CzPlan	   *plan = palloc0(sizeof(CzPlan));
	State	   *state = make_state(input);
	int			i;

	fill_nodes(state);
	place_needed(state);
	if (!input->only_needed)
		level_nodes(state);

	plan->nstranded = state->nstranded;
	plan->moves = MemoryContextAllocHuge(CurrentMemoryContext,
										 Max(state->nmoved, 1) * sizeof(CzPlanMove));
	for (i = 0; i < input->ngroups; i++)
	{
		if (state->groups[i].first_pick != 0)
			emit_group(state, i, plan);
	}
	Assert(plan->nmoves == state->nmoved);
	qsort_arg(plan->moves, plan->nmoves, sizeof(CzPlanMove), compare_moves, state);
	plan->nmoves = Min(plan->nmoves, Max(input->max_moves, 0));
	return plan;
}
