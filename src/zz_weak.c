/* Development only: weak stand-ins so that the library loads before every module has landed. Deleted before the end. */
#include "postgres.h"
#include "cz/ddl.h"
#include "cz/errors.h"
#include "cz/executor.h"
#include "cz/fdw.h"
#include "cz/metadata.h"
#include "cz/planner.h"
#include "cz/remote.h"
#include "cz/settings.h"
#include "cz/transaction.h"
#include "cz/writer.h"
#define W __attribute__((weak))
#define NI elog(ERROR, "%s has not landed yet", __func__)
W void CzMetadataInit(void) {}
W void CzRemoteInit(void) {}
W void CzTransactionInit(void) {}
W void CzPlannerInit(void) {}
W void CzExecutorInit(void) {}
W void CzFdwInit(void) {}
W void CzDdlInit(void) {}
W int cz_internal_ddl_depth = 0;
W Size CzHealthShmemSize(void) { return 0; }
W void CzHealthShmemInit(void) {}
W CzDeferredError *CzDeferError(int s, const char *m, const char *d, const char *h) { NI; return NULL; }
W void CzRaiseDeferred(const CzDeferredError *e) { NI; abort(); }
W void CzReportRemoteError(int l, struct pg_result *r, struct pg_conn *c, const char *n, const char *s, bool cl) { NI; }
W const CzTable *CzTableGet(Oid relid) { return NULL; }
W bool CzIsShard(Oid relid, Oid *p) { return false; }
W int CzShardIndexForValue(const CzTable *t, Datum v, bool n) { NI; return -1; }
W int CzHashShardIndex(Oid k, Oid c, Datum v, bool n, int ns) { NI; return 0; }
W List *CzNodeList(bool a) { NI; return NIL; }
W CzNode *CzNodeGet(Oid s) { NI; return NULL; }
W CzEndpoint *CzEndpointGet(Oid s, Oid u) { NI; return NULL; }
W Oid CzFdwOid(void) { return InvalidOid; }
W Oid CzCatalogRelid(const char *n) { return InvalidOid; }
W void CzInvalidateTable(Oid r) { NI; }
W int64 CzNextShardId(void) { NI; return 0; }
W CzConn *CzConnAcquire(const CzEndpoint *e) { NI; return NULL; }
W CzConn *CzConnTryAcquire(const CzEndpoint *e, char **m) { NI; return NULL; }
W CzConn *CzConnAcquireCached(const CzEndpoint *e) { NI; return NULL; }
W CzConn *CzConnStart(const CzEndpoint *e) { NI; return NULL; }
W int CzConnPollConnect(CzConn *c, const CzEndpoint *e) { NI; return 0; }
W void CzConnRelease(CzConn *c) { NI; }
W void CzConnDiscard(CzConn *c) { NI; }
W int CzConnCount(Oid s, Oid u) { NI; return 0; }
W void CzConnSyncSettings(CzConn *c) { NI; }
W void CzConnDrain(CzConn *c) { NI; }
W struct pg_result *CzConnExec(CzConn *c, const char *s) { NI; return NULL; }
W struct pg_result *CzConnExecParams(CzConn *c, const char *s, int n, const char *const *v) { NI; return NULL; }
W struct pg_result *CzConnExecQuiet(CzConn *c, const char *s, int t) { return NULL; }
W const char *CzConnPrepared(CzConn *c, const char *s) { NI; return NULL; }
W void CzConnRememberPrepared(CzConn *c, const char *s, const char *n) { NI; }
W char *CzConnNewStatementName(CzConn *c) { NI; return NULL; }
W bool CzConnCancel(CzConn *c, int t) { return false; }
W void CzHealthMarkFailed(Oid s) {}
W void CzHealthMarkGood(Oid s) {}
W bool CzHealthIsSuspect(Oid s) { return false; }
W bool CzConnProbe(const CzEndpoint *e, int t) { NI; return false; }
W CzConn *CzTxnConn(Oid s, Oid u, bool w) { NI; return NULL; }
W CzConn *CzTxnConnIfAny(Oid s, Oid u) { return NULL; }
W CzConn *CzTxnReadConn(Oid s, Oid u) { return NULL; }
W bool CzTxnHasWritten(void) { return false; }
W void CzTxnExec(Oid s, Oid u, const char *q) { NI; }
W void CzTxnExecOnShard(const CzShard *s, Oid u, const char *q) { NI; }
W void CzTxnLockShard(const CzShard *s, Oid u, CzShardLock m) { NI; }
W void CzTxnLockShards(const CzShard *const *s, int n, Oid u, CzShardLock m) { NI; }
W CzWriter *CzWriterBegin(TupleDesc t, char **n, Oid u) { NI; return NULL; }
W void CzWriterPut(CzWriter *w, const CzShard *s, TupleTableSlot *t, int64 r) { NI; }
W void CzWriterFlush(CzWriter *w) { NI; }
W void CzWriterEnd(CzWriter *w) { NI; }
W List *CzFragmentPlanToList(const CzFragmentPlan *p) { NI; return NIL; }
W CzFragmentPlan *CzFragmentPlanFromList(List *l) { NI; return NULL; }
W char *CzFragmentSql(const CzFragmentPlan *p, int i) { NI; return NULL; }
W CzStream *CzStreamBegin(const CzFragmentPlan *p, List *e, PlanState *ps, TupleDesc t) { NI; return NULL; }
W bool CzStreamNext(CzStream *s, TupleTableSlot *t) { NI; return false; }
W uint64 CzStreamRunModify(CzStream *s) { NI; return 0; }
W void CzStreamRescan(CzStream *s, bool p) { NI; }
W void CzStreamEnd(CzStream *s) { NI; }
W void CzStreamExplain(CzStream *s, const CzFragmentPlan *p, ExplainState *es) { NI; }
W CzFragmentPlan *CzPlanRelScan(PlannerInfo *r, RelOptInfo *rel, Oid relid, List *a, List *q, bool l, List **lq, List **p) { NI; return NULL; }
W bool CzIsShippable(Node *e, Relids r) { return false; }
#include "cz/cluster.h"
W void CzReferenceCopyToNode(Oid s) {}
W const CustomScanMethods cz_fragment_scan_methods = {"CzFragmentScan", NULL};
