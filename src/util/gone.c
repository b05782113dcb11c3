/*-------------------------------------------------------------------------
 *
 * gone.c
 *	  Objects that another session has dropped meanwhile.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "utils/lsyscache.h"

#include "cz/gone.h"

/*
 * CzObjectIsGone
 *		See cz/gone.h.
 */
void
CzObjectIsGone(const char *kind, Oid oid)
{
	ereport(ERROR,
			(errcode(strcmp(kind, "relation") == 0 ? ERRCODE_UNDEFINED_TABLE :
					 strcmp(kind, "function") == 0 ? ERRCODE_UNDEFINED_FUNCTION :
					 ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s with OID %u does not exist any more", kind, oid),
			 errdetail("Another session has dropped it meanwhile."),
			 errhint("Run the statement again.")));
}

/*
 * CzNameOf
 *		See cz/gone.h.
 */
char *
CzNameOf(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		CzObjectIsGone("relation", relid);
	return name;
}

/*
 * CzOpenRelation
 *		See cz/gone.h.
 */
Relation
CzOpenRelation(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = try_relation_open(relid, lockmode);

	if (rel == NULL)
		CzObjectIsGone("relation", relid);
	return rel;
}
