/* A sizing plan: objectives, and candidates as changes to one scenario.
 *
 *     { "scenario": "base.json",
 *       "objectives": ["p99_ttft:500ms", "p99_tpot:50ms"],
 *       "gpus": ["h100-sxm", "l40s"], "tensor_parallel": [1, 2, 4],
 *       "settings": [{"name": "fp8", "pool": {"weight_dtype": "fp8"}}],
 *       "candidates": [{"pool": {"gpu": "h200-sxm"}, "replicas": [1, 8], "price_usd_per_h": 3}],
 *       "prices_usd_per_h": {"l40s": 1.1} }
 *
 * Candidates are gpus x tensor_parallel x settings, then those listed; without any the scenario's
 * own pool. Each becomes a scenario (size_cell.c). O(candidates * document). */
#include "rooftrace/catalog.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/gpu.h"
#include "rooftrace/price.h"
#include "size_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEGREE 1024
#define MOST       64 /* replicas tried, unless told */
#define MAX_PRICE  1e6
#define LEAST_CONF 0.5
#define MOST_CONF  0.999999

static const char *const keys[] = {
    "scenario",         "objectives", "gpus",  "tensor_parallel", "settings", "replicas",
    "candidates",       "confidence", "seeds", "decide",          "max_rate", "rate_precision",
    "prices_usd_per_h",
};
static const char *const setting_keys[] = {"name", "pool"};
static const char *const candidate_keys[] = {"name", "pool", "replicas", "price_usd_per_h"};

void rt_size_plan_release(struct rt_size_plan *p)
{
    for (unsigned i = 0; p->candidates && i < p->candidate_count; i++)
        rt_scenario_release(&p->candidates[i].scenario);
    free(p->candidates);
    free(p->objectives);
    memset(p, 0, sizeof *p);
}

struct reader {
    struct rt_json_at root; /* the plan */
    const struct rt_json *base;
    const struct rt_catalog *catalog;
    int64_t range[2];
    struct rt_size_plan *plan;
};

/* ---- candidates ---- */

static bool read_range(const struct rt_json_at *at, int64_t range[2], struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "replicas");

    if (place.node == NULL)
        return true;
    if (!rt_json_expect(&place, RT_JSON_ARRAY, err))
        return false;
    for (int i = 0; i < 2; i++) {
        struct rt_json_at item = rt_json_item(&place, i);
        double value;
        if (!rt_json_number(&item, 1, RT_MAX_REPLICAS, &value, err))
            return false;
        range[i] = (int64_t)value;
        if ((double)range[i] != value)
            return rt_json_fail(&item, err, "expected an integer, read %g", value);
    }
    if (rt_json_count(&place) != 2 || range[0] > range[1])
        return rt_json_fail(&place, err, "expected [least, most] replicas, least <= most");
    return true;
}

/* The price that `at` gives, else the one given for this GPU, else the catalogue's. The runs have
 * it as the price of their GPUs, so that `spend` and `pareto` agree. */
static bool read_price(const struct reader *r, const struct rt_json_at *at, struct rt_candidate *c,
                       struct rt_err *err)
{
    struct rt_json_at prices = rt_json_get(&r->root, "prices_usd_per_h");
    const struct rt_gpu *gpu = &c->scenario.fleet.pools[0].gpu;
    struct rt_pool_price *own = &c->scenario.fleet.pools[0].price;

    if (own->known)
        c->usd_per_h = own->usd_per_gpu_h;
    for (int i = 0; i < rt_json_count(&prices); i++) {
        struct rt_json_at member = rt_json_member(&prices, i);
        struct rt_gpu named;
        double price;
        if (!rt_catalog_gpu(r->catalog, member.key, &named, err))
            return rt_fail_in(err, "prices_usd_per_h");
        if (!rt_json_number(&member, 0, MAX_PRICE, &price, err))
            return false;
        if (strcmp(named.name, gpu->name) == 0)
            c->usd_per_h = price;
    }
    if (!rt_json_double(at, "price_usd_per_h", 0, MAX_PRICE, &c->usd_per_h, err))
        return false;
    if (!isnan(c->usd_per_h) && !(own->known && own->usd_per_gpu_h == c->usd_per_h))
        *own = (struct rt_pool_price){.known = true,
                                      .own = true,
                                      .usd_per_gpu_h = c->usd_per_h,
                                      .low = c->usd_per_h,
                                      .high = c->usd_per_h};
    return true;
}

