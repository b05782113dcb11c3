/*-------------------------------------------------------------------------
 *
 * links.c
 *	  The connections of all sessions, in shared memory: which worker's process works
 *	  for which session.
 *
 * A session writes its own slot only, without a lock, and others read it without one: what
 * they find is looked at twice before anything is done about it.  There is nothing here
 * that is a secret: process ids of the workers and OIDs of servers.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "remote_int.h"

/* Connections of one session that others see; further ones do not take part. */
#define MAX_LINKS 128

typedef struct SharedLink
{
	Oid			server_oid;		/* InvalidOid: free */
	int			remote_pid;		/* 0: not known yet */
	CzLinkWait	wait;
	TimestampTz idle_since;		/* 0: in use */
} SharedLink;

/* What a session publishes; by the number of its PGPROC. */
typedef struct LinkSlot
{
	int			pid;			/* 0: free */
	Oid			database_oid;
	int			nlinks;			/* that have ever been in use */
	SharedLink	links[MAX_LINKS];
} LinkSlot;

static LinkSlot *slots = NULL;
static LinkSlot *my_slot = NULL;

Size
CzLinksShmemSize(void)
{
	return mul_size(MaxBackends, sizeof(LinkSlot));
}

void
CzLinksShmemInit(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	slots = ShmemInitStruct("cz_fdw connections of sessions", CzLinksShmemSize(), &found);
	if (!found)
		memset(slots, 0, CzLinksShmemSize());
	LWLockRelease(AddinShmemInitLock);
}

static void
leave(int code, Datum arg)
{
	if (my_slot != NULL)
		my_slot->pid = 0;
	my_slot = NULL;
}

/*
 * CzLinksInit
 *		Before the session's first connection.
 */
void
CzLinksInit(void)
{
	int			number = MyProc - ProcGlobal->allProcs;

	if (slots == NULL || number < 0 || number >= MaxBackends)
		return;
	my_slot = &slots[number];
	my_slot->nlinks = 0;
	my_slot->database_oid = MyDatabaseId;
	pg_write_barrier();
	my_slot->pid = MyProcPid;
	before_shmem_exit(leave, (Datum) 0);
}

/*
 * CzLinkOpen, CzLinkSetPid, CzLinkSetIdle, CzLinkClose
 *		A connection is begun; the worker has told its process id; the session does not use
 *		it now, or does; it is closed.
 */
void
CzLinkOpen(ConnEntry *entry)
{
	int			i;

	entry->link = -1;
	if (my_slot == NULL)
		return;
	for (i = 0; i < MAX_LINKS; i++)
	{
		SharedLink *link = &my_slot->links[i];

		if (i < my_slot->nlinks && OidIsValid(link->server_oid))
			continue;
		link->remote_pid = 0;
		link->wait = CZ_LINK_NOT_AWAITED;
		link->idle_since = 0;
		link->server_oid = entry->pub.server_oid;
		if (i == my_slot->nlinks)
		{
			pg_write_barrier();
			my_slot->nlinks = i + 1;
		}
		entry->link = i;
		return;
	}
}

void
CzLinkSetPid(ConnEntry *entry)
{
	if (entry->link >= 0 && my_slot != NULL)
		my_slot->links[entry->link].remote_pid = entry->server_pid;
}

void
CzLinkSetIdle(ConnEntry *entry, bool is_idle)
{
	if (entry->link >= 0 && my_slot != NULL)
		my_slot->links[entry->link].idle_since = is_idle ? entry->idle_since : 0;
}

void
CzLinkClose(ConnEntry *entry)
{
	if (entry->link >= 0 && my_slot != NULL)
	{
		my_slot->links[entry->link].remote_pid = 0;
		my_slot->links[entry->link].server_oid = InvalidOid;
	}
	entry->link = -1;
}

/*
 * CzLinksAwait
 *		See remote.h.
 */
void
CzLinksAwait(const CzWaitSlot *wait_slots, int nslots)
{
	ConnEntry  *entry;

	for (entry = cz_conn_list; entry && my_slot != NULL; entry = (ConnEntry *) entry->pub.next)
	{
		CzLinkWait	wait = CZ_LINK_NOT_AWAITED;
		int			i;

		if (entry->link < 0)
			continue;
		for (i = 0; i < nslots && entry->phase == PHASE_READY; i++)
		{
			if (wait_slots[i].socket >= 0 && wait_slots[i].events != 0 &&
				wait_slots[i].socket == PQsocket(entry->pub.pg))
				wait = entry->pub.state == CZ_CONN_TXN ? CZ_LINK_AWAITED_TXN : CZ_LINK_AWAITED;
		}
		my_slot->links[entry->link].wait = wait;
	}
}

/*
 * CzLinksRead
 *		See remote.h.
 */
CzLink *
CzLinksRead(int *nlinks)
{
	int			max_links = 64;
	CzLink	   *links = palloc(sizeof(CzLink) * max_links);
	int			i;
	int			j;

	*nlinks = 0;
	for (i = 0; slots != NULL && i < MaxBackends; i++)
	{
		int			pid = slots[i].pid;

		pg_read_barrier();
		for (j = 0; pid != 0 && j < slots[i].nlinks; j++)
		{
			CzLink	   *link;

			if (slots[i].database_oid != MyDatabaseId || !OidIsValid(slots[i].links[j].server_oid))
				continue;
			if (*nlinks == max_links)
			{
				max_links *= 2;
				links = repalloc(links, sizeof(CzLink) * max_links);
			}
			link = &links[(*nlinks)++];
			link->slot = i;
			link->pid = pid;
			link->server_oid = slots[i].links[j].server_oid;
			link->remote_pid = slots[i].links[j].remote_pid;
			link->wait = slots[i].links[j].wait;
			link->idle_since = slots[i].links[j].idle_since;
		}
	}
	return links;
}
