/*-------------------------------------------------------------------------
 *
 * online.c
 *	  Moves while others write.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mover_int.h"

void
CzMoveBringOver(CzMove *move)
{
}
void
CzMoveCatchUp(CzMove *move)
{
}
int64
CzMoveRound(CzMove *move, bool is_last)
{
	return 0;
}
void
CzMoveCaptureOff(CzMove *move)
{
}
char *
CzMoveSnapshotBegin(CzConn *conn)
{
	return NULL;
}
void
CzMoveStateWrite(const CzMove *move, CzConn *conn, Oid owner, const char *snapshot)
{
}