static void name_candidate(struct rt_candidate *c, const char *setting)
{
    const struct rt_pool_spec *p = &c->scenario.fleet.pools[0];

    snprintf(c->name, sizeof c->name, "%s tp%" PRId64 "%s%.64s", p->gpu.name, p->parallel.tensor,
             setting[0] != '\0' ? " " : "", setting);
}

static bool same_name(const struct rt_size_plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->candidate_count; i++)
        if (strcmp(plan->candidates[i].name, name) == 0)
            return true;
    return false;
}

static bool grow(struct reader *r, struct rt_err *err)
{
    struct rt_size_plan *plan = r->plan;
    struct rt_candidate *more;

    if (plan->candidate_count == RT_SIZE_MAX_CANDIDATES)
        return rt_json_fail(&r->root, err, "expected at most %d candidates",
                            RT_SIZE_MAX_CANDIDATES);
    more = realloc(plan->candidates, (plan->candidate_count + 1) * sizeof more[0]);
    if (!more)
        return rt_fail_nomem(err, "candidates");
    plan->candidates = more;
    return true;
}

static bool add_candidate(struct reader *r, const struct size_cell *cell, struct rt_err *err)
{
    struct rt_size_plan *plan = r->plan;
    struct rt_candidate *c;
    int64_t range[2] = {r->range[0], r->range[1]};

    if (!grow(r, err) || !read_range(&cell->price, range, err))
        return false;
    c = &plan->candidates[plan->candidate_count];
    memset(c, 0, sizeof *c);
    c->usd_per_h = (double)NAN;
    if (!size_cell_parse(r->base, r->catalog, cell, &c->scenario, err))
        return false;
    c->min_replicas = range[0];
    c->max_replicas = range[1];
    name_candidate(c, cell->name);
    if (same_name(plan, c->name)) {
        rt_scenario_release(&c->scenario);
        return rt_json_fail(&cell->price, err, "two candidates are called \"%s\": give a name",
                            c->name);
    }
    plan->candidate_count++;
    return read_price(r, &cell->price, c, err);
}

/* ---- the grid, and the list ---- */

/* Is the place a list with something in it, each of a kind? *count: 1 when it is absent. */
static bool open_axis(const struct rt_json_at *at, enum rt_json_kind kind, int *count,
                      struct rt_err *err)
{
    *count = 1;
    if (at->node == NULL)
        return true;
    if (!rt_json_expect(at, RT_JSON_ARRAY, err))
        return false;
    *count = rt_json_count(at);
    for (int i = 0; i < *count; i++) {
        struct rt_json_at item = rt_json_item(at, i);
        if (kind != RT_JSON_ABSENT && !rt_json_expect(&item, kind, err))
            return false;
    }
    return *count > 0 || rt_json_fail(at, err, "expected at least one, read none");
}

/* The name and the pool of a setting or a listed candidate. */
static bool read_entry(const struct rt_json_at *at, const char *const *known, unsigned count,
                       struct size_cell *cell, struct rt_err *err)
{
    if (!rt_json_only(at, known, count, err) || !rt_json_string(at, "name", &cell->name, err))
        return false;
    cell->pool = rt_json_get(at, "pool");
    return cell->pool.node == NULL || rt_json_expect(&cell->pool, RT_JSON_OBJECT, err);
}

static bool add_settings(struct reader *r, struct size_cell *cell, struct rt_err *err)
{
    struct rt_json_at settings = rt_json_get(&r->root, "settings");
    int count;

    if (!open_axis(&settings, RT_JSON_OBJECT, &count, err))
        return false;
    for (int i = 0; i < count; i++) {
        struct rt_json_at item = rt_json_item(&settings, i);
        cell->name = "";
        if ((settings.node != NULL &&
             !read_entry(&item, setting_keys, sizeof setting_keys / sizeof setting_keys[0], cell,
                         err)) ||
            !add_candidate(r, cell, err))
            return false;
    }
    return true;
}

