/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Definitions of the settings cz.*, in alphabetical order, and the debug
 *	  points that tests switch on with one of them.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "cz/settings.h"
#include "cz/version.h"

#define CZ_MAX_REPLICATION_FACTOR 64
#define CZ_MAX_CONNECTIONS 64
/* The arrays of one statement are one message of less than 1 GB. */
#define CZ_MAX_ARRAY_SHIPMENT_KB (256 * 1024)

/* a build for developers compares every fragment's text with what it was made of */
#ifdef USE_ASSERT_CHECKING
#define CZ_CHECKS_FRAGMENTS true
#else
#define CZ_CHECKS_FRAGMENTS false
#endif

bool		cz_auto_analyze = true;
int			cz_auto_analyze_interval_ms = 60000;
bool		cz_auto_take_over = false;
bool		cz_local_ddl = false;
bool		cz_read_without_owner = true;
uint64		cz_shape_generation = 0;
bool		cz_binary_protocol = true;
bool		cz_check_fragments = CZ_CHECKS_FRAGMENTS;
bool		cz_check_version = true;
int			cz_chunk_rows = 64;
int			cz_connect_timeout_ms = 5000;
char	   *cz_debug_point = NULL;
int			cz_distributed_snapshot = CZ_SNAPSHOT_ON;
bool		cz_enable_broadcast = true;
bool		cz_enable_repartition = true;
bool		cz_enable_pushdown = true;
bool		cz_enable_schema_based_sharding = false;
bool		cz_enable_shard_ddl = false;
int			cz_explain_remote_plans = CZ_REMOTE_PLANS_NONE;
bool		cz_log_remote_commands = false;
bool		cz_one_phase_commit = false;
int			cz_max_array_shipment_kb = 1024;
int			cz_max_connections_per_worker = 4;
int			cz_max_parallel_index_builds = 2;
int			cz_max_shared_connections = 0;
int			cz_max_shipment_kb = 1024 * 1024;
int			cz_merge_fragments = CZ_MERGE_SETTING_AUTO;
int			cz_merged_fragments_per_worker = 1;
int			cz_read_placement = CZ_READ_FIRST;
int			cz_cutover_attempts = 0;
int			cz_cutover_lock_timeout_ms = 200;
int			cz_cutover_timeout_ms = 3600000;
int			cz_drop_delay_ms = 10000;
int			cz_health_interval_ms = 10000;
int			cz_max_moves_per_node = 2;
int			cz_max_parallel_moves = 4;
int			cz_move_chunk_kb = 1024 * 1024;
int			cz_move_connections = 2;
int			cz_move_log_limit_kb = 10 * 1024 * 1024;
int			cz_rereplication_delay_ms = -1;
int			cz_recovery_interval_ms = 10000;
int			cz_shard_count = 32;
int			cz_shard_replication_factor = 0;
bool		cz_share_plans = true;
int			cz_slow_start_ms = 10;
int			cz_worker_timeout_ms = 10000;

static char *version = NULL;	/* cz.version */

/* What scripts made for Citus set; 0: nothing, ours count. */
static int	citus_shard_count = 0;
static int	citus_shard_replication_factor = 0;
static int	citus_schema_based_sharding = -1;	/* -1: not set */

static const struct config_enum_entry merge_fragments_options[] = {
	{"auto", CZ_MERGE_SETTING_AUTO, false},
	{"on", CZ_MERGE_SETTING_ON, false},
	{"off", CZ_MERGE_SETTING_OFF, false},
	{NULL, 0, false}
};

static const struct config_enum_entry read_placement_values[] = {
	{"first", CZ_READ_FIRST, false},
	{"any", CZ_READ_ANY, false},
	{NULL, 0, false}
};

static const struct config_enum_entry snapshot_values[] = {
	{"on", CZ_SNAPSHOT_ON, false},
	{"off", CZ_SNAPSHOT_OFF, false},
	{"cluster", CZ_SNAPSHOT_CLUSTER, false},
	{"true", CZ_SNAPSHOT_ON, true},
	{"false", CZ_SNAPSHOT_OFF, true},
	{"yes", CZ_SNAPSHOT_ON, true},
	{"no", CZ_SNAPSHOT_OFF, true},
	{"1", CZ_SNAPSHOT_ON, true},
	{"0", CZ_SNAPSHOT_OFF, true},
	{NULL, 0, false}
};

static const struct config_enum_entry remote_plans_values[] = {
	{"none", CZ_REMOTE_PLANS_NONE, false},
	{"one", CZ_REMOTE_PLANS_ONE, false},
	{"all", CZ_REMOTE_PLANS_ALL, false},
	{NULL, 0, false}
};

