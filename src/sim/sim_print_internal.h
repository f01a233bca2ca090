/* sim/sim_print_internal.h: a JSON text under construction, and records printed into it.
 *
 * Members come one by one; commas, indentation and escapes are the writer's work. A double is
 * written so that it reads back as the same double. Memory running out is remembered and reported
 * once, by rt_writer_take. */
#ifndef RT_SIM_PRINT_INTERNAL_H
#define RT_SIM_PRINT_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"

#include <stddef.h>

struct rt_writer {
    char *text;
    size_t len, capacity;
    unsigned depth;
    bool first;  /* nothing written yet in the innermost object or array; true at the start */
    bool failed; /* out of memory */
    bool bits;   /* doubles as their bits, in hexadecimal: exact, and quicker than decimals */
};

/* The finished text with a newline at its end, malloc'ed; NULL: out of memory. */
char *rt_writer_take(struct rt_writer *w) RT_MUST_USE;

/* key = NULL: an element of an array, or the root. */
void rt_writer_open(struct rt_writer *w, const char *key, char bracket);
void rt_writer_close(struct rt_writer *w, char bracket);
void rt_writer_string(struct rt_writer *w, const char *key, const char *value);
void rt_writer_int(struct rt_writer *w, const char *key, int64_t value);
void rt_writer_double(struct rt_writer *w, const char *key, double value);
void rt_writer_pair(struct rt_writer *w, const char *key, const double pair[2]);
void rt_writer_bool(struct rt_writer *w, const char *key, bool value);
/* A number that is read back times `unit`: the text whose value times unit is exactly `value`, if
 * there is one. rt_writer_settle answers value, or the neighbour that has such a text. */
void rt_writer_in_unit(struct rt_writer *w, const char *key, double value, double unit);
double rt_writer_settle(double value, double unit);

/* Complete records: rt_catalog_gpu_from and rt_catalog_model_from read the same values back. */
void rt_writer_gpu(struct rt_writer *w, const char *key, const struct rt_gpu *g);
void rt_writer_model(struct rt_writer *w, const char *key, const struct rt_model *m);

/* The section workload.synthetic: rt_synthetic_parse reads the same traffic back. */
struct rt_synthetic;
void rt_writer_synthetic(struct rt_writer *w, const struct rt_synthetic *s);

/* Moves constants that were computed (defaults scaled by bandwidth) by at most a unit of the last
 * place, so that rt_writer_gpu has an exact text for each. */
void rt_gpu_settle(struct rt_gpu *g);

#endif
