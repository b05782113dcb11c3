/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who is this cluster's coordinator?  Which prepared transactions on its
 *	  workers are this coordinator's to decide?
 *
 * The cluster has an id, which survives pg_upgrade and a dump (cz.cluster).
 * The coordinator is one database of one server: cz.cluster_owner says which, as
 * the server saw itself when it became that.  A copy of the coordinator (a clone
 * of its files, a database made from it as template, a promoted standby, a
 * restored dump, the new server of pg_upgrade) has the same rows but finds
 * itself another.  Until it is told to take over by cz_take_over() it may only
 * read: what is prepared on the workers belongs to the original, which may
 * still live.
 *
 * Each take-over counts the epoch on, so that names of prepared transactions
 * tell whose they are.  Those of an earlier epoch are decided by the log, which
 * a copy of the files has and a dump has not: cz.cluster_owner is not dumped,
 * so it says from which epoch on the decisions are in the log.
 *
 * A clone of the files on the same timeline differs in nothing that PostgreSQL
 * records: the file number (inode) of global/pg_control, which is written in
 * place as long as the server lives, tells it from the original.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/indexing.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "transaction_int.h"

PG_FUNCTION_INFO_V1(cz_take_over);
PG_FUNCTION_INFO_V1(cz_cluster_changed);

/* Columns of cz.cluster and cz.cluster_owner; sql/40-transaction.sql */
enum
{
	ANUM_CLUSTER_ID = 1,
	ANUM_CLUSTER_EPOCH,
	CLUSTER_NATTS = ANUM_CLUSTER_EPOCH
};

enum
{
	ANUM_OWNER_CLUSTER_ID = 1,
	ANUM_OWNER_FIRST_EPOCH,
	ANUM_OWNER_SYSTEM_IDENTIFIER,
	ANUM_OWNER_DATABASE_OID,
	ANUM_OWNER_TIMELINE,
	ANUM_OWNER_CONTROL_FILE,
	OWNER_NATTS = ANUM_OWNER_CONTROL_FILE
};

/* Columns of cz.attached; sql/45-coordinators.sql */
enum
{
	ANUM_ATTACHED_COORDINATOR_ID = 1,
	ANUM_ATTACHED_TOKEN,
	ANUM_ATTACHED_NAME,
	ANUM_ATTACHED_SERVER_NAME,
	ANUM_ATTACHED_OWNER_MARK,
	ANUM_ATTACHED_MAP_VERSION,
	ANUM_ATTACHED_SYNCED_AT,
	ANUM_ATTACHED_SYSTEM_IDENTIFIER,
	ANUM_ATTACHED_DATABASE_OID,
	ANUM_ATTACHED_TIMELINE,
	ANUM_ATTACHED_CONTROL_FILE
};

/* What makes a database of a server this one and no copy of it. */
typedef struct Place
{
	int64		system_identifier;
	Oid			database_oid;
	int32		timeline;
	int64		control_file;	/* its file number; 0: not known */
} Place;

static CzIdentity identity;
static Place owner;				/* as cz.cluster_owner says */
static Place attached;			/* as cz.attached says, if it has a row */
static bool has_attached = false;
static bool identity_is_known = false;
static Oid	attached_relid = InvalidOid;
static Oid	cluster_relid = InvalidOid;
static Oid	owner_relid = InvalidOid;
static bool is_anonymous = false;

static void
relation_changed(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == cluster_relid || relid == owner_relid ||
		relid == attached_relid)
		identity_is_known = false;
}

/* This database of this server.  Not in recovery. */
static Place
own_place(void)
{
	static int64 control_file = 0;
	Place		place;

	if (control_file == 0)
	{
		struct stat st;

		if (stat(XLOG_CONTROL_FILE, &st) == 0)
			control_file = (int64) st.st_ino;
	}
	place.system_identifier = (int64) GetSystemIdentifier();
	place.database_oid = MyDatabaseId;
	place.timeline = (int32) GetWALInsertionTimeLine();
	place.control_file = control_file;
	return place;
}

static bool
is_same_place(const Place *a, const Place *b)
{
	return a->system_identifier == b->system_identifier &&
		a->database_oid == b->database_oid &&
		a->timeline == b->timeline && a->control_file == b->control_file;
}

/*
 * CzTxnPlaceValues
 *		This database of this server as the last columns of cz.attached have it.
 */
