/*-------------------------------------------------------------------------
 *
 * survey_int.h
 *	  Private to src/cluster: what stands in the schema of shards on every worker.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_SURVEY_INT_H
#define CZ_SURVEY_INT_H

#include "cz/metadata.h"
#include "utils/hsearch.h"

/* Who has made it, as its comment says. */
typedef enum CzMark
{
	CZ_MARK_NONE,
	CZ_MARK_MOVE,				/* a move of this cluster, that has not ended there */
	CZ_MARK_DROPPED,			/* a move of this cluster, to be dropped */
	CZ_MARK_OTHER				/* another cluster */
} CzMark;

/* A table there; names are unquoted. */
typedef struct CzFoundTable
{
	char		name[NAMEDATALEN];	/* key of the survey's hash table */
	char	   *owner;
	bool		is_partition;
	CzMark		mark;
	char	   *comment;		/* NULL: it has none */
	int64		move_id;		/* of the mark; 0: none */
	int64		shard_id;		/* the number that its name ends in; 0: none */
	char	   *columns;		/* names and types, by name, a line each */
	char	   *indexes;		/* names of those that are valid, a line each, the last, too */
	bool		is_known;		/* for who compares with the catalogs */
} CzFoundTable;

typedef struct CzFoundFunction
{
	char	   *name;			/* quoted, with the types of its arguments */
	int64		move_id;
} CzFoundFunction;

typedef struct CzFoundPrepared
{
	char	   *gid;
	char	   *prepared_at;
} CzFoundPrepared;

typedef struct CzSurvey
{
	Oid			server_oid;
	const char *node_name;
	bool		is_known;		/* it has answered */
	char	   *error;			/* else why not; may be NULL */
	HTAB	   *tables;			/* CzFoundTable by name */
	List	   *functions;		/* CzFoundFunction * of moves */
	List	   *prepared;		/* CzFoundPrepared * of coordinators */
} CzSurvey;

/*
 * CzSurveyTake
 *		Ask all nodes at once, each by one query; list of CzSurvey *.  In
 *		CurrentMemoryContext.
 */
extern List *CzSurveyTake(List *nodes);

/* A node's; NULL: it was not asked, or has not answered. */
extern CzSurvey *CzSurveyOf(List *surveys, Oid server_oid);

/* A table, or NULL. */
extern CzFoundTable *CzSurveyFind(const CzSurvey *survey, const char *name);

/* Columns of a relation here, as in CzFoundTable; palloc'd. */
extern char *CzSurveyColumns(Oid relid);

#endif							/* CZ_SURVEY_INT_H */
