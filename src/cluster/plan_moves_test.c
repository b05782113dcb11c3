/*-------------------------------------------------------------------------
 *
 * plan_moves_test.c
 *	  In developers' builds: plan a random cluster's moves, and look whether the plan
 *	  is what it should be.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"

#include "plan_moves.h"

#ifdef USE_ASSERT_CHECKING

PG_FUNCTION_INFO_V1(cz_test_plan_moves);

typedef struct Random
{
	pg_prng_state prng;
} Random;

/* From 0 to n - 1 */
static int
random_below(Random *random, int n)
{
	return (int) pg_prng_uint64_range(&random->prng, 0, n - 1);
}

/* A random cost: log-normal, from a tenth to ten times of most. */
static double
random_cost(Random *random)
{
	double		sum = 0;
	int			i;

	for (i = 0; i < 12; i++)
		sum += pg_prng_double(&random->prng);
	return exp(0.8 * (sum - 6));
}

static void
make_nodes(CzPlanNode *nodes, int nnodes, int nzones, int ndrained, Random *random)
{
	int			i;

	for (i = 0; i < nnodes; i++)
	{
		nodes[i].capacity = 1 + random_below(random, 2);
		nodes[i].zone = i % nzones;
		nodes[i].accepts = true;
	}
	for (i = 0; i < ndrained; i++)
		nodes[random_below(random, nnodes)].accepts = false;
}

/* Groups on the first nodes, as before the others have come. */
static void
make_groups(CzPlanGroup *groups, int ngroups, int factor, int nfilled, int nfamilies,
			bool by_count, Random *random)
{
	int			i;
	int			j;

	for (i = 0; i < ngroups; i++)
	{
		int		   *nodes = palloc(factor * sizeof(int));
		int			first = random_below(random, nfilled);

		for (j = 0; j < factor; j++)
			nodes[j] = (first + j) % nfilled;
		groups[i].cost = by_count ? 1 : random_cost(random);
		groups[i].family = i % nfamilies;
		groups[i].nplacements = factor;
		groups[i].nodes = nodes;
	}
}

/*
 * How full the fullest node is at least: zones are filled evenly, but none can have
 * more than one placement of each group while there are as many zones as placements.
 */
static double
least_fullness(const CzPlanInput *in, int nzones, int factor)
{
	double	   *capacity = palloc0(nzones * sizeof(double));
	bool	   *is_full = palloc0(nzones * sizeof(bool));
	double		total = 0;
	double		left;
	double		level = 0;
	int			nopen = 0;
	int			i;
	int			n;

	for (i = 0; i < in->ngroups; i++)
		total += in->groups[i].cost;
	for (i = 0; i < in->nnodes; i++)
	{
		if (in->nodes[i].accepts)
			capacity[in->nodes[i].zone] += in->nodes[i].capacity;
	}
	for (i = 0; i < nzones; i++)
		nopen += capacity[i] > 0;
	left = total * factor;
	for (n = 0; n < nzones; n++)
	{
		double		open = 0;
		bool		changed = false;

		for (i = 0; i < nzones; i++)
			open += is_full[i] ? 0 : capacity[i];
		level = open > 0 ? left / open : 0;
		for (i = 0; i < nzones && nopen >= factor; i++)
		{
			if (!is_full[i] && capacity[i] > 0 && level * capacity[i] > total)
			{
				is_full[i] = true;
				left -= total;
				changed = true;
			}
		}
		if (!changed)
			break;
	}
	/* a zone that has one of each may be fuller than the others */
	for (i = 0; i < nzones; i++)
	{
		if (is_full[i])
			level = Max(level, total / capacity[i]);
	}
	return level;
}

/* Make the moves; what is wrong with one of them, or NULL. */
static const char *
carry_out(const CzPlanInput *in, const CzPlan *plan, double *load)
{
	int			i;
	int			j;

	for (i = 0; i < plan->nmoves; i++)
	{
		const CzPlanMove *move = &plan->moves[i];
		const CzPlanGroup *group = &in->groups[move->group];
		int		   *nodes = unconstify(int *, group->nodes);
		int			at = -1;

		for (j = 0; j < group->nplacements; j++)
		{
			if (nodes[j] == move->to)
				return "two placements on one node";
			if (nodes[j] == move->from)
				at = j;
		}
		if (at < 0)
			return "moved from where it is not";
		if (!in->nodes[move->to].accepts)
			return "moved to a node that accepts none";
		nodes[at] = move->to;
		load[move->from] -= group->cost;
		load[move->to] += group->cost;
	}
	return NULL;
}

