/*-------------------------------------------------------------------------
 *
 * boot.c
 *	  A number that tells one life of this server from the next: it stays the same over
 *	  a clean shutdown and is another one after a crash, a promotion or a restore.
 *
 * What a backend was about to do when the server crashed is found by the numbers that
 * it left.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "cz/boot.h"

/* In the data directory: the number of the server's last life. */
#define BOOT_FILE "cz_fdw.boot"

static int64 *boot_id = NULL;	/* in shared memory */

/* Was the server shut down, with all backends gone?  Asked before it starts up. */
static bool
was_shut_down(void)
{
	bool		crc_ok = false;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	bool		result = crc_ok && control->state == DB_SHUTDOWNED;

	pfree(control);
	return result;
}

static int64
read_last(void)
{
	FILE	   *file = fopen(BOOT_FILE, "r");
	long long	value = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lld", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

Size
CzBootShmemSize(void)
{
	return MAXALIGN(sizeof(int64));
}

void
CzBootShmemInit(void)
{
	bool		found;
	FILE	   *file;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	boot_id = ShmemInitStruct("cz_fdw boot", CzBootShmemSize(), &found);
	if (!found)
	{
		*boot_id = was_shut_down() ? read_last() : 0;
		if (*boot_id == 0)
		{
			if (!pg_strong_random(boot_id, sizeof(int64)))
				*boot_id = GetCurrentTimestamp();
			*boot_id &= PG_INT64_MAX;

			/* should it not be read later, there is more to compare, no more */
			file = fopen(BOOT_FILE, "w");
			if (file != NULL)
			{
				fprintf(file, "%lld\n", (long long) *boot_id);
				fclose(file);
			}
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * CzBootId
 *		See boot.h.
 */
int64
CzBootId(void)
{
	return boot_id ? *boot_id : 0;
}

/*
 * CzBootEnd
 *		See boot.h.
 */
void
CzBootEnd(void)
{
	/* fsync of the directory, too */
	if (boot_id != NULL && access(BOOT_FILE, F_OK) == 0 &&
		durable_unlink(BOOT_FILE, LOG) != 0)
		elog(PANIC, "could not note that placements have missed a committed transaction");
}
