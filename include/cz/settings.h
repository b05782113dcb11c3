/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The settings cz.*; docs/reference.md describes each.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_SETTINGS_H
#define CZ_SETTINGS_H

/* Shards of a table. */
#define CZ_MAX_SHARD_COUNT 32768

typedef enum CzRemotePlans
{
	CZ_REMOTE_PLANS_NONE,
	CZ_REMOTE_PLANS_ONE,		/* of one fragment of each plan node */
	CZ_REMOTE_PLANS_ALL			/* of each fragment */
} CzRemotePlans;

/* Values of cz.merge_fragments. */
typedef enum CzMergeSetting
{
	CZ_MERGE_SETTING_AUTO,		/* as the planner says */
	CZ_MERGE_SETTING_ON,		/* wherever that is right */
	CZ_MERGE_SETTING_OFF		/* only where the result depends on it */
} CzMergeSetting;

/* Values of cz.distributed_snapshot. */
typedef enum CzSnapshotSetting
{
	CZ_SNAPSHOT_OFF,			/* each worker has a snapshot of its own */
	CZ_SNAPSHOT_ON,				/* one over all workers */
	CZ_SNAPSHOT_CLUSTER			/* with which those of other coordinators agree */
} CzSnapshotSetting;

/* Values of cz.read_placement. */
typedef enum CzReadPlacement
{
	CZ_READ_FIRST,				/* the first one, unless its node has failed */
	CZ_READ_ANY					/* the least busy one: may go back in time */
} CzReadPlacement;

extern int	cz_distributed_snapshot;	/* a CzSnapshotSetting */
extern int	cz_read_placement;	/* a CzReadPlacement */
extern bool cz_enable_broadcast;	/* shipments may go to all shards */
extern bool cz_enable_repartition;	/* shipments may go by key */
extern bool cz_auto_analyze;	/* distributed tables are analyzed when changed */
extern int	cz_auto_analyze_interval_ms;	/* between two looks at their changes */
/* Counts the changes of columns of tables of ours that this session has seen: statements
 * prepared before one may be stale. */
extern uint64 cz_shape_generation;
extern bool cz_local_ddl;		/* DDL of an attached coordinator is done here alone */
extern bool cz_read_without_owner;	/* an attached coordinator reads on */
extern bool cz_auto_take_over;	/* a promoted standby becomes the coordinator */
extern bool cz_check_fragments; /* fragments' texts are parsed again and compared */
extern bool cz_check_version;	/* library and SQL objects must be of one version */
extern bool cz_enable_pushdown; /* false: only table leaves (tests compare) */
extern bool cz_enable_schema_based_sharding;	/* CREATE SCHEMA makes tenants */
extern bool cz_enable_shard_ddl;	/* direct DML and DDL on shards allowed */
extern int	cz_explain_remote_plans;	/* CzRemotePlans: what EXPLAIN asks for */
extern bool cz_one_phase_commit;	/* writes on several workers are not prepared */
extern bool cz_log_remote_commands; /* every remote command goes to the log */
extern int	cz_cutover_attempts;	/* to lock shards that move; 0: any number */
extern int	cz_cutover_lock_timeout_ms;	/* of each attempt */
extern int	cz_cutover_timeout_ms;	/* of all attempts; 0: none */
extern int	cz_drop_delay_ms;	/* until the old placement of a moved shard is dropped */
extern int	cz_connect_timeout_ms;	/* bound of one connection attempt */
extern int	cz_max_connections_per_worker;	/* read connections of one backend */
extern int	cz_max_array_shipment_kb;	/* beyond: a temporary table */
extern int	cz_health_interval_ms;	/* between two looks at all nodes; -1: none */
extern int	cz_max_moves_per_node;	/* at a time, as source or target */
extern int	cz_max_parallel_moves;	/* of one job, or of a session */
extern int	cz_chunk_rows;	/* that libpq collects before it gives them out, at most */
extern int	cz_move_chunk_kb;	/* larger tables are copied in parts */
extern int	cz_move_log_limit_kb;	/* changes on the source of one move; -1: no limit */
extern int	cz_move_connections;	/* of one move, to copy and to build indexes */
extern int	cz_rereplication_delay_ms;	/* until missing placements are made; -1: never */
extern int	cz_max_parallel_index_builds;	/* on one worker, of one CONCURRENTLY command */
extern int	cz_max_shared_connections;	/* of all backends to a worker; 0: by what it
											 * has, -1: any number */
extern int	cz_max_shipment_kb; /* beyond: an error */
extern int	cz_merge_fragments; /* a CzMergeSetting */
extern int	cz_merged_fragments_per_worker;
extern int	cz_recovery_interval_ms;	/* between two 2PC recovery rounds; -1 off */
extern int	cz_shard_count;		/* shards of a new hash table, power of two */
extern int	cz_shard_replication_factor;	/* 0: 2, or 1 with one worker */
extern bool cz_share_plans;		/* statements that differ in values have one plan */
extern int	cz_slow_start_ms;	/* a statement opens one more connection per
								 * worker each time this has passed */
extern int	cz_worker_timeout_ms;	/* silence before a worker is probed */
extern bool cz_binary_protocol; /* rows in binary form where that is safe */
extern char *cz_debug_point;	/* tests: "name" or "name=action" of a point */

extern void CzSettingsInit(void);

/*
 * CzShardCount, CzReplicationFactor
 *		Shards of a new hash table, placements of a new shard (0: 2, or 1 with one worker):
 *		citus.shard_count and citus.shard_replication_factor if these are set.
 * CzSchemaBasedSharding
 *		Are new schemas tenants?  In the same way.
 */
extern bool CzSchemaBasedSharding(void);
extern int	CzShardCount(void);
extern int	CzReplicationFactor(void);

/* pins.c: what CzPinTextSettings() pins besides formats. */
#define CZ_PIN_TEXT			0x01	/* nothing more: for sets of these */
#define CZ_PIN_PATH			0x02	/* search_path: names, reg* values */
#define CZ_PIN_MONEY		0x04	/* lc_monetary */
#define CZ_PIN_DATE_ORDER	0x08	/* texts of the user's with dates as YMD */
#define CZ_PIN_ALL			(CZ_PIN_TEXT | CZ_PIN_PATH | CZ_PIN_MONEY)

/*
 * CzPinTextSettings
 *		Pin the settings that texts depend on: values printed or read, SQL made or
 *		parsed.  Nothing of the user's may be evaluated meanwhile.
 *
 * what: CZ_PIN_* flags.
 *
 * Returns: what CzUnpinTextSettings() wants: a nest level, or -1 if nothing had to be
 *		changed.  An error undoes it, too.
 */
extern int	CzPinTextSettings(int what);

/*
 * CzPinsOfType
 *		What the texts of a type's values depend on: CZ_PIN_* flags, 0 if they are
 *		always the same.
 */
extern int	CzPinsOfType(Oid type_oid);

/* A reg* type: its texts depend on search_path, and its values are OIDs, which mean
 * nothing on another server. */
extern bool CzIsRegType(Oid type_oid);
extern void CzUnpinTextSettings(int level);

/*
 * CzDebugPoint
 *		A named place where a test may stop or fail this backend: does nothing
 *		unless the (superuser) setting cz.debug_point names it.
 *
 * Actions: "error" raises XX000, "panic" ends the server as a crash would,
 * "sleep:MS" waits, "wait:NAME" waits until a file of that name is in the data
 * directory, with a file NAME.reached there meanwhile (a cancel ends both), "kill"
 * kills this backend with SIGKILL.
 */
extern void CzDebugPoint(const char *name);

#endif							/* CZ_SETTINGS_H */