char *
CzTxnPlaceValues(void)
{
	Place		here = own_place();

	return psprintf(INT64_FORMAT ", %u, %d, " INT64_FORMAT, here.system_identifier,
					here.database_oid, here.timeline, here.control_file);
}

/* The only row of a table, as of now, copied; NULL if there is none. */
static HeapTuple
read_row(Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

static Datum
get_attribute(HeapTuple tuple, Relation rel, int attnum)
{
	bool		isnull;

	return heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);
}

/* A place of four columns, of which the first one is given; both tables have them so. */
static void
read_place(HeapTuple tuple, Relation rel, int attnum, Place *place)
{
	place->system_identifier = DatumGetInt64(get_attribute(tuple, rel, attnum));
	place->database_oid = DatumGetObjectId(get_attribute(tuple, rel, attnum + 1));
	place->timeline = DatumGetInt32(get_attribute(tuple, rel, attnum + 2));
	place->control_file = DatumGetInt64(get_attribute(tuple, rel, attnum + 3));
}

/* uuid without its hyphens, as names of prepared transactions have it. */
static void
format_cluster_id(Datum value, char *buf)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(uuid_out, value));
	int			n = 0;
	int			i;

	for (i = 0; text[i] != '\0' && n < CZ_CLUSTER_ID_LEN; i++)
	{
		if (text[i] != '-')
			buf[n++] = text[i];
	}
	buf[n] = '\0';
	pfree(text);
}

/* What tells an owner from others that took over in the same epoch. */
static void
format_owner(const Place *place, char *buf)
{
	char	   *text = psprintf(INT64_FORMAT "/%u/%d/" INT64_FORMAT, place->system_identifier,
								place->database_oid, place->timeline, place->control_file);

	snprintf(buf, CZ_OWNER_LEN + 1, "%016llx",
			 (unsigned long long) hash_bytes_extended((const unsigned char *) text,
													  strlen(text), 0));
	pfree(text);
}

/* What sessions on workers are to know. */
static void
tell_sessions(void)
{
	CzCoordinator coordinator;

	strlcpy(coordinator.cluster_id, identity.cluster_id, sizeof(coordinator.cluster_id));
	strlcpy(coordinator.owner, identity.owner, sizeof(coordinator.owner));
	coordinator.epoch = identity.epoch;
	CzSessionSetCoordinator(identity.exists && !is_anonymous ? &coordinator : NULL);
}

/*
 * CzTxnBeAnonymous
 *		Sessions on workers are those of no coordinator, which nobody fences.
 */
void
CzTxnBeAnonymous(bool anonymous)
{
	is_anonymous = anonymous;
	tell_sessions();
}

/* Is this database attached to the cluster's coordinator?  Not a copy of one that is. */
static void
read_attached(void)
{
	Relation	rel;
	HeapTuple	tuple;

	memset(&attached, 0, sizeof(attached));
	has_attached = false;
	attached_relid = CzCatalogRelid("attached");
	if (!OidIsValid(attached_relid))
		return;
	rel = table_open(attached_relid, AccessShareLock);
	tuple = read_row(rel);
	if (tuple != NULL)
	{
		has_attached = true;
		format_cluster_id(get_attribute(tuple, rel, ANUM_ATTACHED_COORDINATOR_ID),
						  identity.coordinator_id);
		strlcpy(identity.token,
				DatumGetCString(DirectFunctionCall1(uuid_out,
													get_attribute(tuple, rel, ANUM_ATTACHED_TOKEN))),
				sizeof(identity.token));
		strlcpy(identity.owner_server,
				NameStr(*DatumGetName(get_attribute(tuple, rel, ANUM_ATTACHED_SERVER_NAME))),
				sizeof(identity.owner_server));
		strlcpy(identity.owner,
				TextDatumGetCString(get_attribute(tuple, rel, ANUM_ATTACHED_OWNER_MARK)),
				sizeof(identity.owner));
		strlcpy(identity.map_version,
				TextDatumGetCString(get_attribute(tuple, rel, ANUM_ATTACHED_MAP_VERSION)),
				sizeof(identity.map_version));
		identity.synced_at =
			DatumGetTimestampTz(get_attribute(tuple, rel, ANUM_ATTACHED_SYNCED_AT));
		read_place(tuple, rel, ANUM_ATTACHED_SYSTEM_IDENTIFIER, &attached);
		heap_freetuple(tuple);
	}
	table_close(rel, AccessShareLock);
}

