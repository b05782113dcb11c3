/*-------------------------------------------------------------------------
 *
 * config_int.h
 *	  The cluster file as values; private to src/cluster/config*.c.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_CONFIG_INT_H
#define CZ_CONFIG_INT_H

#include "cz/json.h"
#include "nodes/pg_list.h"

/* What a cluster file is called in messages */
#define CONFIG_WHAT "cluster file"

typedef struct CzConfigWorker
{
	char	   *where;			/* place in the file, for messages */
	char	   *name;			/* server name; NULL: from a membership file, then
								 * host and port are the identity */
	char	   *host;			/* NULL: not given */
	int			port;			/* 0: not given */
	List	   *options;		/* DefElems: options of the server, in order */
} CzConfigWorker;

typedef struct CzConfigMapping
{
	char	   *where;
	char	   *worker;			/* server name */
	char	   *role;			/* local role; NULL: PUBLIC */
	List	   *options;		/* DefElems, without the password */
	char	   *password_file;	/* path of a file, or NULL */
	char	   *password_env;	/* name of an environment variable, or NULL */
	bool		password_omitted;	/* there was one where the file was exported */
} CzConfigMapping;

typedef struct CzConfigTable
{
	char	   *where;
	char	   *name;			/* as regclass takes it */
	Oid			relid;			/* InvalidOid until resolved */
	char		kind;			/* CzTableKind */
	char	   *column;			/* NULL for a reference table */
	char	   *colocate_with;	/* table name, "default", "none"; NULL: default */
	int			shard_count;	/* 0: not given */
	int			replication_factor; /* 0: not given */
	bool		is_append;		/* a range table of distribution type append */
	List	   *ranges;			/* Lists of two strings: from (included), to; NULL: open */
	bool		is_done;		/* while importing */
} CzConfigTable;

typedef struct CzConfig
{
	int			shard_count;	/* defaults; 0: not given */
	int			replication_factor;
	List	   *workers;		/* CzConfigWorker */
	List	   *mappings;		/* CzConfigMapping */
	List	   *tables;			/* CzConfigTable */
} CzConfig;

/*
 * Read a cluster file, JSON or the old list of "host port" lines, in UTF-8.
 * Errors: 22032, 22023 with line, column and key path.
 */
extern CzConfig *CzConfigParse(const char *text, size_t length);

#endif							/* CZ_CONFIG_INT_H */