/* Are placements of a group in one zone though another one has a node for it? */
static const char *
check_zones(const CzPlanInput *in, int nzones)
{
	bool	   *has_node = palloc0(nzones * sizeof(bool));
	int		   *used = palloc(nzones * sizeof(int));
	int			i;
	int			j;

	for (i = 0; i < in->nnodes; i++)
		has_node[in->nodes[i].zone] |= in->nodes[i].accepts;
	for (i = 0; i < in->ngroups; i++)
	{
		bool		is_crowded = false;
		bool		has_free = false;

		memset(used, 0, nzones * sizeof(int));
		for (j = 0; j < in->groups[i].nplacements; j++)
		{
			if (!in->nodes[in->groups[i].nodes[j]].accepts)
				return "left on a node that accepts none";
			is_crowded |= ++used[in->nodes[in->groups[i].nodes[j]].zone] > 1;
		}
		for (j = 0; j < nzones; j++)
			has_free |= has_node[j] && used[j] == 0;
		if (is_crowded && has_free)
			return "two placements in one zone while another has room";
	}
	return NULL;
}

/*
 * cz_test_plan_moves(seed int, nnodes int, nnew int, ngroups int, factor int, nzones int,
 *					  ndrained int, by_count boolean, OUT moves int, OUT fullest float8,
 *					  OUT moved float8, OUT ms float8, OUT problem text)
 *		fullest: the fullest node against how full it must be; moved: share of the whole.
 */
Datum
cz_test_plan_moves(PG_FUNCTION_ARGS)
{
	int			nnodes = PG_GETARG_INT32(1);
	int			nnew = PG_GETARG_INT32(2);
	int			factor = PG_GETARG_INT32(4);
	int			nzones = PG_GETARG_INT32(5);
	Random		random;
	CzPlanInput in = {0};
	CzPlan	   *plan;
	CzPlanNode *nodes = palloc0(nnodes * sizeof(CzPlanNode));
	CzPlanGroup *groups;
	double	   *load = palloc0(nnodes * sizeof(double));
	double		fullest = 0;
	double		total = 0;
	double		moved = 0;
	const char *problem;
	instr_time	start;
	instr_time	end;
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {false};
	int			i;
	int			j;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pg_prng_seed(&random.prng, PG_GETARG_INT32(0));
	in.ngroups = PG_GETARG_INT32(3);
	groups = palloc0(in.ngroups * sizeof(CzPlanGroup));
	make_nodes(nodes, nnodes, nzones, PG_GETARG_INT32(6), &random);
	in.nfamilies = Max(in.ngroups / 32, 1);
	make_groups(groups, in.ngroups, factor, nnodes - nnew, in.nfamilies, PG_GETARG_BOOL(7),
				&random);
	in.nnodes = nnodes;
	in.nodes = nodes;
	in.groups = groups;
	in.threshold = 0.03;
	in.max_moves = INT_MAX;
	for (i = 0; i < in.ngroups; i++)
	{
		for (j = 0; j < factor; j++)
			load[groups[i].nodes[j]] += groups[i].cost;
		total += groups[i].cost * factor;
	}

	INSTR_TIME_SET_CURRENT(start);
	plan = CzPlanMoves(&in);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);

	for (i = 0; i < plan->nmoves; i++)
		moved += groups[plan->moves[i].group].cost;
	problem = carry_out(&in, plan, load);
	if (problem == NULL)
		problem = check_zones(&in, nzones);
	for (i = 0; i < nnodes; i++)
		fullest = Max(fullest, load[i] / nodes[i].capacity);

	values[0] = Int32GetDatum(plan->nmoves);
	values[1] = Float8GetDatum(fullest / least_fullness(&in, nzones, factor));
	values[2] = Float8GetDatum(moved / total);
	values[3] = Float8GetDatum(INSTR_TIME_GET_MILLISEC(end));
	nulls[4] = problem == NULL;
	values[4] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

#endif							/* USE_ASSERT_CHECKING */