/* Read the tables. */
static void
read_identity(void)
{
	Relation	rel;
	HeapTuple	tuple;
	char		owned_id[CZ_CLUSTER_ID_LEN + 1] = "";

	memset(&identity, 0, sizeof(identity));
	memset(&owner, 0, sizeof(owner));
	cluster_relid = CzCatalogRelid("cluster");
	owner_relid = CzCatalogRelid("cluster_owner");
	if (!OidIsValid(cluster_relid) || !OidIsValid(owner_relid))
		return;

	rel = table_open(cluster_relid, AccessShareLock);
	tuple = read_row(rel);
	if (tuple != NULL)
	{
		identity.exists = true;
		format_cluster_id(get_attribute(tuple, rel, ANUM_CLUSTER_ID), identity.cluster_id);
		identity.epoch = DatumGetInt32(get_attribute(tuple, rel, ANUM_CLUSTER_EPOCH));
		heap_freetuple(tuple);
	}
	table_close(rel, AccessShareLock);

	rel = table_open(owner_relid, AccessShareLock);
	tuple = read_row(rel);
	if (tuple != NULL)
	{
		identity.first_epoch =
			DatumGetInt32(get_attribute(tuple, rel, ANUM_OWNER_FIRST_EPOCH));
		format_cluster_id(get_attribute(tuple, rel, ANUM_OWNER_CLUSTER_ID), owned_id);
		read_place(tuple, rel, ANUM_OWNER_SYSTEM_IDENTIFIER, &owner);
		heap_freetuple(tuple);
	}
	table_close(rel, AccessShareLock);

	identity.is_restored = strcmp(owned_id, identity.cluster_id) != 0;
	if (!identity.is_restored)
		format_owner(&owner, identity.owner);
	read_attached();
}

/* cz_before_connect and cz_session_fenced */
static void
before_connect(void)
{
	if (!identity_is_known)
		(void) CzTxnIdentity();
}

static void
session_fenced(const char *node_name, int epoch)
{
	const CzIdentity *self = CzTxnIdentity();

	if (epoch > self->epoch && self->fenced_by < epoch)
	{
		CzActivityNoteFenced(epoch);
		ereport(LOG,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("another database has taken over as coordinator of the cluster"),
				 errdetail("Node \"%s\" has epoch %d, this database %d.", node_name, epoch,
						   self->epoch)));
	}
	CzTxnReportReplaced(CzTxnIdentity(), node_name);
}

/*
 * CzTxnIdentityInit
 *		Register the callback that keeps the cache right.
 */
void
CzTxnIdentityInit(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	cz_before_connect = before_connect;
	cz_session_fenced = session_fenced;
}

/*
 * CzTxnIdentity
 *		The identity of the cluster, and whether this server is its coordinator.
 *
 * Returns: borrowed until the next call.  exists is false where the extension's
 *		script is older than the table, or is being run or dropped.
 */
const CzIdentity *
CzTxnIdentity(void)
{
	if (!identity_is_known)
	{
		/* reading may process invalidations: claim first, then look */
		identity_is_known = true;
		PG_TRY();
		{
			read_identity();
			tell_sessions();
		}
		PG_CATCH();
		{
			identity_is_known = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
		/* what is not there yet has no OID whose invalidations could be heard */
		if (!identity.exists)
			identity_is_known = false;
	}

	/* Recovery ends while a session lives, so this is looked at each time. */
	identity.became_owner = false;
	identity.is_owner = false;
	identity.is_attached = false;
	identity.is_promoted = false;
	identity.fenced_by = CzActivityFencedBy();
	if (identity.fenced_by <= identity.epoch)
		identity.fenced_by = 0;
	if (!RecoveryInProgress())
	{
		Place		here = own_place();

		identity.became_owner = !identity.is_restored && is_same_place(&owner, &here) &&
			!has_attached;
		identity.is_owner = !identity.exists ||
			(identity.became_owner && identity.fenced_by == 0);
		identity.is_attached = identity.exists && has_attached &&
			is_same_place(&attached, &here);
		identity.is_promoted = identity.exists && !identity.is_restored &&
			owner.system_identifier == here.system_identifier &&
			owner.database_oid == here.database_oid &&
			owner.timeline < here.timeline;
	}
	return &identity;
}

/*
 * CzTxnClusterId
 *		See transaction.h.
 */
const char *
CzTxnClusterId(void)
{
	const CzIdentity *self = CzTxnIdentity();

	return self->exists ? self->cluster_id : NULL;
}

/*
 * CzTxnMakeMark
 *		See transaction.h.
 */
char *
CzTxnMakeMark(const char *word)
{
	const CzIdentity *self = CzTxnIdentity();
	CzCoordinator who = {"-"};

	if (self->exists)
		strlcpy(who.cluster_id, self->cluster_id, sizeof(who.cluster_id));
	strlcpy(who.owner, self->owner, sizeof(who.owner));
	who.epoch = self->epoch;
	return CzMarkWrite(&who, word);
}

/*
 * CzTxnReportReplaced
 *		55000: a later coordinator is there.
 *
 * node_name: the worker that says so; NULL: it was seen before.
 */
void
CzTxnReportReplaced(const CzIdentity *self, const char *node_name)
{
	if (self->is_attached)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the owner of the cluster that this database knows has been replaced"),
				 errhint("ALTER SERVER %s says where the owner is now; or this coordinator was detached.",
						 quote_identifier(self->owner_server))));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this database is no longer a coordinator of its cluster"),
			 self->fenced_by > 0 ?
			 errdetail("Another one has taken over: its epoch is %d, that of this database %d.",
					   self->fenced_by, self->epoch) :
			 errdetail("Another one has taken over node \"%s\" in the same epoch, %d.",
					   node_name ? node_name : "", self->epoch),
			 errhint("Use the other one, and stop this one.")));
}