/* shard_count must be a power of two: hash partitions are split by doubling. */
static bool
check_shard_count(int *newval, void **extra, GucSource source)
{
	if ((*newval & (*newval - 1)) != 0)
	{
		GUC_check_errdetail("The number of shards must be a power of two.");
		return false;
	}
	return true;
}

/*
 * CzShardCount, CzReplicationFactor
 *		See settings.h.
 */
int
CzShardCount(void)
{
	return citus_shard_count > 0 ? citus_shard_count : cz_shard_count;
}

int
CzReplicationFactor(void)
{
	return citus_shard_replication_factor > 0 ? citus_shard_replication_factor :
		cz_shard_replication_factor;
}

/*
 * CzSchemaBasedSharding
 *		See settings.h.
 */
bool
CzSchemaBasedSharding(void)
{
	return citus_schema_based_sharding >= 0 ? citus_schema_based_sharding != 0 :
		cz_enable_schema_based_sharding;
}

/* Booleans that can be left alone, too. */
static const struct config_enum_entry set_or_not_values[] = {
	{"default", -1, false},
	{"on", 1, false},
	{"off", 0, false},
	{"true", 1, true},
	{"false", 0, true},
	{"yes", 1, true},
	{"no", 0, true},
	{"1", 1, true},
	{"0", 0, true},
	{NULL, 0, false}
};

static const char *
show_schema_based_sharding(void)
{
	return CzSchemaBasedSharding() ? "on" : "off";
}

static const char *
show_shard_count(void)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d", CzShardCount());
	return text;
}

static const char *
show_replication_factor(void)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d", CzReplicationFactor());
	return text;
}

/*
 * Settings of Citus that its scripts set and that mean the same here.  One that was set
 * comes before ours; as they share no variable, each is undone as it was set.  All others
 * of the prefix are anybody's: to PostgreSQL they are placeholders.
 */
static void
define_citus_settings(void)
{
	DefineCustomEnumVariable("citus.enable_schema_based_sharding",
							 "The same as cz.enable_schema_based_sharding, for scripts made for Citus.",
							 "With default cz.enable_schema_based_sharding counts.",
							 &citus_schema_based_sharding, -1, set_or_not_values,
							 PGC_USERSET, 0, NULL, NULL, show_schema_based_sharding);
	DefineCustomIntVariable("citus.shard_count",
							"The same as cz.shard_count, for scripts made for Citus.",
							"0 means that cz.shard_count counts.",
							&citus_shard_count, 0, 0, CZ_MAX_SHARD_COUNT,
							PGC_USERSET, 0, check_shard_count, NULL, show_shard_count);
	DefineCustomIntVariable("citus.shard_replication_factor",
							"The same as cz.shard_replication_factor, for scripts made for Citus.",
							"0 means that cz.shard_replication_factor counts.",
							&citus_shard_replication_factor, 0, 0, CZ_MAX_REPLICATION_FACTOR,
							PGC_USERSET, 0, NULL, NULL, show_replication_factor);
}

/*
 * CzSettingsInit
 *		Define all settings.
 */