static bool add_grid(struct reader *r, struct rt_err *err)
{
    struct rt_json_at gpus = rt_json_get(&r->root, "gpus");
    struct rt_json_at degrees = rt_json_get(&r->root, "tensor_parallel");
    int gpu_count, degree_count;

    if (!open_axis(&gpus, RT_JSON_ABSENT, &gpu_count, err) ||
        !open_axis(&degrees, RT_JSON_NUMBER, &degree_count, err))
        return false;
    for (int g = 0; g < gpu_count; g++)
        for (int d = 0; d < degree_count; d++) {
            struct size_cell cell = {.pool = {.doc = r->root.doc}, .price = {.doc = r->root.doc}};
            cell.gpu = rt_json_item(&gpus, g);
            cell.degree = rt_json_item(&degrees, d);
            if (!add_settings(r, &cell, err))
                return false;
        }
    return true;
}

static bool add_listed(struct reader *r, struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(&r->root, "candidates");
    int count;

    if (list.node == NULL)
        return true;
    if (!open_axis(&list, RT_JSON_OBJECT, &count, err))
        return false;
    for (int i = 0; i < count; i++) {
        struct rt_json_at item = rt_json_item(&list, i);
        struct size_cell cell = {.price = item, .name = ""};
        cell.gpu.doc = cell.degree.doc = r->root.doc;
        if (!read_entry(&item, candidate_keys, sizeof candidate_keys / sizeof candidate_keys[0],
                        &cell, err) ||
            !add_candidate(r, &cell, err))
            return false;
    }
    return true;
}

/* ---- the whole plan ---- */

/* The text at the place itself. */
static bool element_text(const struct rt_json_at *list, int i, char text[RT_SIZE_TEXT],
                         struct rt_err *err)
{
    struct rt_json_at item = rt_json_item(list, i);
    char *quoted;
    size_t len;

    if (!rt_json_expect(&item, RT_JSON_STRING, err))
        return false;
    quoted = rt_json_print(&item);
    if (!quoted)
        return rt_fail_nomem(err, "objectives");
    len = strlen(quoted) - 2;
    snprintf(text, RT_SIZE_TEXT, "%.*s", (int)(len < RT_SIZE_TEXT ? len : RT_SIZE_TEXT - 1),
             quoted + 1);
    free(quoted);
    return true;
}

static bool read_objectives(struct reader *r, struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(&r->root, "objectives");
    int count = rt_json_count(&list);

    if (!rt_json_need(&r->root, "objectives", err) || !rt_json_expect(&list, RT_JSON_ARRAY, err))
        return false;
    if (count < 1 || count > RT_SIZE_MAX_OBJECTIVES)
        return rt_json_fail(&list, err, "expected 1 to %d objectives, read %d",
                            RT_SIZE_MAX_OBJECTIVES, count);
    r->plan->objectives = calloc((size_t)count, sizeof r->plan->objectives[0]);
    if (!r->plan->objectives)
        return rt_fail_nomem(err, "objectives");
    for (int i = 0; i < count; i++) {
        struct rt_json_at item = rt_json_item(&list, i);
        char text[RT_SIZE_TEXT];
        if (!element_text(&list, i, text, err))
            return false;
        if (!rt_objective_read(text, &r->plan->objectives[i], err)) {
            struct rt_err why = *err;
            return rt_json_fail(&item, err, "%s", why.msg);
        }
        r->plan->objective_count++;
    }
    return true;
}

