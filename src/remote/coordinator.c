/*-------------------------------------------------------------------------
 *
 * coordinator.c
 *	  Of which coordinator is this session, and is a later one there?
 *
 * A worker carries a mark, the comment of its schema of shards: a line
 *
 *		cz_fdw <cluster> <word> <epoch> <owner>
 *
 * for each cluster that it belongs, or belonged, to.  The word says which node it
 * is; the epoch counts take-overs, and the owner, a hash of what makes a database a
 * coordinator and no copy of one, tells two apart that took over from the same one.
 * A session of an earlier epoch, or of another owner in the same one, may not use the
 * worker: it is fenced.
 *
 * The mark is read with the first answer of a session.  Before that, in the same
 * round trip, the session takes an advisory lock, shared, whose number has the cluster
 * and the epoch.  Who raises the epoch commits the new mark and then ends the sessions
 * that hold locks of earlier ones: a session either finds the new mark, or is found.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "cz/errors.h"
#include "remote_int.h"

#define MARK_BEGIN "cz_fdw "

static CzCoordinator coordinator;

void		(*cz_session_fenced) (const char *node_name, int epoch) = NULL;

/*
 * CzSessionSetCoordinator
 *		See remote.h.
 */
void
CzSessionSetCoordinator(const CzCoordinator *who)
{
	if (who == NULL)
		memset(&coordinator, 0, sizeof(coordinator));
	else
		coordinator = *who;
}

/*
 * CzSessionEpoch
 *		Of the coordinator that this session belongs to; 0: of none.
 */
int
CzSessionEpoch(void)
{
	return coordinator.epoch;
}

/*
 * CzEpochLockClass
 *		See remote.h.
 */
uint32
CzEpochLockClass(const char *cluster_id)
{
	return hash_bytes((const unsigned char *) cluster_id, strlen(cluster_id));
}

/*
 * CzSessionEpochLock
 *		What a new session sends first; false: nothing.
 */
bool
CzSessionEpochLock(StringInfo sql)
{
	uint64		key = ((uint64) CzEpochLockClass(coordinator.cluster_id) << 32) |
		(uint32) coordinator.epoch;

	if (coordinator.epoch == 0)
		return false;
	appendStringInfo(sql, "SELECT pg_catalog.pg_try_advisory_lock_shared(" INT64_FORMAT ")",
					 (int64) key);
	return true;
}

/* The next word of a line: its length; *p: out: where it begins. */
static int
next_word(const char **p)
{
	while (**p == ' ')
		(*p)++;
	return (int) strcspn(*p, " \n");
}

/*
 * CzMarkRead
 *		See remote.h.
 */
bool
CzMarkRead(const char *mark, const char *cluster_id, CzWorkerMark *found)
{
	char	   *begin = psprintf(MARK_BEGIN "%s ", cluster_id);
	const char *p = strstr(mark, begin);
	int			len;

	memset(found, 0, sizeof(CzWorkerMark));
	if (p == NULL)
	{
		pfree(begin);
		return false;
	}
	p += strlen(begin);
	pfree(begin);
	len = next_word(&p);
	strlcpy(found->word, p, Min(len + 1, sizeof(found->word)));
	p += len;
	/* marks of earlier versions end here: of an epoch before all others */
	len = next_word(&p);
	found->epoch = (int) strtol(p, NULL, 10);
	p += len;
	len = next_word(&p);
	strlcpy(found->owner, p, Min(len + 1, sizeof(found->owner)));
	return true;
}

/*
 * CzMarkWrite
 *		See remote.h.
 */
char *
CzMarkWrite(const CzCoordinator *who, const char *word)
{
	return psprintf(MARK_BEGIN "%s %s %d %s", who->cluster_id, word, who->epoch, who->owner);
}

/*
 * CzSessionTakeMark
 *		A session's first answer has the worker's mark: may the session use it?
 */
void
CzSessionTakeMark(ConnEntry *entry, const char *text)
{
	CzWorkerMark		mark;

	if (coordinator.epoch == 0 || !CzMarkRead(text, coordinator.cluster_id, &mark))
		return;
	entry->pub.is_behind = mark.epoch < coordinator.epoch;
	if (mark.epoch < coordinator.epoch ||
		(mark.epoch == coordinator.epoch &&
		 (mark.owner[0] == '\0' || coordinator.owner[0] == '\0' ||
		  strcmp(mark.owner, coordinator.owner) == 0)))
		return;
	entry->fenced_by = mark.epoch;
	entry->settings_failed = true;
	if (entry->connect_error == NULL)
		entry->connect_error =
			MemoryContextStrdup(cz_conn_context,
								"A later coordinator of the cluster has taken over.");
}

/*
 * CzConnCheckFenced
 *		See remote.h.
 */
void
CzConnCheckFenced(const CzConn *conn)
{
	int			epoch = ENTRY(conn)->fenced_by;

	if (epoch > 0 && cz_session_fenced != NULL)
		cz_session_fenced(conn->node_name, epoch);
}
