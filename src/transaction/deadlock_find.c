/*-------------------------------------------------------------------------
 *
 * deadlock_find.c
 *	  Who waits for whom, on all servers, and the circles in that.
 *
 * Every user may read pg_locks and call pg_blocking_pids(), so nothing is needed on the
 * workers.  Processes there that work for sessions here are known (remote/links.c) and
 * become one node of the graph with the session; others are nodes of their own, those of
 * another coordinator's session one by their application_name.
 *
 * The graph is made twice, with a moment in between.  A circle counts if each of its waits
 * began at the same time in both: so all its members have waited all the time between, and
 * nothing can have dissolved it.
 *
 * A circle of one worker's processes is found by that worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "deadlock_int.h"
#include "transaction_int.h"

/* Between the two looks, milliseconds. */
#define CONFIRM_MS 100
/* What one worker gets to take a connection and to answer, and all together, milliseconds. */
#define ASK_MS 1000
#define ASK_ALL_MS 2000
/* Servers that are asked where another coordinator's sessions are in the way. */
#define MAX_ASKED 64
/* Circles of which another coordinator's session is the victim are left to it for so long. */
#define LEFT_TO_OTHERS_MS 5000

#define WAITS_SQL \
	"SELECT l.pid, " \
	"(EXTRACT(epoch FROM l.waitstart) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, " \
	"pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(l.pid), ' ') " \
	"FROM pg_catalog.pg_locks l WHERE NOT l.granted AND l.waitstart IS NOT NULL LIMIT 10000"
#define NAMES_SQL \
	"SELECT pid, application_name FROM pg_catalog.pg_stat_activity " \
	"WHERE application_name OPERATOR(pg_catalog.~) '^cz_fdw [^ ]+ [0-9]+( |$)' " \
	"AND pid OPERATOR(pg_catalog.=) ANY ('{%s}'::pg_catalog.int4[])"

/* A process that waits for a lock. */
typedef struct Wait
{
	Oid			server_oid;		/* InvalidOid: here */
	int			pid;
	int64		begin;			/* microseconds, of that server's clock */
	List	   *blockers;		/* process ids */
} Wait;

/* A session or another process. */
typedef struct GraphNode
{
	int			pid;			/* of a session here; 0: */
	Oid			server_oid;		/* server and process there, one of them if name is set */
	int			remote_pid;
	char	   *name;			/* of another coordinator's session */
	const LongWaiter *waiter;	/* or NULL */
	List	   *edges;
	int			visit;			/* number of the search that has been here */
	bool		is_gone;		/* it is a victim already */
} GraphNode;

typedef struct GraphEdge
{
	GraphNode	   *to;
	const Wait *wait;
	int			to_pid;
} GraphEdge;

/* Name of a worker's process. */
typedef struct ProcessName
{
	Oid			server_oid;
	int			pid;
	char	   *name;
} ProcessName;

typedef struct Graph
{
	CzLink	   *links;
	int			nlinks;
	LongWaiter *waiters;
	int			nwaiters;
	List	   *waits;			/* of Wait */
	List	   *nodes;
	List	   *names;			/* of ProcessName */
	bool		is_complete;
	bool		has_foreign;
} Graph;

/*
 * CzDeadlockWaitsHere
 *		Does a process wait for a lock of this server, in this database?  A hint.
 */
bool
CzDeadlockWaitsHere(const PGPROC *proc)
{
	return proc->pid != 0 && proc->waitLock != NULL && proc->databaseId == MyDatabaseId;
}

/* A connection to a worker as the session's user; NULL if there is none in time. */
static CzConn *
connect_to(Oid server_oid)
{
	TimestampTz begin = GetCurrentTimestamp();
	CzEndpoint *endpoint;
	CzConn	   *conn;
	int			events;

	if (!SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(server_oid)))
		return NULL;
	endpoint = CzEndpointTryGet(server_oid, GetOuterUserId());
	if (endpoint == NULL)
		return NULL;
	conn = CzConnAcquireCached(endpoint, false);
	if (conn != NULL)
		return conn;
	conn = CzConnStartOrResume(endpoint);
	while ((events = CzConnPollConnect(conn, endpoint)) > 0)
	{
		long		left_ms = ASK_MS - TimestampDifferenceMilliseconds(begin, GetCurrentTimestamp());
		CzWaitSlot	slot;

		if (left_ms <= 0)
			break;
		slot.socket = PQsocket(conn->pg);
		slot.events = events;
		(void) CzWaitSockets(&slot, 1, left_ms, true);
	}
	if (events == 0)
		return conn;
	/* one that is not there yet is taken up at the next look */
	if (events > 0)
		CzConnRelease(conn);
	else
		CzConnDiscard(conn);
	return NULL;
}

