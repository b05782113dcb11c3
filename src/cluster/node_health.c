/*-------------------------------------------------------------------------
 *
 * node_health.c
 *	  Nodes that have not answered for a while.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "rebalance_int.h"
List *
CzHealthDownServers(int down_ms)
{
	return NIL;
}
