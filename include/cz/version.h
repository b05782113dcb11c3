/*-------------------------------------------------------------------------
 *
 * version.h
 *	  The version of the library; that of the SQL objects is in pg_extension.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_VERSION_H
#define CZ_VERSION_H

/* default_version of cz_fdw.control (lint compares them). */
#define CZ_VERSION "1.1"

#endif							/* CZ_VERSION_H */