/*
 * CzTxnCheckCoordinator
 *		See transaction.h.
 */
void
CzTxnCheckCoordinator(void)
{
	const CzIdentity *self = CzTxnIdentity();

	if (self->is_owner)
		return;
	CzAttachedRefuse();
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot write to workers during recovery")));
	if (self->fenced_by > 0 && self->became_owner)
		CzTxnReportReplaced(self, NULL);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this database is not the coordinator of its cluster"),
			 errdetail("It is a copy of the coordinator, or was restored, promoted or upgraded, and may only read from the workers."),
			 errhint("When the former coordinator is stopped for good, run SELECT cz_take_over().")));
}

/*
 * CzTxnIsCoordinator
 *		See transaction.h.
 */
bool
CzTxnIsCoordinator(void)
{
	const CzIdentity *self = CzTxnIdentity();

	if (self->fenced_by > 0 && self->became_owner)
		CzTxnReportReplaced(self, NULL);
	return self->is_owner;
}

/*
 * CzTxnIsReplaced
 *		See transaction.h.
 */
bool
CzTxnIsReplaced(void)
{
	return CzTxnIdentity()->fenced_by > 0;
}

/*
 * CzTxnIsAttached
 *		See transaction.h.
 */
bool
CzTxnIsAttached(void)
{
	return CzTxnIdentity()->is_attached;
}

/*
 * CzTxnDecides
 *		Are there transactions on several nodes whose decisions are in the log here?
 */
bool
CzTxnDecides(void)
{
	const CzIdentity *self = CzTxnIdentity();

	return self->is_owner || self->is_attached;
}

/* Whose names prepared transactions have: an attached coordinator's are its own. */
static const char *
gid_cluster_id(const CzIdentity *self)
{
	return self->is_attached ? self->coordinator_id : self->cluster_id;
}

/* How names begin that are made without cz.cluster, or were before it was there. */
static char *
old_gid_base(void)
{
	return psprintf("cz_" UINT64_FORMAT "_%u_", GetSystemIdentifier(), MyDatabaseId);
}

/*
 * CzTxnGidBase
 *		"cz_<cluster>_<epoch>_": how this coordinator's prepared transactions begin
 *		on every worker; followed by <full xid>_<nonce>_<number>.  palloc'd.
 */
char *
CzTxnGidBase(void)
{
	const CzIdentity *self = CzTxnIdentity();

	return self->exists ? psprintf("cz_%s_%d_", gid_cluster_id(self), self->epoch) :
		old_gid_base();
}

/* Whose is a name, by what is before the full xid? */
static CzGidOwner
gid_owner(const char *gid, size_t base_len)
{
	const CzIdentity *self = CzTxnIdentity();
	char	   *base = self->exists ? psprintf("cz_%s_", gid_cluster_id(self)) : old_gid_base();
	size_t		len = strlen(base);
	long		epoch;

	if (self->exists && strncmp(gid, base, len) == 0)
	{
		if (self->is_attached)
			return CZ_GID_OF_US;
		epoch = strtol(gid + len, NULL, 10);
		if (epoch > self->epoch)
			return CZ_GID_OF_OTHER; /* of who has taken over from us */
		return epoch < self->first_epoch ? CZ_GID_OF_UNKNOWN_EPOCH : CZ_GID_OF_US;
	}
	base = old_gid_base();
	return strlen(base) == base_len && strncmp(gid, base, base_len) == 0 ?
		CZ_GID_OF_US : CZ_GID_OF_OTHER;
}