void
CzSettingsInit(void)
{
	DefineCustomBoolVariable("cz.auto_analyze",
							 "Analyzes distributed tables when they are made and when they have changed enough.",
							 "The thresholds are autovacuum's.",
							 &cz_auto_analyze, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.auto_analyze_interval",
							"Time between two looks at how much distributed tables have changed.",
							NULL, &cz_auto_analyze_interval_ms, 60000, 100, 86400000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.auto_take_over",
							 "A standby of the coordinator that is promoted takes over by itself.",
							 "Only where the former coordinator is sure to be stopped then.",
							 &cz_auto_take_over, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.binary_protocol",
							 "Rows cross the network in binary form where that is safe.",
							 NULL, &cz_binary_protocol, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.check_fragments",
							 "Parses the text of each fragment again and compares it with its query.",
							 "For developers; on in builds with assertions.",
							 &cz_check_fragments, CZ_CHECKS_FRAGMENTS,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.check_version",
							 "Refuses to work in a database whose SQL objects are of another version than the library.",
							 "For tests and repairs.",
							 &cz_check_version, true,
							 PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.chunk_rows",
							"Rows of a worker's answer that are taken at once, at most.",
							"Long rows are taken in smaller chunks; 1 takes each by itself. No effect with libpq older than 17.",
							&cz_chunk_rows, 64, 1, 10000,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.connect_timeout",
							"Bounds the time of one attempt to connect to a worker.",
							NULL, &cz_connect_timeout_ms, 5000, 10, 3600000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.cutover_attempts",
							"Attempts to lock a shard that is moved against writers, after which the move is given up; 0 means any number.",
							NULL, &cz_cutover_attempts, 0, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.cutover_lock_timeout",
							"Time that one attempt to lock a shard that is moved waits for its locks.",
							"Writers of the shard wait meanwhile.",
							&cz_cutover_lock_timeout_ms, 200, 1, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.cutover_timeout",
							"Time after which a move whose shards cannot be locked against writers is given up; 0 means never.",
							NULL, &cz_cutover_timeout_ms, 3600000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("cz.debug_point",
							   "Stops or fails the backend at a named place, for tests.",
							   NULL, &cz_debug_point, "",
							   PGC_SUSET, GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL,
							   NULL, NULL, NULL);
	DefineCustomEnumVariable("cz.distributed_snapshot",
							 "A statement over several workers sees each transaction of others whole or not at all.",
							 "When off, each worker takes its own snapshot; cluster takes commits of other coordinators into account.",
							 &cz_distributed_snapshot, CZ_SNAPSHOT_ON,
							 snapshot_values, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.drop_delay",
							"Time after which the old placement of a shard that was moved is dropped.",
							"Transactions that began before the move are waited for in any case.",
							&cz_drop_delay_ms, 10000, 0, 86400000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.enable_broadcast",
							 "Sends small sides of joins to the workers.",
							 NULL, &cz_enable_broadcast, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.enable_pushdown",
							 "Runs joins, grouping and sorting on the workers where possible.",
							 "When off, only columns and qualifiers of single tables are sent.",
							 &cz_enable_pushdown, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.enable_repartition",
							 "Sends rows to the shards of another table by the column they are joined on.",
							 NULL, &cz_enable_repartition, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.enable_schema_based_sharding",
							 "Schemas that are created are tenants: all their tables are on one worker.",
							 NULL, &cz_enable_schema_based_sharding, false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.enable_shard_ddl",
							 "Allows direct DML and DDL on shards.",
							 NULL, &cz_enable_shard_ddl, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("cz.explain_remote_plans",
							 "Whether EXPLAIN asks the workers for their plans: of one fragment or all.",
							 NULL, &cz_explain_remote_plans, CZ_REMOTE_PLANS_NONE,
							 remote_plans_values, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.health_interval",
							"Time between two looks at whether all nodes answer.",
							"-1 means that nobody looks.",
							&cz_health_interval_ms, 10000, -1, 86400000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.local_ddl",
							 "DDL for distributed tables on an attached coordinator is done there alone.",
							 "To repeat there what was done at the owner of the cluster.",
							 &cz_local_ddl, false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.log_remote_commands",
							 "Writes every command sent to a worker to the server log.",
							 NULL, &cz_log_remote_commands, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.max_array_shipment_size",
							"Rows that are sent along with fragments are temporary tables beyond this size.",
							"Smaller ones are parameters of the fragments.",
							&cz_max_array_shipment_kb, 1024, 0, CZ_MAX_ARRAY_SHIPMENT_KB,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.max_connections_per_worker",
							"Limits the connections of one session that read from one worker.",
							NULL, &cz_max_connections_per_worker, 4, 1, CZ_MAX_CONNECTIONS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.max_moves_per_node",
							"Limits the moves of shards that a node takes part in at a time.",
							NULL, &cz_max_moves_per_node, 2, 1, 1000,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.max_parallel_index_builds",
							"Limits the shards of one worker whose indexes a CONCURRENTLY command builds or drops at a time.",
							NULL, &cz_max_parallel_index_builds, 2, 1, CZ_MAX_CONNECTIONS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.max_parallel_moves",
							"Limits the moves of shards that a job, or a session, has carried out at a time.",
							NULL, &cz_max_parallel_moves, 4, 1, 1000,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.max_shared_connections",
							"Limits the connections of all sessions together to one worker.",
							"0 means nine tenths of what the worker has, -1 no limit; a server's option pool_size comes before it.",
							&cz_max_shared_connections, 0, -1, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.max_shipment_size",
							"Limits the rows that one part of a statement sends along with fragments.",
							NULL, &cz_max_shipment_kb, 1024 * 1024, 1, INT_MAX,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomEnumVariable("cz.merge_fragments",
							 "Whether the fragments of one worker's shards become one statement.",
							 "With auto the planner decides.",
							 &cz_merge_fragments, CZ_MERGE_SETTING_AUTO,
							 merge_fragments_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.merged_fragments_per_worker",
							"Number of statements that fragments of one worker are merged into.",
							NULL, &cz_merged_fragments_per_worker, 1, 1, CZ_MAX_CONNECTIONS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.move_chunk_size",
							"A table larger than this is copied in parts when its shard is moved.",
							"cz.move_connections of them at a time.",
							&cz_move_chunk_kb, 1024 * 1024, 64, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.move_connections",
							"Tables, or parts of large ones, that one move copies at a time, and indexes that it builds.",
							NULL, &cz_move_connections, 2, 1, CZ_MAX_CONNECTIONS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.move_log_limit",
							"Limits the changes that a move of a shard logs on its source; -1 means no limit.",
							"A move that exceeds it is given up.",
							&cz_move_log_limit_kb, 10 * 1024 * 1024, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.one_phase_commit",
							 "Commits a transaction that wrote on several workers without preparing it.",
							 "A failure in between leaves it committed on some of them only.",
							 &cz_one_phase_commit, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("cz.read_placement",
							 "Which placement of a shard is read: the first, or the least busy one.",
							 "With any, a session may see a row as it was before it has seen a change of it.",
							 &cz_read_placement, CZ_READ_FIRST,
							 read_placement_values, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.read_without_owner",
							 "An attached coordinator goes on reading while it cannot reach the owner of the cluster.",
							 "What the owner has moved or repaired meanwhile is not known to it then.",
							 &cz_read_without_owner, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.recovery_interval",
							"Time between two rounds of two-phase commit recovery; -1 turns it off.",
							NULL, &cz_recovery_interval_ms, 10000, -1, 86400000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.rereplication_delay",
							"Time for which placements may be missing until others are made.",
							"-1 means that none are made.",
							&cz_rereplication_delay_ms, -1, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.shard_count",
							"Number of shards of a newly hash-distributed table.",
							NULL, &cz_shard_count, 32, 1, CZ_MAX_SHARD_COUNT,
							PGC_USERSET, 0, check_shard_count, NULL, NULL);
	DefineCustomIntVariable("cz.shard_replication_factor",
							"Number of placements of each new shard; 0 means 2, or 1 with one worker.",
							NULL, &cz_shard_replication_factor, 0, 0,
							CZ_MAX_REPLICATION_FACTOR,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("cz.share_plans",
							 "Statements by key that differ in their values only share a plan.",
							 "When off, each statement is planned by itself.",
							 &cz_share_plans, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("cz.slow_start_interval",
							"A statement opens one more connection per worker each time this has passed.",
							NULL, &cz_slow_start_ms, 10, 0, 3600000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("cz.version",
							   "Version of the library that the server has loaded.",
							   NULL, &version, CZ_VERSION,
							   PGC_INTERNAL, GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("cz.worker_timeout",
							"Time without an answer after which a worker is probed on a second connection.",
							NULL, &cz_worker_timeout_ms, 10000, 100, 3600000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);

	define_citus_settings();
	MarkGUCPrefixReserved("cz");
}

/*
 * Sleep, on after signals that are not for us: pg_usleep ends at any, also at the
 * postmaster's death.
 */
static void
sleep_at_point(long ms)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	long		left_ms;

	while ((left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end)) > 0 &&
		   !ProcDiePending && !QueryCancelPending)
		pg_usleep(left_ms * 1000L);
}

/* Tell that we are here by a file NAME.reached, and wait for a file NAME. */
static void
wait_at_point(const char *name)
{
	char		path[MAXPGPATH];
	FILE	   *file;

	if (first_dir_separator(name) != NULL)
		return;
	snprintf(path, sizeof(path), "%s.reached", name);
	file = fopen(path, "w");
	if (file != NULL)
		fclose(file);
	while (access(name, F_OK) != 0 && !ProcDiePending && !QueryCancelPending)
		pg_usleep(10000L);
	unlink(path);
}

/* Is it one of the names between bars? */
static bool
is_among(const char *name, const char *names, size_t len)
{
	size_t		name_len = strlen(name);
	size_t		begin = 0;

	while (begin < len)
	{
		size_t		end = begin + strcspn(names + begin, "|=");

		if (end - begin == name_len && strncmp(names + begin, name, name_len) == 0)
			return true;
		begin = end + 1;
	}
	return false;
}

/*
 * CzDebugPoint
 *		See settings.h.
 */
void
CzDebugPoint(const char *name)
{
	const char *action;
	size_t		len;

	if (cz_debug_point == NULL || cz_debug_point[0] == '\0')
		return;

	/* which are there? */
	if (strcmp(cz_debug_point, "*") == 0)
	{
		ereport(NOTICE, (errmsg("debug point \"%s\"", name)));
		return;
	}

	action = strchr(cz_debug_point, '=');
	len = action ? (size_t) (action - cz_debug_point) : strlen(cz_debug_point);
	if (!is_among(name, cz_debug_point, len))
		return;
	action = action ? action + 1 : "error";

	if (strcmp(action, "panic") == 0)
		elog(PANIC, "debug point \"%s\"", name);
	if (strcmp(action, "kill") == 0)
		kill(MyProcPid, SIGKILL);
	if (strncmp(action, "sleep:", 6) == 0)
		sleep_at_point(atol(action + 6));
	else if (strncmp(action, "wait:", 5) == 0)
		wait_at_point(action + 5);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("debug point \"%s\" reached", name)));
}
