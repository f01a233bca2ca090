/* Objectives as people write them:
 *
 *     p99_ttft:500ms             P99 of TTFT is at most 500 ms
 *     p99.9_e2e:30s@chat         of the requests of class chat
 *     share99_ttft:500ms         99 % of the requests have TTFT of at most 500 ms
 *     share95_ttft:500ms+tpot:50ms   95 % meet both
 *
 * A number without a unit is milliseconds, as in --goodput. O(length). */
#include "size_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(const char *text, struct rt_err *err)
{
    return rt_fail(err, RT_EUSAGE,
                   "expected an objective as p99_ttft:500ms, p99.9_e2e:30s@CLASS or "
                   "share99_ttft:500ms+tpot:50ms, read \"%.80s\"",
                   text);
}

/* A decimal number without sign, at the front of *text, which moves behind it. */
static bool read_number(const char **text, double *out)
{
    size_t len = strspn(*text, "0123456789.");
    char digits[32], *end;

    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, *text, len);
    digits[len] = '\0';
    *out = strtod(digits, &end);
    *text += len;
    return *end == '\0' && isfinite(*out);
}

/* "ttft:500ms"; *text moves behind it. */
static bool read_limit(const char **text, struct rt_slo *limit)
{
    static const struct {
        const char *name;
        size_t offset;
    } metrics[] = {{"ttft:", offsetof(struct rt_slo, ttft_s)},
                   {"tpot:", offsetof(struct rt_slo, tpot_s)},
                   {"e2e:", offsetof(struct rt_slo, e2e_s)},
                   {"e2el:", offsetof(struct rt_slo, e2e_s)}};
    double *place = NULL, value;

    for (unsigned i = 0; i < sizeof metrics / sizeof metrics[0] && !place; i++)
        if (strncmp(*text, metrics[i].name, strlen(metrics[i].name)) == 0) {
            place = (double *)(void *)((char *)limit + metrics[i].offset);
            *text += strlen(metrics[i].name);
        }
    if (!place || !isnan(*place) || !read_number(text, &value))
        return false;
    if (strncmp(*text, "ms", 2) == 0) {
        *text += 2;
        value /= 1e3;
    } else if (**text == 's') {
        *text += 1;
    } else {
        value /= 1e3;
    }
    *place = value;
    return value >= 1e-9 && value <= 9e9;
}

/* "p99_" or "share99_" */
static bool read_share(const char **text, struct rt_objective *o)
{
    double percent;

    o->attainment = strncmp(*text, "share", 5) == 0;
    if (!o->attainment && **text != 'p')
        return false;
    *text += o->attainment ? 5 : 1;
    if (!read_number(text, &percent) || percent <= 0 || percent >= 100 || **text != '_')
        return false;
    *text += 1;
    o->share = percent / 100;
    return true;
}

bool rt_objective_read(const char *text, struct rt_objective *out, struct rt_err *err)
{
    const double none = (double)NAN;
    const char *at = text;

    *out = (struct rt_objective){.limit = {none, none, none}};
    if (strlen(text) >= sizeof out->text || !read_share(&at, out) || !read_limit(&at, &out->limit))
        return fail(text, err);
    while (out->attainment && *at == '+') {
        at++;
        if (!read_limit(&at, &out->limit))
            return fail(text, err);
    }
    if (*at == '@' && at[1] != '\0' && strlen(at + 1) < sizeof out->class_name) {
        snprintf(out->class_name, sizeof out->class_name, "%s", at + 1);
        at += strlen(at);
    }
    if (*at != '\0')
        return fail(text, err);
    snprintf(out->text, sizeof out->text, "%s", text);
    return true;
}
