/* results/merge.h: the databases of a sweep's shards become one, as if one process had run all.
 *
 * Rows go in the order of run_id whatever the order of the shards. Runs that ended (complete or
 * failed) are taken; one in two shards is an error, and so are shards of different plans. The
 * result is resumed like any sweep's, which fills in what is missing. */
#ifndef RT_MERGE_H
#define RT_MERGE_H

#include "rooftrace/err.h"

#include <stdint.h>

#define RT_MERGE_MAX_SHARDS 400 /* all are open at once; merged files can be merged again */

struct rt_merge_report {
    int64_t trials;        /* of the plan */
    int64_t merged;        /* runs taken */
    int64_t failed;        /* of them with status failed */
    int64_t unfinished;    /* runs left out: running or interrupted */
    int64_t first_missing; /* trial without a run in `out`; 0: none */
};

/* `out` must be missing or empty; a failure leaves it as it was. */
bool rt_merge(const char *out, const char *const *shards, unsigned count,
              struct rt_merge_report *report, struct rt_err *err) RT_MUST_USE;

#endif
