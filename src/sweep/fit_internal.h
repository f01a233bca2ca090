/* fit_internal.h: a fit to a log of requests (fit_requests.c) and its search (fit_search.c). */
#ifndef RT_FIT_INTERNAL_H
#define RT_FIT_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/fit_requests.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/request_log.h"
#include "rooftrace/scenario.h"

struct measured { /* requests of the log by number; with outcomes of the same index */
    const struct rt_log_row **row;
    size_t count;
};

struct outcome { /* of a request; NaN: not finished, or it has no such time */
    double time_s[RT_FIT_METRICS];
};

struct fit_knob {
    const char *name, *exposed; /* where the engine does not overlap the host */
    double min, max;
    double width; /* what the first round of the search moves it by, or 15 % of a larger value */
};
extern const struct fit_knob fit_knobs[RT_FIT_KNOBS];

struct fit {
    struct rt_scenario *s;
    const struct measured *log;
    struct rt_gpu_constants first;
    struct outcome *out; /* of the last simulation, or a guess of one */
    double *scratch;     /* 3 * count */
    unsigned count, evaluations;
    struct rt_err *err;
    bool exposed; /* the GPU waits for the host: host_sync_* are in force, not host_* */
};

/* Simulates with these values; *error is how far the even requests are off. */
bool fit_try(struct fit *f, const double *value, double *error) RT_MUST_USE;
double fit_error(const struct fit *f); /* of what is in f->out */

/* Moves the values, which are within their ranges, to where the error is least; simulates so many
 * times at most. */
bool fit_search(struct fit *f, unsigned evaluations, double *value) RT_MUST_USE;

#endif
