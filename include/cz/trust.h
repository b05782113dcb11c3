/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  Which functions a worker may be made to run, by whom.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_TRUST_H
#define CZ_TRUST_H

#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

/* The local role that chose what is sent, and as whom workers run it. */
typedef struct CzSender
{
	Oid			user_oid;		/* owner of the table, or who distributes an aggregate */
	bool		is_shared;		/* some worker runs it as the role of a mapping for PUBLIC */
} CzSender;

/* The sender for workers, list of server OIDs. */
extern CzSender CzSenderOf(Oid user_oid, List *server_oids);

/*
 * CzFunctionIsTrusted
 *		May a worker run this function because sender's table or aggregate calls it?
 *		The rule is in trust.c; every path that sends a user's code asks.
 *
 * sender: NULL for a fragment of a statement, which is run for any role: EXECUTE is
 *		then asked when it is executed, as core does.
 * reason: out, if not NULL and the answer is no: a sentence for errdetail.
 */
extern bool CzFunctionIsTrusted(Oid function, const CzSender *sender, const char **reason);

/* The first function in an expression that is not trusted, InvalidOid if all are. */
extern Oid	CzUntrustedFunction(Node *expr, const CzSender *sender, const char **reason);

/*
 * CzTypeRunsCode
 *		Does reading a value of the type from text run functions that a user may have made:
 *		CHECKs of a domain, a range's canonical function?  What is done here as a superuser
 *		must not read such values.
 */
extern bool CzTypeRunsCode(Oid type);

/* What can be done about a refusal, for errhint. */
extern const char *CzTrustHint(void);

#endif							/* CZ_TRUST_H */