/* The same without an error, but for what ends the statement anyway. */
static CzConn *
try_connect_to(Oid server_oid)
{
	MemoryContext context = CurrentMemoryContext;
	CzConn	   *volatile conn = NULL;

	PG_TRY();
	{
		conn = connect_to(server_oid);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
			InterruptPending)
			PG_RE_THROW();
		FlushErrorState();
		ereport(DEBUG1,
				(errmsg_internal("could not look for deadlocks on a node: %s", error->message)));
	}
	PG_END_TRY();
	return conn;
}

static List *
parse_pids(const char *text)
{
	List	   *pids = NIL;
	char	   *end;

	while (*text)
	{
		long		pid = strtol(text, &end, 10);

		if (end == text)
			break;
		/* 0 is a prepared transaction: it is about to end */
		if (pid > 0)
			pids = list_append_unique_int(pids, (int) pid);
		text = end;
	}
	return pids;
}

/* The session of a worker's process, as a link; NULL: it is none of ours. */
static const CzLink *
find_link(const Graph *graph, Oid server_oid, int remote_pid)
{
	int			i;

	for (i = 0; i < graph->nlinks; i++)
	{
		if (graph->links[i].server_oid == server_oid &&
			graph->links[i].remote_pid == remote_pid)
			return &graph->links[i];
	}
	return NULL;
}

/* Ask for the names of processes that are none of ours. */
static void
ask_names(Graph *graph, CzConn *conn, List *pids)
{
	StringInfoData list;
	StringInfoData sql;
	PGresult   *res;
	ListCell   *lc;
	int			i;

	initStringInfo(&list);
	foreach(lc, pids)
		appendStringInfo(&list, "%s%d", list.len > 0 ? "," : "", lfirst_int(lc));
	initStringInfo(&sql);
	appendStringInfo(&sql, NAMES_SQL, list.data);
	res = CzConnExecQuiet(conn, sql.data, ASK_MS);
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQnfields(res) == 2)
	{
		for (i = 0; i < PQntuples(res); i++)
		{
			ProcessName *name = palloc(sizeof(ProcessName));
			char	   *end;

			/* "cz_fdw", the cluster and the process: the rest is its user's */
			name->server_oid = conn->server_oid;
			name->pid = atoi(PQgetvalue(res, i, 0));
			name->name = pstrdup(PQgetvalue(res, i, 1));
			end = strchr(name->name + strlen("cz_fdw "), ' ');
			end = end != NULL ? strchr(end + 1, ' ') : NULL;
			if (end != NULL)
				*end = '\0';
			graph->names = lappend(graph->names, name);
		}
	}
	PQclear(res);
}

/* Ask a worker who waits for whom. */
static void
ask_server(Graph *graph, Oid server_oid)
{
	CzConn	   *conn = try_connect_to(server_oid);
	List	   *strangers = NIL;
	PGresult   *res = NULL;
	int			i;

	if (conn != NULL)
		res = CzConnExecQuiet(conn, WAITS_SQL, ASK_MS);
	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQnfields(res) != 3)
		graph->is_complete = false;
	else
	{
		for (i = 0; i < PQntuples(res); i++)
		{
			Wait	   *wait = palloc(sizeof(Wait));
			ListCell   *lc;

			wait->server_oid = server_oid;
			wait->pid = atoi(PQgetvalue(res, i, 0));
			wait->begin = strtoll(PQgetvalue(res, i, 1), NULL, 10);
			wait->blockers = parse_pids(PQgetvalue(res, i, 2));
			graph->waits = lappend(graph->waits, wait);
			if (find_link(graph, server_oid, wait->pid) == NULL)
				strangers = list_append_unique_int(strangers, wait->pid);
			foreach(lc, wait->blockers)
			{
				if (find_link(graph, server_oid, lfirst_int(lc)) == NULL)
					strangers = list_append_unique_int(strangers, lfirst_int(lc));
			}
		}
	}
	PQclear(res);
	if (strangers != NIL && !conn->is_broken)
		ask_names(graph, conn, strangers);
	if (conn != NULL)
		CzConnRelease(conn);
}

