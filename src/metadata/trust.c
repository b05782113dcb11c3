/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  May a worker be made to run a function, because somebody here chose to?
 *
 * On this server code runs as the role that calls it, or whose it is if it is
 * SECURITY DEFINER.  On a worker all runs as the role of a user mapping.  If that
 * mapping is one for PUBLIC, its role is often more powerful than the user
 * (citus_add_node maps everybody to a superuser), and nothing that the user can
 * choose may do there what the user may not do here.  So:
 *
 *	the sender				a function may be
 *	own mapping, no mapping		anything, but not SECURITY DEFINER of another
 *	for PUBLIC				role: it would become the sender's there
 *	mapping for PUBLIC,		- built in: immutable, or stable and of dates and
 *	no superuser			  times alone, and PUBLIC may execute it
 *							- a superuser's, of an extension, immutable, and
 *							  PUBLIC may execute it
 *	mapping for PUBLIC,		built in, of an extension, or a superuser's
 *	superuser
 *	a fragment				- built in and not volatile
 *							- a superuser's, of an extension that all workers have
 *							  (extensions.c), immutable or reading settings that
 *							  workers follow, and PUBLIC may execute it
 *
 * With a mapping for PUBLIC a SECURITY DEFINER function that not everybody may execute
 * stays here in any case: there, all are one role.  Otherwise who may execute a function
 * here, and nobody else, may it on workers (ddl/privileges.c).
 *
 * "Built in" is what initdb gave an OID of pg_proc.dat.  PUBLIC, because it is not
 * known who will write to the table.  A mapping for PUBLIC counts even for a user
 * who has one too: others would run the user's code through it.  A member of an
 * extension counts only if it is a superuser's: the owner of an extension can add
 * functions to it.
 *
 * The rule is asked when an object is sent: CHECKs, generated columns, indexes,
 * domains, aggregates (ddl/objects.c), and again when a function is replaced
 * (ddl/objectddl.c), or is SECURITY DEFINER and gets another owner or loses EXECUTE
 * (ddl/privileges.c).  A mapping for PUBLIC that is made later opens what was sent
 * before; docs/operations.md says so.
 *
 * On this server, too, nothing that a user can choose runs as a superuser: what is done
 * as one here (relations of shards, aggregates of cz_partial, the check of texts) must
 * not read values whose types call functions (CzTypeRunsCode).
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cz/compat.h"
#include "cz/gone.h"
#include "cz/metadata.h"
#include "cz/trust.h"

static bool
has_mapping(Oid user_oid, Oid server_oid)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user_oid),
								 ObjectIdGetDatum(server_oid));
}

/*
 * CzSenderOf
 *		See trust.h.
 */
CzSender
CzSenderOf(Oid user_oid, List *server_oids)
{
	CzSender	sender = {user_oid, false};
	bool		is_superuser = superuser_arg(user_oid);
	ListCell   *lc;

	foreach(lc, server_oids)
	{
		/* a role without any mapping could not have come this far */
		if (has_mapping(InvalidOid, lfirst_oid(lc)) ||
			(!is_superuser && !has_mapping(user_oid, lfirst_oid(lc))))
			sender.is_shared = true;
	}
	return sender;
}

/* Are the arguments and the result of a function dates, times, intervals, booleans? */
static bool
is_of_dates(Oid function)
{
	Oid		   *arg_types;
	int			nargs;
	Oid			result_type = get_func_signature(function, &arg_types, &nargs);
	int			i;

	for (i = -1; i < nargs; i++)
	{
		char		category;
		bool		is_preferred;

		get_type_category_preferred(i < 0 ? result_type : arg_types[i], &category,
									&is_preferred);
		if (category != TYPCATEGORY_DATETIME && category != TYPCATEGORY_TIMESPAN &&
			category != TYPCATEGORY_BOOLEAN)
			return false;
	}
	return true;
}

static bool
public_may_execute(Oid function)
{
	return function_aclcheck_compat(function, ACL_ID_PUBLIC) == ACLCHECK_OK;
}

#define AS_PUBLIC " It would run there as the role of the user mapping for PUBLIC."

static const char *
why_built_in_is_not(Oid function, char volatility, const CzSender *sender)
{
	/* which stable ones fragments may have is said in planner/shippable.c */
	if (sender == NULL)
		return volatility == PROVOLATILE_VOLATILE ? "It is volatile." : NULL;
	if (volatility == PROVOLATILE_VOLATILE ||
		(volatility == PROVOLATILE_STABLE && !is_of_dates(function)))
		return "It is not immutable." AS_PUBLIC;
	if (!public_may_execute(function))
		return "Not everybody may execute it." AS_PUBLIC;
	return NULL;
}

/*
 * A function of an extension, for a sender who shares the workers' role.  Which
 * extensions the workers have is another question.
 */