/*
 * CzTxnGidParse
 *		Take the name of a prepared transaction apart; false if it is not of the form
 *		that any coordinator makes.
 */
bool
CzTxnGidParse(const char *gid, CzGidName *name)
{
	const char *starts[4];		/* after the last four underscores, from the end */
	const char *p = gid + strlen(gid);
	char	   *end;
	int			n = 0;

	while (n < 4 && p > gid)
	{
		p--;
		if (*p == '_')
			starts[n++] = p + 1;
	}
	if (n < 4 || strncmp(gid, "cz_", 3) != 0 || starts[3] <= gid + 3)
		return false;
	name->fxid = strtou64(starts[2], &end, 10);
	if (end == starts[2] || *end != '_')
		return false;
	name->nonce = (uint32) strtoul(starts[1], &end, 16);
	if (end == starts[1] || *end != '_')
		return false;
	name->prefix = pnstrdup(gid, starts[0] - 1 - gid);
	name->whose = gid_owner(gid, starts[2] - gid);
	return true;
}

/*
 * CzTxnIsOfFormer
 *		See transaction.h.
 */
bool
CzTxnIsOfFormer(const char *gid)
{
	CzGidName	name;

	if (!CzTxnGidParse(gid, &name) || CzTxnLogContains(name.prefix))
		return false;
	return name.whose == CZ_GID_OF_UNKNOWN_EPOCH ||
		(name.whose == CZ_GID_OF_US && !CzTxnIdentity()->is_owner);
}

/* Write the only row of a table: update it, or insert it. */
static void
write_row(Relation rel, Datum *values)
{
	bool		nulls[OWNER_NATTS] = {false};
	HeapTuple	old = read_row(rel);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	if (old != NULL)
		CatalogTupleUpdate(rel, &old->t_self, tuple);
	else
		CatalogTupleInsert(rel, tuple);
	CacheInvalidateRelcache(rel);
}

/* Is the coordinator that we would replace another database of this server? */
static void
check_former_owner(void)
{
	char	   *name;

	if (owner.system_identifier != (int64) GetSystemIdentifier() ||
		owner.database_oid == MyDatabaseId)
		return;
	name = get_database_name(owner.database_oid);
	if (name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("database \"%s\" is the coordinator of this cluster", name),
				 errdetail("This database was made from it, and both would write to the same shards."),
				 errhint("Drop that database first, or run SELECT cz_take_over(force => true) if nobody writes in it any more.")));
}

/*
 * latest_epoch
 *		The latest epoch of the cluster that is known here or to a worker that answers.
 *
 * Errors: 55000 if another database has it, unless that is forced.
 */
static int
latest_epoch(const CzIdentity *former, const Place *here, bool force, bool *is_other)
{
	char		as_owner[CZ_OWNER_LEN + 1];
	int			latest;

	format_owner(here, as_owner);
	latest = Max(CzFenceLatestEpoch(former, as_owner, is_other),
				 Max(former->epoch, former->fenced_by));
	if (*is_other && !force)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("another database has taken over as coordinator of the cluster"),
				 errdetail("Its epoch is %d, that of this database %d: what it has changed is not known here.",
						   latest, former->epoch),
				 errhint("If it is stopped for good, run SELECT cz_take_over(force => true).")));
	return latest;
}

/* An attached coordinator becomes the owner; false: it is none. */
static bool
forget_attached(void)
{
	Relation	rel;
	HeapTuple	tuple;

	if (!has_attached)
		return false;
	rel = table_open(CzCatalogRelid("attached"), RowExclusiveLock);
	tuple = read_row(rel);
	if (tuple != NULL)
		CatalogTupleDelete(rel, &tuple->t_self);
	CacheInvalidateRelcache(rel);
	table_close(rel, NoLock);
	return tuple != NULL;
}

/*
 * take_over
 *		The work of CzTxnTakeOver.  raise: the epoch, also if it is the coordinator already.
 */
