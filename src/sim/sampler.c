/* Samples in bounded memory: when the points are full, neighbours merge into their mean and the
 * interval doubles. All points then stand for equally many instants, so plain means stay right. */
#include "sim_internal.h"

#include <math.h>
#include <stdlib.h>

bool sampler_init(struct sampler *s, double interval_s, uint32_t pools)
{
    double ns = interval_s * 1e9;
    s->count = 0;
    s->interval_ns = ns < 1.0 ? 1 : ns >= 0x1p62 ? INT64_C(1) << 62 : (int64_t)llround(ns);
    s->series = pools > 1 ? 1 + pools : 1;
    s->points = calloc(s->series, RT_MAX_SAMPLES * sizeof s->points[0]);
    s->now = calloc(s->series, sizeof s->now[0]);
    return s->points && s->now;
}

void sampler_release(struct sampler *s)
{
    free(s->points);
    free(s->now);
}

static struct rt_sample mean_of(const struct rt_sample *a, const struct rt_sample *b)
{
    return (struct rt_sample){.time_ns = a->time_ns,
                              .running = (a->running + b->running) / 2,
                              .waiting = (a->waiting + b->waiting) / 2,
                              .kv_blocks_used = (a->kv_blocks_used + b->kv_blocks_used) / 2,
                              .in_flight = (a->in_flight + b->in_flight) / 2,
                              .serving = (a->serving + b->serving) / 2,
                              .pool = a->pool};
}

static void merge(struct sampler *s)
{
    for (uint32_t n = 0; n < s->series; n++) {
        struct rt_sample *points = s->points + (size_t)n * RT_MAX_SAMPLES;
        for (size_t i = 0; i < RT_MAX_SAMPLES / 2; i++)
            points[i] = mean_of(&points[2 * i], &points[2 * i + 1]);
    }
    s->count = RT_MAX_SAMPLES / 2;
    if (s->interval_ns < INT64_C(1) << 61)
        s->interval_ns *= 2;
}

void sampler_add(struct sampler *s)
{
    if (s->count == RT_MAX_SAMPLES)
        merge(s);
    for (uint32_t n = 0; n < s->series; n++)
        s->points[(size_t)n * RT_MAX_SAMPLES + s->count] = s->now[n];
    s->count++;
}