/* Waits of processes here. */
static void
look_here(Graph *graph)
{
	int			i;

	for (i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];
		PGPROC	   *leader = proc->lockGroupLeader;
		int64		begin = (int64) pg_atomic_read_u64(&proc->waitStart);
		int			pid = proc->pid;
		ArrayType  *array;
		Datum	   *pids;
		int			npids;
		Wait	   *wait;
		int			j;

		if (!CzDeadlockWaitsHere(proc) || begin == 0)
			continue;
		array = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
		deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &pids, NULL, &npids);
		wait = palloc0(sizeof(Wait));
		wait->pid = leader != NULL && leader->pid != 0 ? leader->pid : pid;
		wait->begin = begin;
		for (j = 0; j < npids; j++)
		{
			if (DatumGetInt32(pids[j]) > 0)
				wait->blockers = list_append_unique_int(wait->blockers, DatumGetInt32(pids[j]));
		}
		graph->waits = lappend(graph->waits, wait);
	}
}

static GraphNode *
node_here(Graph *graph, int pid)
{
	GraphNode	   *node;
	ListCell   *lc;
	int			i;

	foreach(lc, graph->nodes)
	{
		node = lfirst(lc);
		if (node->pid == pid)
			return node;
	}
	node = palloc0(sizeof(GraphNode));
	node->pid = pid;
	for (i = 0; i < graph->nwaiters; i++)
	{
		if (graph->waiters[i].pid == pid)
			node->waiter = &graph->waiters[i];
	}
	graph->nodes = lappend(graph->nodes, node);
	return node;
}

static GraphNode *
node_there(Graph *graph, Oid server_oid, int pid)
{
	const CzLink *link = find_link(graph, server_oid, pid);
	char	   *name = NULL;
	GraphNode	   *node;
	ListCell   *lc;

	if (link != NULL)
		return node_here(graph, link->pid);
	foreach(lc, graph->names)
	{
		ProcessName *process = lfirst(lc);

		if (process->server_oid == server_oid && process->pid == pid)
			name = process->name;
	}
	foreach(lc, graph->nodes)
	{
		node = lfirst(lc);
		if (node->pid != 0)
			continue;
		if (name != NULL ? node->name != NULL && strcmp(node->name, name) == 0 :
			node->server_oid == server_oid && node->remote_pid == pid)
			return node;
	}
	node = palloc0(sizeof(GraphNode));
	node->server_oid = server_oid;
	node->remote_pid = pid;
	node->name = name;
	graph->nodes = lappend(graph->nodes, node);
	return node;
}

static const Wait *
find_wait(const Graph *graph, Oid server_oid, int pid)
{
	ListCell   *lc;

	foreach(lc, graph->waits)
	{
		const Wait *wait = lfirst(lc);

		if (wait->server_oid == server_oid && wait->pid == pid)
			return wait;
	}
	return NULL;
}

/*
 * keeps_session
 *		Does a worker's process that waits keep its session from going on?  Not if the
 *		session does something else meanwhile; and of several that only read, another one
 *		may have what it needs.
 */
static bool
keeps_session(const Graph *graph, const CzLink *link)
{
	int			i;

	if (link->wait != CZ_LINK_AWAITED)
		return link->wait == CZ_LINK_AWAITED_TXN;
	for (i = 0; i < graph->nlinks; i++)
	{
		const CzLink *other = &graph->links[i];

		if (other->slot == link->slot && other->wait != CZ_LINK_NOT_AWAITED &&
			find_wait(graph, other->server_oid, other->remote_pid) == NULL)
			return false;
	}
	return true;
}