static const char *
why_extensions_is_not(Oid function, const FormData_pg_proc *proc, const CzSender *sender)
{
	if (!superuser_arg(proc->proowner))
		return "Its owner is no superuser." AS_PUBLIC;
	/* a fragment's session follows the settings of this one */
	if (proc->provolatile != PROVOLATILE_IMMUTABLE &&
		!(sender == NULL && CzReadsTrigramSettings(function)))
		return "It is not immutable." AS_PUBLIC;
	if (!public_may_execute(function))
		return "Not everybody may execute it." AS_PUBLIC;
	return NULL;
}

static const char *
why_not(Oid function, const FormData_pg_proc *proc, const CzSender *sender)
{
	bool		is_built_in = function < FirstGenbkiObjectId;
	bool		is_extensions = !is_built_in && sender != NULL &&
		OidIsValid(getExtensionOfObject(ProcedureRelationId, function));

	if (is_built_in && (sender == NULL || sender->is_shared) &&
		(sender == NULL || !superuser_arg(sender->user_oid)))
		return why_built_in_is_not(function, proc->provolatile, sender);
	if (is_built_in)
		return NULL;
	if (sender == NULL)
		return CzExtensionIsShared(getExtensionOfObject(ProcedureRelationId, function)) ?
			why_extensions_is_not(function, proc, sender) :
			"It is neither built in nor of an extension that all workers have.";
	if (!sender->is_shared)
		return proc->prosecdef && !is_extensions && proc->proowner != sender->user_oid ?
			"It is SECURITY DEFINER, and it would run there as another role than here." : NULL;
	/* whoever executes it, its owner gives some only: there, all are one role */
	if (proc->prosecdef && !is_extensions && !public_may_execute(function))
		return "It is SECURITY DEFINER, and not everybody may execute it here, as everybody could there.";
	if (superuser_arg(sender->user_oid))
		return is_extensions || superuser_arg(proc->proowner) ? NULL :
			"Its owner is no superuser." AS_PUBLIC;
	if (is_extensions)
		return why_extensions_is_not(function, proc, sender);
	return "It is not built in." AS_PUBLIC;
}

/*
 * CzFunctionIsTrusted
 *		See trust.h.
 */
bool
CzFunctionIsTrusted(Oid function, const CzSender *sender, const char **reason)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	const char *why;

	if (!HeapTupleIsValid(tuple))
		CzObjectIsGone("function", function);
	why = why_not(function, (Form_pg_proc) GETSTRUCT(tuple), sender);
	ReleaseSysCache(tuple);
	if (why != NULL && reason != NULL)
		*reason = why;
	return why == NULL;
}

typedef struct TrustContext
{
	const CzSender *sender;
	const char **reason;
	Oid			function;		/* found */
} TrustContext;

/* check_functions_in_node callback: true ends the search */
static bool
is_untrusted(Oid function, void *arg)
{
	TrustContext *context = arg;

	if (CzFunctionIsTrusted(function, context->sender, context->reason))
		return false;
	context->function = function;
	return true;
}

static bool
trust_walker(Node *node, TrustContext *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_untrusted, context))
		return true;
	return expression_tree_walker(node, trust_walker, (void *) context);
}

/*
 * CzUntrustedFunction
 *		See trust.h.
 */
Oid
CzUntrustedFunction(Node *expr, const CzSender *sender, const char **reason)
{
	TrustContext context = {sender, reason, InvalidOid};

	(void) trust_walker(expr, &context);
	return context.function;
}

/*
 * CzTypeRunsCode
 *		See trust.h.
 */
bool
CzTypeRunsCode(Oid type)
{
	check_stack_depth();
	if (type < FirstGenbkiObjectId)
		return false;
	if (OidIsValid(get_element_type(type)))
		return CzTypeRunsCode(get_element_type(type));
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return DomainHasConstraints(type) || CzTypeRunsCode(getBaseType(type));
		case TYPTYPE_MULTIRANGE:
			return CzTypeRunsCode(get_multirange_range(type));
		case TYPTYPE_RANGE:
			return lookup_type_cache(type, TYPECACHE_RANGE_INFO)->rng_canonical_finfo.fn_oid >= FirstGenbkiObjectId ||
				CzTypeRunsCode(get_range_subtype(type));
		case TYPTYPE_COMPOSITE:
			{
				TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);
				int			i;

				for (i = 0; i < desc->natts; i++)
				{
					if (!TupleDescAttr(desc, i)->attisdropped &&
						CzTypeRunsCode(TupleDescAttr(desc, i)->atttypid))
						return true;
				}
				return false;
			}
		default:
			return false;
	}
}

/*
 * CzTrustHint
 *		See trust.h.
 */
const char *
CzTrustHint(void)
{
	return "Give each role a user mapping of its own and drop the one for PUBLIC, or let a superuser own the table and its functions.";
}