static int
take_over(bool force, bool raise)
{
	Relation	cluster = table_open(CzCatalogRelid("cluster"), ShareRowExclusiveLock);
	Relation	rel = table_open(CzCatalogRelid("cluster_owner"), ShareRowExclusiveLock);
	HeapTuple	tuple = read_row(cluster);
	Place		here = own_place();
	CzIdentity	former;
	Datum		cluster_id;
	Datum		values[OWNER_NATTS];
	bool		is_other = false;
	int			epoch;

	identity_is_known = false;
	former = *CzTxnIdentity();
	if (tuple == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the cluster has no identity"),
				 errdetail("The table cz.cluster is empty.")));
	epoch = former.epoch;
	if (!creating_extension)
	{
		epoch = latest_epoch(&former, &here, force, &is_other);
		if (former.is_owner && epoch == former.epoch && !is_other && !raise)
		{
			table_close(rel, NoLock);
			table_close(cluster, NoLock);
			CzFenceAll();
			return epoch;
		}
		if (!force)
			check_former_owner();
		epoch++;
	}

	cluster_id = get_attribute(tuple, cluster, ANUM_CLUSTER_ID);
	if (epoch > former.epoch)
	{
		values[ANUM_CLUSTER_ID - 1] = cluster_id;
		values[ANUM_CLUSTER_EPOCH - 1] = Int32GetDatum(epoch);
		write_row(cluster, values);
	}

	/*
	 * What was decided in earlier epochs came here with the files, or not at all; nor has
	 * what another owner has decided since.
	 */
	values[ANUM_OWNER_CLUSTER_ID - 1] = cluster_id;
	values[ANUM_OWNER_FIRST_EPOCH - 1] =
		Int32GetDatum(former.is_restored || is_other || forget_attached() ? epoch :
					  former.first_epoch);
	values[ANUM_OWNER_SYSTEM_IDENTIFIER - 1] = Int64GetDatum(here.system_identifier);
	values[ANUM_OWNER_DATABASE_OID - 1] = ObjectIdGetDatum(here.database_oid);
	values[ANUM_OWNER_TIMELINE - 1] = Int32GetDatum(here.timeline);
	values[ANUM_OWNER_CONTROL_FILE - 1] = Int64GetDatum(here.control_file);
	write_row(rel, values);
	CommandCounterIncrement();
	table_close(rel, NoLock);
	table_close(cluster, NoLock);
	if (!creating_extension)
		CzFenceAll();
	return epoch;
}

/*
 * CzTxnTakeOver
 *		Make this database the coordinator, as part of the current transaction, and fence
 *		those before it, whatever becomes of this transaction.
 *
 * Returns: the epoch; the present one if it is the coordinator already.
 */
int
CzTxnTakeOver(bool force)
{
	return take_over(force, false);
}

/*
 * CzTxnRaiseEpoch
 *		See transaction.h.
 */
int
CzTxnRaiseEpoch(void)
{
	return take_over(false, true);
}

/*
 * cz_take_over(force boolean)
 *		SQL function: this database is the cluster's coordinator from now on.
 */
Datum
cz_take_over(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("cz_take_over()");
	PreventCommandDuringRecovery("cz_take_over()");
	if (CzTxnIsAttached() && !PG_GETARG_BOOL(0) && CzReferenceTableList() != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of reference tables here are old"),
				 errdetail("An attached coordinator has them of the day on which it was attached; the copies on the workers have those of now."),
				 errhint("Let a standby of the owner take over if there is one; else SELECT cz_take_over(force => true), and fill these tables from a worker's copies.")));
	PG_RETURN_INT32(CzTxnTakeOver(PG_GETARG_BOOL(0)));
}

/*
 * cz_cluster_changed
 *		Trigger of cz.cluster and cz.cluster_owner.  Before a row is inserted into
 *		cz.cluster the one that is there goes: a restored dump brings the cluster's
 *		id to where CREATE EXTENSION has just made one.
 */
Datum
cz_cluster_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cz.cluster_changed")));
	CacheInvalidateRelcache(trigger->tg_relation);
	if (TRIGGER_FIRED_BEFORE(trigger->tg_event) &&
		TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
	{
		HeapTuple	old = read_row(trigger->tg_relation);

		if (old != NULL)
		{
			CatalogTupleDelete(trigger->tg_relation, &old->t_self);
			CommandCounterIncrement();
		}
		return PointerGetDatum(trigger->tg_trigtuple);
	}
	return PointerGetDatum(NULL);
}