/* Make nodes and edges of the waits. */
static void
connect_nodes(Graph *graph)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, graph->waits)
	{
		const Wait *wait = lfirst(lc);
		GraphNode	   *from;

		if (!OidIsValid(wait->server_oid))
			from = node_here(graph, wait->pid);
		else
		{
			const CzLink *link = find_link(graph, wait->server_oid, wait->pid);

			from = node_there(graph, wait->server_oid, wait->pid);
			if (link != NULL && (from->waiter == NULL || !keeps_session(graph, link)))
				continue;
		}
		foreach(lc2, wait->blockers)
		{
			GraphEdge	   *edge = palloc(sizeof(GraphEdge));

			edge->wait = wait;
			edge->to_pid = lfirst_int(lc2);
			edge->to = OidIsValid(wait->server_oid) ?
				node_there(graph, wait->server_oid, edge->to_pid) :
				node_here(graph, edge->to_pid);
			from->edges = lappend(from->edges, edge);
			if (from->waiter != NULL && edge->to->name != NULL)
				graph->has_foreign = true;
		}
	}
}

/* Is a session here one that waits for long? */
static bool
is_long_waiter(const Graph *graph, int pid)
{
	int			i;

	for (i = 0; i < graph->nwaiters; i++)
	{
		if (graph->waiters[i].pid == pid)
			return true;
	}
	return false;
}

/*
 * make_graph
 *		Ask everybody.
 *
 * is_wide: also servers that nobody here waits for, if a session is connected to them.
 */
static Graph *
make_graph(bool is_wide)
{
	Graph	   *graph = palloc0(sizeof(Graph));
	TimestampTz begin = GetCurrentTimestamp();
	List	   *servers = NIL;
	ListCell   *lc;
	int			i;

	graph->is_complete = true;
	graph->waiters = CzDeadlockWaiters(&graph->nwaiters);
	graph->links = CzLinksRead(&graph->nlinks);
	for (i = 0; i < graph->nlinks; i++)
	{
		const CzLink *link = &graph->links[i];

		if ((is_wide && list_length(servers) < MAX_ASKED) ||
			(link->wait != CZ_LINK_NOT_AWAITED && is_long_waiter(graph, link->pid)))
			servers = list_append_unique_oid(servers, link->server_oid);
	}
	foreach(lc, servers)
	{
		if (CzHealthIsSuspect(lfirst_oid(lc)) ||
			TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), ASK_ALL_MS))
			graph->is_complete = false;
		else
			ask_server(graph, lfirst_oid(lc));
	}
	look_here(graph);
	connect_nodes(graph);
	return graph;
}

/* Was a wait there before, begun at the same time, and for the same? */
static bool
is_confirmed(const Graph *before, const GraphEdge *edge)
{
	const Wait *wait = find_wait(before, edge->wait->server_oid, edge->wait->pid);

	return wait != NULL && wait->begin == edge->wait->begin &&
		list_member_int(wait->blockers, edge->to_pid);
}

/*
 * search
 *		A way along confirmed edges back to the node where it began; the edges are then
 *		in *path, the last one first.
 */
static bool
search(const Graph *before, GraphNode *node, GraphNode *begin, int visit, List **path)
{
	ListCell   *lc;

	check_stack_depth();
	if (node->is_gone || node->visit == visit)
		return false;
	node->visit = visit;
	foreach(lc, node->edges)
	{
		GraphEdge	   *edge = lfirst(lc);

		if (!is_confirmed(before, edge))
			continue;
		if ((edge->to == begin && !begin->is_gone) ||
			search(before, edge->to, begin, visit, path))
		{
			*path = lappend(*path, edge);
			return true;
		}
	}
	return false;
}

/* The node that an edge comes from, in a circle: the one that the edge before leads to. */
static GraphNode *
edge_from(List *path, int i)
{
	GraphEdge	   *before = list_nth(path, (i + 1) % list_length(path));

	return before->to;
}

/* Does one server see the whole circle? */
static bool
is_of_one_server(List *path)
{
	int			i;

	for (i = 0; i < list_length(path); i++)
	{
		GraphEdge	   *edge = list_nth(path, i);
		GraphEdge	   *before = list_nth(path, (i + 1) % list_length(path));

		if (edge->wait->server_oid != before->wait->server_oid ||
			edge->wait->pid != before->to_pid)
			return false;
	}
	return true;
}

/* Our sessions' names as other coordinators read them. */
static char *
name_of_session(int pid)
{
	char	   *name = palloc(CZ_SESSION_IDENTITY_LEN);

	CzSessionIdentity(pid, name);
	return name;
}

