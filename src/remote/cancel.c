/*-------------------------------------------------------------------------
 *
 * cancel.c
 *	  Requests to workers to cancel what they do for us.
 *
 * A request is a connection of its own, which takes time where a worker does not
 * answer: all are made at once, and each has a deadline.  libpq 17 makes them without
 * blocking, encrypted as the connection is; before, PQcancel blocks (and sends the key
 * in clear), so that a child process calls it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "remote_int.h"

#ifdef LIBPQ_HAS_ASYNC_CANCEL

/*
 * CzCancelStart
 *		See remote_int.h.
 */
void
CzCancelStart(CzCancel *cancel, CzConn *conn, int timeout_ms)
{
	cancel->request = PQcancelCreate(conn->pg);
	cancel->events = POLLOUT;
	if (cancel->request != NULL && !PQcancelStart(cancel->request))
	{
		PQcancelFinish(cancel->request);
		cancel->request = NULL;
	}
}

/* Move a request on whose socket is ready; at its end, or failure, it is freed. */
static void
advance(CzCancel *cancel)
{
	switch (PQcancelPoll(cancel->request))
	{
		case PGRES_POLLING_READING:
			cancel->events = POLLIN;
			break;
		case PGRES_POLLING_WRITING:
			cancel->events = POLLOUT;
			break;
		default:
			PQcancelFinish(cancel->request);
			cancel->request = NULL;
			break;
	}
}

/*
 * CzCancelAwait
 *		See remote_int.h.
 */
void
CzCancelAwait(CzCancel *cancels, int ncancels, int which, TimestampTz deadline)
{
	struct pollfd *fds = MemoryContextAllocExtended(cz_conn_context,
													ncancels * sizeof(struct pollfd),
													MCXT_ALLOC_NO_OOM);

	while (fds != NULL && cancels[which].request != NULL)
	{
		long		left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		int			nready;
		int			i;

		for (i = 0; i < ncancels; i++)
		{
			/* poll() leaves out what is negative */
			fds[i].fd = cancels[i].request ? PQcancelSocket(cancels[i].request) : -1;
			fds[i].events = cancels[i].events;
			fds[i].revents = 0;
		}
		nready = left_ms > 0 ? poll(fds, ncancels, left_ms) : 0;
		if (nready == 0 || (nready < 0 && errno != EINTR))
			break;
		for (i = 0; nready > 0 && i < ncancels; i++)
		{
			if (cancels[i].request != NULL && fds[i].revents != 0)
				advance(&cancels[i]);
		}
	}
	if (fds != NULL)
		pfree(fds);
	if (cancels[which].request != NULL)
		PQcancelFinish(cancels[which].request);
	cancels[which].request = NULL;
}

#else

/*
 * CzCancelStart
 *		See remote_int.h.
 */
void
CzCancelStart(CzCancel *request, CzConn *conn, int timeout_ms)
{
	PGcancel   *cancel = PQgetCancel(conn->pg);
	pid_t		pid;
	sigset_t	all;
	sigset_t	saved;

	if (cancel == NULL)
		return;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &saved);
	pid = fork();
	if (pid == 0)
	{
		char		error[256];
		sigset_t	only_alarm;

		/*
		 * The child does nothing but system calls; none of this backend's
		 * signal handlers may run in it.  The alarm bounds its life even if
		 * this backend dies before it.
		 */
#ifdef __linux__
		prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
		pqsignal(SIGALRM, SIG_DFL);
		sigemptyset(&only_alarm);
		sigaddset(&only_alarm, SIGALRM);
		sigprocmask(SIG_UNBLOCK, &only_alarm, NULL);
		alarm(timeout_ms / 1000 + 1);
		_exit(PQcancel(cancel, error, sizeof(error)) ? 0 : 1);
	}
	sigprocmask(SIG_SETMASK, &saved, NULL);
	PQfreeCancel(cancel);
	request->pid = pid;
}

/*
 * CzCancelAwait
 *		See remote_int.h.  The child is killed if it is not done by the deadline.
 */
void
CzCancelAwait(CzCancel *cancels, int ncancels, int which, TimestampTz deadline)
{
	pid_t		pid = cancels[which].pid;
	int			status;

	if (pid <= 0)
		return;
	for (;;)
	{
		pid_t		rc = waitpid(pid, &status, WNOHANG);

		if (rc == pid || (rc < 0 && errno != EINTR))
			return;
		if (rc == 0 && GetCurrentTimestamp() >= deadline)
		{
			kill(pid, SIGKILL);
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
			return;
		}
		if (rc == 0)
			pg_usleep(500L);
	}
}

#endif							/* LIBPQ_HAS_ASYNC_CANCEL */

/*
 * CzConnRequestCancel
 *		See remote.h.
 */
void
CzConnRequestCancel(CzConn *conn, int timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	CzCancel	cancel = {0};

	if (PQstatus(conn->pg) != CONNECTION_OK)
		return;
	CzCancelStart(&cancel, conn, timeout_ms);
	CzCancelAwait(&cancel, 1, 0, deadline);
}
