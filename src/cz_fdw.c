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
#include "utils/guc.h"

#include "cz/boot.h"
#include "cz/cluster.h"
#include "cz/counters.h"
#include "cz/ddl.h"
#include "cz/executor.h"
#include "cz/metadata.h"
#include "cz/mover.h"
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
	RequestAddinShmemSpace(add_size(CzHealthShmemSize(),
									add_size(CzPaceShmemSize(),
											 add_size(CzActivityShmemSize(),
													  CzTxnShmemSize()))));
	RequestAddinShmemSpace(add_size(CzLinksShmemSize(),
									add_size(CzPoolShmemSize(),
											 add_size(CzDeadlockShmemSize(), CzRoomShmemSize()))));
	RequestAddinShmemSpace(add_size(CzBlockShmemSize(), CzCountersShmemSize()));
	RequestAddinShmemSpace(add_size(CzMoversShmemSize(),
									add_size(CzBootShmemSize(), CzDirtyShmemSize())));
}

static void
cz_shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	CzCountersShmemInit();
	CzHealthShmemInit();
	CzPaceShmemInit();
	CzTxnShmemInit();
	CzActivityShmemInit();
	CzLinksShmemInit();
	CzPoolShmemInit();
	CzDeadlockShmemInit();
	CzRoomShmemInit();
	CzBootShmemInit();
	CzDirtyShmemInit();
	CzMoversShmemInit();
	CzBlockShmemInit();
}

/*
 * _PG_init
 *		Called when the library is loaded.  Hooks and shared memory need
 *		shared_preload_libraries; without it not one function is callable, also
 *		where the extension was created before the setting was taken away.
 */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cz_fdw must be loaded via shared_preload_libraries"),
				 errhint("Add the line shared_preload_libraries = 'cz_fdw' to postgresql.conf and restart the server; names that are in the list already stay, separated by commas.")));

	CzSettingsInit();

	/* pg_dump's script makes our views of pg_catalog as the extension's own script does */
	if (IsBinaryUpgrade)
		SetConfigOption("allow_system_table_mods", "on", PGC_POSTMASTER, PGC_S_OVERRIDE);

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = cz_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = cz_shmem_startup;

	CzMetadataInit();
	CzRemoteInit();
	CzPoolSetLookup(CzEndpointTryGet);
	CzTransactionInit();
	CzPlannerInit();
	CzExecutorInit();
	CzTenantsInit();
	CzRedistributeInit();
	CzPartitionsInit();
	CzDdlInit();
	CzAutoAnalyzeInit();
	CzRepairInit();
	CzSealInit();
	CzAttachInit();
	CzMoverInit();
	CzActivateInit();
	CzJobsInit();
	CzRebalanceInit();
	CzSurplusInit();
	CzNodeHealthInit();
}