/*
 * choose_victim
 *		The youngest transaction that waits in a loop of ours; NULL: it is for another
 *		coordinator to choose one of its own.
 *
 * With others' sessions in the circle all coordinators must choose the same one: that
 * with the greatest name.
 */
static GraphNode *
choose_victim(List *path)
{
	GraphNode	   *victim = NULL;
	char	   *greatest_other = NULL;
	int64		waited_us = PG_INT64_MAX;
	int			i;

	for (i = 0; i < list_length(path); i++)
	{
		GraphNode	   *node = edge_from(path, i);
		GraphEdge	   *edge = list_nth(path, i);

		if (node->name != NULL &&
			(greatest_other == NULL || strcmp(node->name, greatest_other) > 0))
			greatest_other = node->name;
		waited_us = Min(waited_us, GetCurrentTimestamp() - edge->wait->begin);
		if (node->waiter != NULL &&
			(victim == NULL || node->waiter->xact_start > victim->waiter->xact_start ||
			 (node->waiter->xact_start == victim->waiter->xact_start && node->pid > victim->pid)))
			victim = node;
	}
	if (victim == NULL || greatest_other == NULL || waited_us > LEFT_TO_OTHERS_MS * INT64CONST(1000))
		return victim;
	victim = NULL;
	for (i = 0; i < list_length(path); i++)
	{
		GraphNode	   *node = edge_from(path, i);

		if (node->waiter != NULL && strcmp(name_of_session(node->pid), greatest_other) > 0 &&
			(victim == NULL ||
			 strcmp(name_of_session(node->pid), name_of_session(victim->pid)) > 0))
			victim = node;
	}
	return victim;
}

/* What is to be told of a circle; the victim comes first. */
static Deadlock *
describe(List *path, const GraphNode *victim)
{
	Deadlock   *deadlock = palloc0(sizeof(Deadlock));
	int			n = list_length(path);
	int			first = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (edge_from(path, i) == victim)
			first = i;
	}
	deadlock->victim = *victim->waiter;
	deadlock->nsteps = Min(n, MAX_STEPS);
	for (i = 0; i < deadlock->nsteps; i++)
	{
		/* the path is the last edge first */
		int			at = (first - i + n) % n;
		GraphNode	   *node = edge_from(path, at);
		GraphEdge	   *edge = list_nth(path, at);
		DeadlockStep *step = &deadlock->steps[i];

		step->pid = node->pid;
		step->server_oid = node->server_oid;
		step->remote_pid = node->remote_pid;
		step->waits_at = edge->wait->server_oid;
	}
	return deadlock;
}

/* Circles of a graph whose edges were in another one before. */
static List *
find_circles(const Graph *before, Graph *graph)
{
	List	   *deadlocks = NIL;
	int			visit = 0;
	ListCell   *lc;

	foreach(lc, graph->nodes)
	{
		GraphNode	   *node = lfirst(lc);
		List	   *path = NIL;
		GraphNode	   *victim;

		/* each circle over servers has a session that waits for a worker */
		if (node->waiter == NULL)
			continue;
		if (!search(before, node, node, ++visit, &path) || is_of_one_server(path))
			continue;
		victim = choose_victim(path);
		if (victim == NULL)
			continue;
		deadlocks = lappend(deadlocks, describe(path, victim));
		victim->is_gone = true;
	}
	return deadlocks;
}

/*
 * CzDeadlockFind
 *		Look for deadlocks of this database's sessions.  In the current memory context.
 *
 * Errors: 57014 and the like only.
 */
void
CzDeadlockFind(DeadlockFinding *finding)
{
	Graph	   *before = make_graph(false);
	Graph	   *graph;

	memset(finding, 0, sizeof(*finding));
	if (before->has_foreign)
		before = make_graph(true);
	finding->is_complete = before->is_complete;
	finding->has_foreign = before->has_foreign;
	if (find_circles(before, before) == NIL)
		return;

	/* a circle of this moment, perhaps */
	(void) CzWaitSockets(NULL, 0, CONFIRM_MS, true);
	graph = make_graph(before->has_foreign);
	finding->is_complete &= graph->is_complete;
	finding->deadlocks = find_circles(before, graph);
}
