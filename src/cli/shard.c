/* Which part of a sweep this process runs: --shard I/N, from 1 to N; without it what a batch system
 * tells its tasks:
 *
 *     Slurm, sbatch --array    SLURM_ARRAY_TASK_ID, _COUNT, _MIN (0), _STEP (1)
 *     Kubernetes, Indexed Job  JOB_COMPLETION_INDEX, and JOB_COMPLETIONS, which the manifest sets
 *
 * A variable that is there and does not make sense is an error: every shard would run everything.
 */
#include "cli_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHARDS 100000

/* A whole decimal number from min to MAX_SHARDS * 1000 and nothing behind it. */
static bool read_number(const char *text, int64_t min, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(text, &end, 10);
    return end != text && *end == '\0' && text[0] >= '0' && text[0] <= '9' && errno == 0 &&
           *out >= min && *out <= INT64_C(1000) * MAX_SHARDS;
}

/* An unset variable has its usual value; -1: there is none. */
static bool read_variable(const char *name, int64_t usual, int64_t min, int64_t *out,
                          struct rt_err *err)
{
    const char *text = getenv(name);

    *out = usual;
    if (text == NULL && usual >= 0)
        return true;
    if (text == NULL)
        return rt_fail(err, RT_EUSAGE,
                       "%s is not set, though this is a task of an array: give --shard I/N", name);
    return read_number(text, min, out) ||
           rt_fail(err, RT_EUSAGE, "%s: expected a whole number, read \"%.32s\"", name, text);
}

static bool set(struct cli_shard *out, int64_t index, int64_t count, const char *from,
                struct rt_err *err)
{
    if (index < 0 || count < 1 || index >= count || count > MAX_SHARDS)
        return rt_fail(err, RT_EUSAGE,
                       "%s: shard %lld of %lld: expected 1 to %lld of at most %d: give --shard I/N",
                       from, (long long)index + 1, (long long)count, (long long)count, MAX_SHARDS);
    *out = (struct cli_shard){(unsigned)index, (unsigned)count, from};
    return true;
}

static bool from_slurm(struct cli_shard *out, struct rt_err *err)
{
    int64_t id, count, min, step;

    return read_variable("SLURM_ARRAY_TASK_ID", -1, 0, &id, err) &&
           read_variable("SLURM_ARRAY_TASK_COUNT", -1, 1, &count, err) &&
           read_variable("SLURM_ARRAY_TASK_MIN", 0, 0, &min, err) &&
           read_variable("SLURM_ARRAY_TASK_STEP", 1, 1, &step, err) &&
           set(out, id >= min ? (id - min) / step : -1, count, "SLURM_ARRAY_TASK_ID", err);
}

static bool from_kubernetes(struct cli_shard *out, struct rt_err *err)
{
    int64_t index, count;

    return read_variable("JOB_COMPLETION_INDEX", -1, 0, &index, err) &&
           read_variable("JOB_COMPLETIONS", -1, 1, &count, err) &&
           set(out, index, count, "JOB_COMPLETION_INDEX", err);
}

static bool from_text(const char *text, struct cli_shard *out, struct rt_err *err)
{
    char index[16];
    int64_t i, n;
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : sizeof index;

    if (len < sizeof index) {
        memcpy(index, text, len);
        index[len] = '\0';
        if (read_number(index, 1, &i) && read_number(slash + 1, 1, &n) && i <= n &&
            n <= MAX_SHARDS) {
            *out = (struct cli_shard){(unsigned)(i - 1), (unsigned)n, NULL};
            return true;
        }
    }
    return rt_fail(err, RT_EUSAGE,
                   "--shard: expected I/N such as 1/4, with 1 <= I <= N <= %d, read "
                   "\"%.32s\"",
                   MAX_SHARDS, text);
}

bool cli_shard(const struct rt_options *o, struct cli_shard *out, struct rt_err *err)
{
    const char *text = rt_options_text(o, "--shard", NULL);

    *out = (struct cli_shard){0, 1, NULL};
    if (text != NULL)
        return from_text(text, out, err);
    if (getenv("SLURM_ARRAY_TASK_ID") != NULL)
        return from_slurm(out, err);
    if (getenv("JOB_COMPLETION_INDEX") != NULL)
        return from_kubernetes(out, err);
    return true;
}

char *cli_shard_path(const char *output, const struct cli_shard *shard)
{
    size_t len = strlen(output), size = len + 48;
    size_t stem = len >= 3 && strcmp(output + len - 3, ".db") == 0 ? len - 3 : len;
    char *path = malloc(size);

    if (path == NULL)
        return NULL;
    if (shard->count == 1)
        memcpy(path, output, len + 1);
    else
        snprintf(path, size, "%.*s.%u-of-%u%s", (int)stem, output, shard->index + 1, shard->count,
                 output + stem);
    return path;
}
