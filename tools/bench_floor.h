/* bench_floor.h: the time SQLite needs to insert the rows of a database into a fresh one: what the
 * benchmark compares with. Private to tools/. */
#ifndef RT_BENCH_FLOOR_H
#define RT_BENCH_FLOOR_H

#include "rooftrace/err.h"

#include <stdint.h>

struct bench_floor {  /* seconds, best of the runs; 0 before the first */
    double plain_s;   /* a row a statement */
    double batched_s; /* as many as the store gives one */
};

/* Takes the rows of FOLDER/bench.db, which must be `rows` many, and removes it. */
bool bench_floor(const char *folder, int runs, uint64_t rows, struct bench_floor *out,
                 struct rt_err *err) RT_MUST_USE;

double bench_seconds(void); /* monotonic clock */
void bench_keep_best(double *best, double value);
void bench_path(const char *folder, const char *name, char path[1024]); /* removes an older file */

#endif
