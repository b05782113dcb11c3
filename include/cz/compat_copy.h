/*-------------------------------------------------------------------------
 *
 * compat_copy.h
 *	  COPY: what its state holds, and where.
 *
 * A part of compat.h, which alone includes it.
 *
 * Source: own work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CZ_COMPAT_COPY_H
#define CZ_COMPAT_COPY_H

/* 16: COPY's range table has permission infos; 18: and says which relations are left after
 * pruning */
#if CZ_PG_GE(18)
#define exec_init_copy_range_table_compat(estate, cstate) \
	ExecInitRangeTable(estate, (cstate)->range_table, (cstate)->rteperminfos, \
					   bms_make_singleton(1))
#elif CZ_PG_GE(16)
#define exec_init_copy_range_table_compat(estate, cstate) \
	ExecInitRangeTable(estate, (cstate)->range_table, (cstate)->rteperminfos)
#else
#define exec_init_copy_range_table_compat(estate, cstate) \
	ExecInitRangeTable(estate, (cstate)->range_table)
#endif

/* 17: COPY may go on after a row that cannot be read (ON_ERROR ignore) */
#if CZ_PG_GE(17)
#define copy_row_failed_compat(cstate) \
	((cstate)->opts.on_error != COPY_ON_ERROR_STOP && (cstate)->escontext->error_occurred && \
	 ((cstate)->escontext->error_occurred = false, true))
#define copy_failed_rows_compat(cstate) ((cstate)->num_errors)
#define copy_tells_failed_compat(cstate) \
	((cstate)->opts.log_verbosity >= COPY_LOG_VERBOSITY_DEFAULT)
#else
#define copy_row_failed_compat(cstate) false
#define copy_failed_rows_compat(cstate) UINT64CONST(0)
#define copy_tells_failed_compat(cstate) false
#define PROGRESS_COPY_TUPLES_SKIPPED 6
#endif

/* 18: COPY goes on after so many of them (REJECT_LIMIT); 0: any number */
#if CZ_PG_GE(18)
#define copy_reject_limit_compat(cstate) ((cstate)->opts.reject_limit)
#else
#define copy_reject_limit_compat(cstate) INT64CONST(0)
#endif

/* 16: COPY's defaults are found by column, and a string may stand for one; 17: ON_ERROR */
#if CZ_PG_GE(17)
#define copy_is_plain_compat(cstate) \
	((cstate)->opts.default_print == NULL && (cstate)->opts.on_error == COPY_ON_ERROR_STOP)
#elif CZ_PG_GE(16)
#define copy_is_plain_compat(cstate) ((cstate)->opts.default_print == NULL)
#else
#define copy_is_plain_compat(cstate) ((cstate)->convert_select_flags == NULL)
#endif
#if CZ_PG_GE(16)
#define copy_default_compat(cstate, i) ((cstate)->defexprs[(cstate)->defmap[i]])
#else
#define copy_default_compat(cstate, i) ((cstate)->defexprs[i])
#endif

#endif							/* CZ_COMPAT_COPY_H */
