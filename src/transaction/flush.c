/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  Writes of the current transaction that wait in buffers.
 *
 * Writes that wait in a buffer belong to the level that made them.  So they are
 * sent before a savepoint of a deeper level is opened, in the order of levels,
 * and when that fails it is their level that has lost something: it can only be
 * rolled back.  Buffered is either confirmed or undone, never forgotten.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "transaction_int.h"

/* A registered CzTxnRegisterFlush. */
typedef struct CzTxnFlush
{
	CzFlushCallback callback;
	void	   *arg;
	int			level;			/* nest level that its writes belong to */
	CommandId	first_cid;		/* commands whose writes it has */
	CommandId	last_cid;
} CzTxnFlush;

static List *txn_flushes = NIL; /* of CzTxnFlush, in TopTransactionContext */
static int	flush_level = 0;	/* > 0: a flush runs for this level */
static int	lost_level = 0;		/* > 0: a flush failed that an outer level than the one
								 * that is rolled back needed: this one must be, too */
static CommandId flush_first_cid = InvalidCommandId;	/* ... and these commands; or */
static CommandId flush_last_cid = InvalidCommandId; /* InvalidCommandId: the current one */

/*
 * CzTxnLevel
 *		The level that a command belongs to: a flush's, or the current one.
 */
int
CzTxnLevel(void)
{
	int			level = GetCurrentTransactionNestLevel();

	return flush_level > 0 ? Min(level, flush_level) : level;
}

/*
 * CzTxnIsFlushing
 *		Does a flush run, which sends what has been announced before?
 */
bool
CzTxnIsFlushing(void)
{
	return flush_level > 0;
}

/*
 * CzTxnCommandsOfWrite
 *		The commands that what is written now belongs to: those that are being flushed,
 *		or the one that runs.
 */
void
CzTxnCommandsOfWrite(CommandId *first_cid, CommandId *last_cid)
{
	if (flush_first_cid == InvalidCommandId)
		*first_cid = *last_cid = GetCurrentCommandId(true);
	else
	{
		*first_cid = flush_first_cid;
		*last_cid = flush_last_cid;
	}
}

/*
 * CzTxnHasLostWrites
 *		Are buffered writes lost, so that a level can only be rolled back?
 */
bool
CzTxnHasLostWrites(void)
{
	return lost_level > 0;
}

/*
 * CzTxnCheckNotLost
 *		Refuse to go on with, or to commit, a level whose buffered writes are lost.
 */
void
CzTxnCheckNotLost(void)
{
	if (lost_level > 0)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_ROLLBACK),
				 errmsg("the transaction must be rolled back further"),
				 errdetail("Rows that were written before the last savepoint could not be sent to their nodes.")));
}

/*
 * CzTxnHasFlushBelow
 *		Does a level above this one have writes that wait?
 */
bool
CzTxnHasFlushBelow(int level)
{
	ListCell   *lc;

	foreach(lc, txn_flushes)
	{
		if (((CzTxnFlush *) lfirst(lc))->level < level)
			return true;
	}
	return false;
}

/*
 * CzTxnHasFlushBefore
 *		Do writes of a command before this one wait?  InvalidCommandId: of any command.
 */
bool
CzTxnHasFlushBefore(CommandId curcid)
{
	ListCell   *lc;

	foreach(lc, txn_flushes)
	{
		if (((CzTxnFlush *) lfirst(lc))->first_cid < curcid)
			return true;
	}
	return false;
}

/* The registration with this arg, or NULL. */
static CzTxnFlush *
find_flush(void *arg)
{
	ListCell   *lc;

	foreach(lc, txn_flushes)
	{
		if (((CzTxnFlush *) lfirst(lc))->arg == arg)
			return (CzTxnFlush *) lfirst(lc);
	}
	return NULL;
}

/*
 * run_at_level
 *		Run a callback as a part of an outer level.
 */
static void
run_at_level(int level, CzFlushCallback callback, void *arg)
{
	int			saved = flush_level;
	CommandId	saved_first_cid = flush_first_cid;
	CommandId	saved_last_cid = flush_last_cid;
	CzTxnFlush *flush = find_flush(arg);

	flush_level = level;
	flush_first_cid = flush != NULL ? flush->first_cid : InvalidCommandId;
	flush_last_cid = flush != NULL ? flush->last_cid : InvalidCommandId;
	PG_TRY();
	{
		callback(arg);
	}
	PG_CATCH();
	{
		flush_level = saved;
		flush_first_cid = saved_first_cid;
		flush_last_cid = saved_last_cid;
		if (level < GetCurrentTransactionNestLevel() &&
			(lost_level == 0 || level < lost_level))
			lost_level = level;
		PG_RE_THROW();
	}
	PG_END_TRY();
	flush_level = saved;
	flush_first_cid = saved_first_cid;
	flush_last_cid = saved_last_cid;
}

