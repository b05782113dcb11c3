/*-------------------------------------------------------------------------
 *
 * pool_usual.c
 *	  Which workers does a session use?
 *
 * What it has used lately it will most likely want again in its next turn (pool.c).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cz/settings.h"
#include "remote_int.h"

/* Workers that a session wants in its turn, and how long after it has used them. */
#define MAX_USUAL 16
#define USUAL_MS 30000

/* Workers that this session has used. */
typedef struct UsualWorker
{
	Oid			server_oid;
	Oid			user_oid;
	TimestampTz used_at;
} UsualWorker;

static UsualWorker usual[MAX_USUAL];
static int	nusual = 0;
static CzPoolLookup lookup = NULL;

/*
 * CzPoolSetLookup
 *		See remote.h.
 */
void
CzPoolSetLookup(CzPoolLookup function)
{
	lookup = function;
}

/*
 * CzPoolUsed
 *		A connection was used, and is not any more.
 */
void
CzPoolUsed(const ConnEntry *entry)
{
	int			oldest = 0;
	int			i;

	for (i = 0; i < nusual; i++)
	{
		if (usual[i].server_oid == entry->pub.server_oid &&
			usual[i].user_oid == entry->pub.user_oid)
			break;
		if (usual[i].used_at < usual[oldest].used_at)
			oldest = i;
	}
	if (i == MAX_USUAL)
		i = oldest;
	else if (i == nusual)
		nusual++;
	usual[i].server_oid = entry->pub.server_oid;
	usual[i].user_oid = entry->pub.user_oid;
	usual[i].used_at = GetCurrentTimestamp();
}

/*
 * CzPoolWithUsual
 *		To the endpoints add those that this session has used lately.
 *
 * Returns: all of them, *nall, those that were given first; palloc'd.
 */
const CzEndpoint **
CzPoolWithUsual(const CzEndpoint *const *endpoints, int nendpoints, int *nall)
{
	const CzEndpoint **all = palloc(sizeof(CzEndpoint *) * (nendpoints + nusual));
	TimestampTz now = GetCurrentTimestamp();
	int			i;
	int			j;

	memcpy(all, endpoints, sizeof(CzEndpoint *) * nendpoints);
	*nall = nendpoints;
	for (i = 0; i < nusual && lookup != NULL; i++)
	{
		const CzEndpoint *endpoint;

		for (j = 0; j < *nall && all[j]->server_oid != usual[i].server_oid; j++)
			;
		if (j < *nall || CzHealthIsSuspect(usual[i].server_oid) ||
			TimestampDifferenceExceeds(usual[i].used_at, now, USUAL_MS))
			continue;
		endpoint = lookup(usual[i].server_oid, usual[i].user_oid);
		if (endpoint != NULL)
			all[(*nall)++] = endpoint;
	}
	return all;
}