static bool read_rules(struct reader *r, struct rt_err *err)
{
    static const char *const ways[] = {"interval", "point"};
    struct rt_size_plan *p = r->plan;
    struct rt_json_at prices = rt_json_get(&r->root, "prices_usd_per_h");
    int64_t seeds = p->seeds;
    unsigned way = 0;

    if (!rt_json_double(&r->root, "confidence", LEAST_CONF, MOST_CONF, &p->confidence, err) ||
        !rt_json_int(&r->root, "seeds", 1, RT_SIZE_MAX_SEEDS, &seeds, err) ||
        !rt_json_choice(&r->root, "decide", ways, 2, &way, err) ||
        !rt_json_bool(&r->root, "max_rate", &p->max_rate, err) ||
        !rt_json_double(&r->root, "rate_precision", 1e-3, 1, &p->precision, err) ||
        !read_range(&r->root, r->range, err) ||
        (prices.node != NULL && !rt_json_expect(&prices, RT_JSON_OBJECT, err)))
        return false;
    p->seeds = (unsigned)seeds;
    p->point = way == 1;
    return true;
}

static bool check_loads(const struct rt_size_plan *p, struct rt_err *err)
{
    const struct rt_workload_spec *w = &p->candidates[0].scenario.workload;
    bool drawn = w->synthetic.requests > 0 || w->load.arrivals == RT_ARRIVALS_RATE ||
                 w->load.arrivals == RT_ARRIVALS_PROFILE;

    if (p->seeds > 1 && !drawn)
        return rt_fail(err, RT_ECONFIG,
                       "seeds: nothing of this workload is drawn, every seed would give the same "
                       "trial; blocks of the trace tell what its requests are worth");
    if (p->max_rate && (w->load.arrivals == RT_ARRIVALS_AT_ONCE || w->load.max_concurrency > 0))
        return rt_fail(err, RT_ECONFIG,
                       "max_rate: requests that come at once, or when others have left, have no "
                       "rate of their own");
    return true;
}

static bool read_plan(struct reader *r, struct rt_err *err)
{
    struct rt_json_at grid[3] = {rt_json_get(&r->root, "gpus"),
                                 rt_json_get(&r->root, "tensor_parallel"),
                                 rt_json_get(&r->root, "settings")};
    struct rt_json_at listed = rt_json_get(&r->root, "candidates");
    bool has_grid = grid[0].node != NULL || grid[1].node != NULL || grid[2].node != NULL;

    return size_base_check(r->base, err) && read_rules(r, err) && read_objectives(r, err) &&
           ((listed.node != NULL && !has_grid) || add_grid(r, err)) && add_listed(r, err) &&
           check_loads(r->plan, err);
}

/* The plan's own scenario: a path beside it, or an object. */
static bool own_scenario(const struct rt_json_at *root, struct rt_json **out, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "scenario");
    const char *path = NULL;
    char *text;
    bool ok;

    if (!rt_json_need(root, "scenario", err))
        return false;
    if (rt_json_kind(&at) == RT_JSON_OBJECT) {
        text = rt_json_print(&at);
        ok = text != NULL ? rt_json_parse(text, strlen(text), rt_json_name(root->doc), out, err)
                          : rt_fail_nomem(err, "scenario");
    } else {
        if (!rt_json_string(root, "scenario", &path, err))
            return false;
        text = rt_path_beside(rt_json_name(root->doc), path);
        ok = text != NULL ? rt_json_load(text, out, err) : rt_fail_nomem(err, "scenario");
    }
    free(text);
    return ok;
}

bool rt_size_plan_parse(const struct rt_json_at *root, const struct rt_json *scenario,
                        const struct rt_catalog *catalog, struct rt_size_plan *out,
                        struct rt_err *err)
{
    struct rt_json *own = NULL;
    struct reader r = {.root = *root, .catalog = catalog, .range = {1, MOST}, .plan = out};
    bool ok;

    *out = (struct rt_size_plan){.confidence = 0.99, .seeds = 1, .precision = 0.01};
    if (!rt_json_expect(root, RT_JSON_OBJECT, err) ||
        !rt_json_only(root, keys, sizeof keys / sizeof keys[0], err) ||
        (scenario == NULL && !own_scenario(root, &own, err)))
        return false;
    r.base = scenario != NULL ? scenario : own;
    ok = read_plan(&r, err);
    rt_json_free(own);
    if (!ok)
        rt_size_plan_release(out);
    return ok;
}