/*
 * flush_below
 *		Send what waits in the levels above this one and has writes of a command before
 *		curcid, outer levels first: the list is in that order, since a level's end sends
 *		or drops what it has.
 */
static void
flush_below(int level, CommandId curcid)
{
	List	   *all;
	ListCell   *lc;

	if (!CzTxnHasFlushBelow(level))
		return;
	all = list_copy(txn_flushes);
	foreach(lc, all)
	{
		CzTxnFlush *flush = (CzTxnFlush *) lfirst(lc);

		/* An earlier one may have taken it off the list. */
		if (list_member_ptr(txn_flushes, flush) && flush->level < level &&
			flush->first_cid < curcid)
			run_at_level(flush->level, flush->callback, flush->arg);
	}
	list_free(all);
}

/*
 * CzTxnRegisterFlush, CzTxnFlushGoesOn, CzTxnUnregisterFlush, CzTxnFlushOuter, CzTxnFlushPending
 *		See transaction.h.
 */
void
CzTxnRegisterFlush(CzFlushCallback callback, void *arg)
{
	MemoryContext old;
	CzTxnFlush *flush;

	CzTxnCheckNotLost();
	old = MemoryContextSwitchTo(TopTransactionContext);
	flush = palloc(sizeof(CzTxnFlush));
	flush->callback = callback;
	flush->arg = arg;
	flush->level = CzTxnLevel();
	flush->first_cid = flush->last_cid = GetCurrentCommandId(true);
	txn_flushes = lappend(txn_flushes, flush);
	MemoryContextSwitchTo(old);
}

void
CzTxnFlushGoesOn(void *arg)
{
	CzTxnFlush *flush = find_flush(arg);

	if (flush != NULL)
		flush->last_cid = GetCurrentCommandId(true);
}

void
CzTxnUnregisterFlush(void *arg)
{
	ListCell   *lc;

	foreach(lc, txn_flushes)
	{
		CzTxnFlush *flush = (CzTxnFlush *) lfirst(lc);

		if (flush->arg == arg)
		{
			txn_flushes = foreach_delete_current(txn_flushes, lc);
			pfree(flush);
		}
	}
}

bool
CzTxnIsFlushRegistered(void *arg)
{
	return find_flush(arg) != NULL;
}

void
CzTxnFlushOuter(void)
{
	if (flush_level == 0)
		flush_below(GetCurrentTransactionNestLevel(), InvalidCommandId);
}

void
CzTxnFlushPending(void)
{
	CzTxnFlushBefore(InvalidCommandId);
}

/*
 * CzTxnFlushBefore
 *		Run the flushes that have writes of a command before this one.
 */
void
CzTxnFlushBefore(CommandId curcid)
{
	CzTxnCheckNotLost();
	/* A flush that uses CzTxnConn must not start the others again. */
	if (flush_level == 0)
		flush_below(PG_INT32_MAX, curcid);
}

/*
 * CzTxnRunAtLevel
 *		See transaction.h.
 */
void
CzTxnRunAtLevel(int level, CzFlushCallback callback, void *arg)
{
	CzTxnCheckNotLost();
	/* A savepoint may be opened now: what outer levels have goes before it. */
	flush_below(level, InvalidCommandId);
	run_at_level(level, callback, arg);
}

/*
 * CzTxnDropFlushes
 *		Forget what belongs to subtransactions from level on, which abort: their
 *		owners' memory is going away.
 */
void
CzTxnDropFlushes(int level)
{
	ListCell   *lc;

	flush_level = 0;
	if (lost_level >= level)
		lost_level = 0;
	flush_first_cid = flush_last_cid = InvalidCommandId;
	foreach(lc, txn_flushes)
	{
		CzTxnFlush *flush = (CzTxnFlush *) lfirst(lc);

		if (flush->level >= level)
			txn_flushes = foreach_delete_current(txn_flushes, lc);
	}
}
