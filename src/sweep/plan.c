/* A plan as a whole: loaded, every trial resolved once, hashed.
 *
 * Nothing of a trial is kept: 100,000 of them take no more memory than one. A sweep resolves each
 * again when its turn comes. */
#include "plan_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A sweep reads a trace more than once. */
static bool check_trace(const char *path, struct rt_err *err)
{
    if (path == NULL || path[0] == '\0')
        return true; /* synthetic */
    if (strcmp(path, "-") == 0)
        return rt_fail(err, RT_ECONFIG,
                       "expected a trace file: a sweep reads it for every trial, standard input "
                       "can be read once");
    return access(path, R_OK) == 0 ||
           rt_fail(err, RT_EIO, "%s: cannot open: %s", path, strerror(errno));
}

static bool check_traces(const struct rt_workload_spec *w, struct rt_err *err)
{
    for (uint32_t i = 0; i < w->mix_count; i++)
        if (!check_trace(w->mix[i].workload.trace, err))
            return false;
    return check_trace(w->trace, err);
}

/* FNV-1a (Fowler, Noll and Vo), 64 bits. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (const char *p = text;; p++) { /* the final NUL, too */
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001B3);
        if (*p == '\0')
            return hash;
    }
}

static bool visit_trial(const struct rt_plan *p, int64_t trial, uint64_t *hash, struct rt_err *err)
{
    struct rt_scenario scenario;
    char *varied, *text;
    bool ok;

    if (!rt_plan_trial(p, trial, &scenario, &varied, err))
        return false;
    ok = check_traces(&scenario.workload, err) || rt_plan_fail_in_trial(p, trial, varied, err);
    text = ok ? rt_scenario_identity(&scenario) : NULL;
    if (text != NULL)
        *hash = hash_text(hash_text(*hash, varied), text);
    else if (ok)
        ok = rt_fail_nomem(err, "a trial");
    free(text);
    free(varied);
    rt_scenario_release(&scenario);
    return ok;
}

static bool visit_all(struct rt_plan *p, struct rt_err *err)
{
    uint64_t hash = hash_text(UINT64_C(0xCBF29CE484222325), RT_VERSION);

    for (int64_t i = 1; i <= p->trials; i++)
        if (!visit_trial(p, i, &hash, err))
            return false;
    snprintf(p->hash, sizeof p->hash, "%016" PRIx64, hash);
    return true;
}

bool rt_plan_load(const char *path, const struct rt_catalog *catalog, struct rt_plan **out,
                  struct rt_err *err)
{
    struct rt_plan *p = calloc(1, sizeof *p);

    *out = NULL;
    if (p == NULL)
        return rt_fail_nomem(err, "the plan");
    p->catalog = catalog;
    p->list_count = p->grid_count = p->draws = p->seed_count = p->trials = p->draw_seed = 1;
    if (!rt_json_load(path, &p->doc, err) || !rt_plan_read(p, err) || !visit_all(p, err)) {
        rt_plan_free(p);
        return false;
    }
    *out = p;
    return true;
}

void rt_plan_free(struct rt_plan *p)
{
    if (p == NULL)
        return;
    rt_json_free(p->doc);
    rt_json_free(p->scenario_doc);
    free(p->scenario_name);
    free(p);
}

int64_t rt_plan_trials(const struct rt_plan *p)
{
    return p->trials;
}

unsigned rt_plan_key_count(const struct rt_plan *p)
{
    return p->key_count;
}

const char *rt_plan_key(const struct rt_plan *p, unsigned i)
{
    return p->keys[i];
}

const char *rt_plan_hash(const struct rt_plan *p)
{
    return p->hash;
}
