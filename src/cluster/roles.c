/*-------------------------------------------------------------------------
 *
 * roles.c
 *	  cz_propagate_role: a role of this server becomes one on all workers, and gets user
 *	  mappings for them.
 *
 * The worker's role has a password that is drawn here, or the one that is given.  It goes
 * there as a SCRAM verifier, made by core as for CREATE ROLE, so that neither log nor
 * network ever has the password; the user mappings hold it.  It has nothing to do with
 * the role's password here, of which nobody knows more than a verifier.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "libpq/crypt.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "cluster_int.h"
#include "cz/ddl.h"
#include "cz/transaction.h"

PG_FUNCTION_INFO_V1(cz_propagate_role);
PG_FUNCTION_INFO_V1(cz_propagate_privileges);

/* Bytes of a password that is drawn. */
#define SECRET_BYTES 24

static char *
draw_password(void)
{
	static const char digits[] = "0123456789abcdef";
	uint8		bytes[SECRET_BYTES];
	char	   *result = palloc(2 * SECRET_BYTES + 1);
	int			i;

	if (!pg_strong_random(bytes, SECRET_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random password")));
	for (i = 0; i < SECRET_BYTES; i++)
	{
		result[2 * i] = digits[bytes[i] >> 4];
		result[2 * i + 1] = digits[bytes[i] & 15];
	}
	result[2 * SECRET_BYTES] = '\0';
	return result;
}

/*
 * The role on a worker.  One that is there and was not made by this function keeps its
 * password, which must be given then; so nobody's role is taken over.
 */
static char *
role_sql(const char *role, const char *verifier, bool is_given, const char *comment)
{
	StringInfoData block;
	char	   *name = pstrdup(quote_identifier(role));

	initStringInfo(&block);
	appendStringInfo(&block, "DECLARE id oid := (SELECT a.oid FROM pg_roles a WHERE a.rolname = %s); BEGIN\n"
					 "IF id IS NULL THEN\n"
					 "CREATE ROLE %s LOGIN PASSWORD %s;\n"
					 "COMMENT ON ROLE %s IS %s;\n",
					 quote_literal_cstr(role), name, quote_literal_cstr(verifier), name,
					 quote_literal_cstr(comment));
	appendStringInfo(&block, "ELSIF shobj_description(id, 'pg_authid') = %s THEN\n"
					 "ALTER ROLE %s LOGIN PASSWORD %s;\n",
					 quote_literal_cstr(comment), name, quote_literal_cstr(verifier));
	if (!is_given)
		appendStringInfo(&block, "ELSE RAISE EXCEPTION USING ERRCODE = 'duplicate_object', "
						 "MESSAGE = format('role %%I exists', %s), DETAIL = 'The coordinator has not made it.', "
						 "HINT = 'Give its password to cz_propagate_role().';\n",
						 quote_literal_cstr(role));
	appendStringInfo(&block, "END IF;\n"
					 "EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %%I TO %%I', current_database(), %s);\nEND",
					 quote_literal_cstr(role));
	return psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(block.data));
}

/*
 * The user mapping of a role for a worker, new or changed: with the password, or, where they
 * are known, with the SCRAM keys in its place.
 */
static void
set_mapping(Oid server_oid, Oid role_oid, const char *role, const char *password,
			const char *client_key, const char *server_key, bool must_use_password)
{
	char	   *server_name = GetForeignServer(server_oid)->servername;
	RoleSpec   *user = makeNode(RoleSpec);
	const char *names[] = {"user", "password", "scram_client_key", "scram_server_key",
	"password_required"};
	const char *values[lengthof(names)];
	List	   *old = NIL;
	List	   *options = NIL;
	bool		is_there = SearchSysCacheExists2(USERMAPPINGUSERSERVER,
												 ObjectIdGetDatum(role_oid),
												 ObjectIdGetDatum(server_oid));
	int			i;

	user->roletype = ROLESPEC_CSTRING;
	user->rolename = pstrdup(role);
	user->location = -1;
	values[0] = role;
	values[1] = client_key == NULL ? password : NULL;
	values[2] = client_key;
	values[3] = server_key;
	values[4] = must_use_password ? "true" : "false";
	if (is_there)
		old = GetUserMapping(role_oid, server_oid)->options;
	for (i = 0; i < lengthof(names); i++)
	{
		bool		is_set = CzFindOption(old, names[i]) != NULL;

		if (values[i] == NULL && !is_set)
			continue;
		options = lappend(options,
						  makeDefElemExtended(NULL, pstrdup(names[i]), values[i] == NULL ? NULL :
											  (Node *) makeString(pstrdup(values[i])),
											  !is_there ? DEFELEM_UNSPEC :
											  values[i] == NULL ? DEFELEM_DROP :
											  is_set ? DEFELEM_SET : DEFELEM_ADD,
											  -1));
	}
	if (is_there)
	{
		AlterUserMappingStmt *stmt = makeNode(AlterUserMappingStmt);

		stmt->user = user;
		stmt->servername = server_name;
		stmt->options = options;
		(void) AlterUserMapping(stmt);
	}
	else
	{
		CreateUserMappingStmt *stmt = makeNode(CreateUserMappingStmt);

		stmt->user = user;
		stmt->servername = server_name;
		stmt->options = options;
		(void) CreateUserMapping(stmt);
	}
}

/*
 * What the role has had made on workers before, as the role that everybody was there:
 * shards become its own, and of types and functions it is known whose ledger has them.
 */
static void
take_over(Oid role_oid, const char *role)
{
	Oid			argtypes[2] = {OIDOID, OIDOID};
	Datum		values[2];
	ListCell   *lc;

	values[0] = ObjectIdGetDatum(role_oid);
	values[1] = ObjectIdGetDatum(GetUserId());
	CzCatalogExec("INSERT INTO cz.objects SELECT o.classid, o.objid, $2 FROM cz.objects o"
				  " WHERE o.userid OPERATOR(pg_catalog.=) $1 ON CONFLICT DO NOTHING",
				  2, argtypes, values, NULL);
	foreach(lc, CzTableListAll())
	{
		const CzTable *table = CzTableGet(lfirst_oid(lc));
		int			i;
		int			j;

		if (table == NULL || table->kind == CZ_TABLE_FOREIGN ||
			CzRelationOwner(table->relid) != role_oid)
			continue;
		for (i = 0; i < table->nshards; i++)
		{
			for (j = 0; j < table->shards[i].nplacements; j++)
				CzTxnExec(table->shards[i].server_oids[j], GetUserId(),
						  psprintf("ALTER TABLE %s OWNER TO %s",
								   table->shards[i].remote_qualified, quote_identifier(role)));
		}
	}
}

/*
 * cz_propagate_role(role_name name, password text, password_required boolean)
 *		Make a role of this server on all workers in use, with a user mapping, and grant it
 *		there what it may do to distributed tables.
 *
 * password: of the worker's role; NULL: one is drawn.
 * Errors: 42501 for who is no superuser; 42710 if a worker has a role of that name that
 *		somebody else has made, and no password is given; 08001 if one is not reached.
 */
Datum
cz_propagate_role(PG_FUNCTION_ARGS)
{
	char	   *role;
	Oid			role_oid;
	bool		is_given = !PG_ARGISNULL(1);
	bool		must_use_password = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);
	char	   *password;
	char	   *verifier;
	char	   *client_key = NULL;
	char	   *server_key = NULL;
	char	   *sql;
	ListCell   *lc;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to make roles on the workers")));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "role_name")));
	role = NameStr(*PG_GETARG_NAME(0));
	role_oid = get_role_oid(role, false);
	if (role_oid == BOOTSTRAP_SUPERUSERID || role_oid == GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("role \"%s\" cannot be made on the workers", role),
				 errdetail("It is the one that makes the roles there.")));
	/* nobody enters with it, and core takes it for none */
	if (is_given && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(1)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("password must not be empty")));
	password = is_given ? text_to_cstring(PG_GETARG_TEXT_PP(1)) : draw_password();
	verifier = encrypt_password(PASSWORD_TYPE_SCRAM_SHA_256, role, password);
	/*
	 * A role that is there may have another verifier of a given password; and with keys
	 * nothing but SCRAM will do, where workers may admit the role without.
	 */
	if (!is_given && must_use_password)
		(void) CzScramKeysOf(verifier, password, &client_key, &server_key);
	sql = role_sql(role, verifier, is_given,
				   psprintf("made by cz_fdw for database %s of the coordinator",
							get_database_name(MyDatabaseId)));
	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);

		if (node->is_checked)
			CzTxnExec(node->server_oid, GetUserId(), sql);
	}
	take_over(role_oid, role);
	foreach(lc, CzNodeList(true))
	{
		CzNode	   *node = lfirst(lc);

		if (node->is_checked)
			set_mapping(node->server_oid, role_oid, role, password, client_key, server_key,
						must_use_password);
	}
	CommandCounterIncrement();
	/* nobody can enter as the role before this has been committed there */
	CzPropagatePrivileges(InvalidOid, GetUserId());
	PG_RETURN_VOID();
}

/*
 * cz_propagate_privileges(table_name regclass)
 *		Grant on the shards of a table, or of all, what roles with user mappings of their
 *		own may do to it: after a mapping was made by hand.
 *
 * Errors: 42501 for who is no superuser; 42P01, 55000 if there is no such distributed table.
 */
Datum
cz_propagate_privileges(PG_FUNCTION_ARGS)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to grant privileges on the workers")));
	if (!PG_ARGISNULL(0))
		(void) CzCheckDistributed(PG_GETARG_OID(0));
	CzPropagatePrivileges(PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0), InvalidOid);
	PG_RETURN_VOID();
}
