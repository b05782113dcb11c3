/*-------------------------------------------------------------------------
 *
 * cz_fdw.c
 *	  Load the library: settings, hooks and shared memory, lower floors first.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "cz/ddl.h"
#include "cz/executor.h"
#include "cz/fdw.h"
#include "cz/metadata.h"
#include "cz/planner.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
cz_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(CzHealthShmemSize());
}

static void
cz_shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	CzHealthShmemInit();
}

/*
 * _PG_init
 *		Called when the library is loaded.  Everything but the settings needs
 *		shared_preload_libraries; CREATE EXTENSION refuses without it.
 */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	CzSettingsInit();

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = cz_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = cz_shmem_startup;

	CzMetadataInit();
	CzRemoteInit();
	CzTransactionInit();
	CzPlannerInit();
	CzExecutorInit();
	CzFdwInit();
	CzDdlInit();
}
