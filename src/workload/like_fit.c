/* like_fit.c: a trace as units that synth_like.c resamples.
 *
 *     file -> rows in time order -> units (rows that share a session or block names)
 *          -> gaps between the starts of units; lengths sorted by class
 *
 * Failure: what reading the trace says; a trace without requests, or of more than 2^31. Memory: 96
 * bytes a row and 8 a block name, while reading 32 a name more. O(n log n). */
#include "like_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS ((size_t)1 << 31)

/* ---- reading ---- */

static void *grown(void *items, size_t *capacity, size_t wanted, size_t item_bytes)
{
    if (wanted <= *capacity)
        return items;
    size_t more = wanted > 2 * *capacity ? wanted + 1024 : 2 * *capacity;
    void *moved = realloc(items, more * item_bytes);
    if (moved != NULL)
        *capacity = more;
    return moved;
}

static bool add_row(struct rt_like_fit *f, const struct rt_request *r, uint32_t session)
{
    struct rt_like_row *rows = grown(f->rows, &f->row_capacity, f->row_count + 1, sizeof *f->rows);
    uint64_t *codes = r->hash_count == 0 ? f->codes
                                         : grown(f->codes, &f->code_capacity,
                                                 f->code_count + r->hash_count, sizeof *f->codes);
    f->rows = rows != NULL ? rows : f->rows;
    f->codes = codes != NULL ? codes : f->codes;
    if (rows == NULL || (codes == NULL && r->hash_count > 0))
        return false;
    rows[f->row_count++] = (struct rt_like_row){
        .arrival_ns = r->arrival_ns,
        .prompt_tokens = r->prompt_tokens > 0 ? r->prompt_tokens : 1,
        .output_tokens = r->output_tokens > 0 ? r->output_tokens : 1,
        .think_ns = r->think_ns,
        .deadline_ns = r->deadline_ns,
        .place = r->id,
        .first_code = f->code_count,
        .id_count = r->hash_count,
        .class_name = r->class_name,
        .model_name = r->model_name,
        .tenant_name = r->tenant_name,
        .session = session,
        .priority = r->priority,
    };
    if (r->hash_count > 0)
        memcpy(f->codes + f->code_count, r->hash_ids, r->hash_count * sizeof *f->codes);
    f->code_count += r->hash_count;
    return true;
}

static bool read_rows(struct rt_like_fit *f, struct rt_names *sessions, struct rt_err *err)
{
    struct rt_request r;
    int found;
    while ((found = rt_trace_read(f->trace, &r, err)) == 1) {
        uint32_t session = 0;
        if (r.session != NULL &&
            !rt_names_add(sessions, r.session, strlen(r.session), &session, err))
            return false;
        if (f->row_count == MAX_ROWS)
            return rt_fail(err, RT_ETRACE, "%s: expected at most 2^31 requests to resample",
                           rt_trace_info(f->trace)->path);
        if (!add_row(f, &r, session))
            return rt_fail_nomem(err, "rows of a trace");
    }
    if (found == 0 && f->row_count == 0)
        return rt_fail(err, RT_ETRACE, "%s: expected requests, read none",
                       rt_trace_info(f->trace)->path);
    return found == 0;
}

static int by_time(const void *a, const void *b)
{
    const struct rt_like_row *x = a, *y = b;
    if (x->arrival_ns != y->arrival_ns)
        return x->arrival_ns < y->arrival_ns ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* ---- units ---- */

/* Rows of one session are one unit. */
static bool join_sessions(struct rt_like_fit *f, struct rt_like_sets *sets, uint32_t count,
                          struct rt_err *err)
{
    uint32_t *first = malloc(((size_t)count + 1) * sizeof *first);
    if (first == NULL)
        return rt_fail_nomem(err, "sessions of a trace");
    memset(first, 0xff, ((size_t)count + 1) * sizeof *first);
    for (uint32_t row = 0; row < f->row_count; row++) {
        uint32_t session = f->rows[row].session;
        if (session != 0 && first[session] != UINT32_MAX)
            rt_like_join(sets, first[session], row);
        else
            first[session] = row;
    }
    free(first);
    return true;
}

static int by_unit(const void *a, const void *b)
{
    const struct rt_like_row *x = a, *y = b;
    if (x->unit != y->unit)
        return x->unit < y->unit ? -1 : 1;
    return by_time(a, b);
}

/* Roots are the first rows of their units, so units are numbered by their start. */
static bool make_units(struct rt_like_fit *f, struct rt_like_sets *sets, struct rt_err *err)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < f->row_count; row++) {
        uint32_t root = rt_like_find(sets, row);
        f->rows[row].unit = root == row ? count++ : f->rows[root].unit;
    }
    assert(count > 0); /* the first row is a root */
    f->units = calloc(count > 0 ? count : 1, sizeof *f->units);
    if (f->units == NULL)
        return rt_fail_nomem(err, "units of a trace");
    f->unit_count = count;
    qsort(f->rows, f->row_count, sizeof *f->rows, by_unit);
    for (size_t i = f->row_count; i-- > 0;) {
        struct rt_like_unit *u = &f->units[f->rows[i].unit];
        u->first_row = i;
        u->row_count++;
        u->start_ns = f->rows[i].arrival_ns;
    }
    return true;
}

/* Sessions are numbered within their unit, from 1; a session is in one unit only. */
static bool number_sessions(struct rt_like_fit *f, uint32_t count, struct rt_err *err)
{
    uint32_t *numbers = calloc((size_t)count + 1, sizeof *numbers);
    if (numbers == NULL)
        return rt_fail_nomem(err, "sessions of a trace");
    for (size_t i = 0; i < f->row_count; i++) {
        uint32_t *session = &f->rows[i].session;
        if (*session != 0 && numbers[*session] == 0)
            numbers[*session] = ++f->units[f->rows[i].unit].sessions;
        *session = numbers[*session];
    }
    free(numbers);
    return true;
}

/* The gap before the first unit closes the circle: all gaps together are the span of the trace and
 * one mean gap between requests. */
static void measure_units(struct rt_like_fit *f, int64_t first_ns, int64_t last_ns)
{
    int64_t mean = f->row_count > 1 ? (last_ns - first_ns) / (int64_t)(f->row_count - 1) : 0;
    int64_t last_start = f->units[f->unit_count - 1].start_ns;
    f->units[0].gap_ns = last_ns - last_start + (mean > 0 ? mean : 1000000000);
    for (size_t i = 1; i < f->unit_count; i++)
        f->units[i].gap_ns = f->units[i].start_ns - f->units[i - 1].start_ns;
    for (size_t i = 0; i < f->row_count; i++) {
        int64_t since = f->rows[i].arrival_ns - f->units[f->rows[i].unit].start_ns;
        f->longest_ns = since > f->longest_ns ? since : f->longest_ns;
    }
}

static bool group_rows(struct rt_like_fit *f, uint32_t session_count, struct rt_err *err)
{
    struct rt_like_sets sets = {malloc(f->row_count * sizeof *sets.parent)};
    struct rt_like_blocks *blocks = NULL;
    int64_t first_ns = f->rows[0].arrival_ns, last_ns = f->rows[f->row_count - 1].arrival_ns;
    if (sets.parent == NULL)
        return rt_fail_nomem(err, "units of a trace");
    for (uint32_t i = 0; i < f->row_count; i++)
        sets.parent[i] = i;
    bool ok = join_sessions(f, &sets, session_count, err) &&
              rt_like_blocks_new(f, &sets, &blocks, err) && make_units(f, &sets, err) &&
              number_sessions(f, session_count, err);
    if (ok) {
        rt_like_blocks_code(blocks, f);
        measure_units(f, first_ns, last_ns);
    }
    rt_like_blocks_free(blocks);
    free(sets.parent);
    return ok;
}

/* ---- lengths ---- */

struct length { /* of a row, to be sorted */
    int64_t tokens;
    uint32_t class_name, row;
};

static int by_length(const void *a, const void *b)
{
    const struct length *x = a, *y = b;
    if (x->class_name != y->class_name)
        return x->class_name < y->class_name ? -1 : 1;
    if (x->tokens != y->tokens)
        return x->tokens < y->tokens ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void sort_lengths(struct rt_like_fit *f, struct length *scratch, bool output)
{
    for (uint32_t i = 0; i < f->row_count; i++) {
        const struct rt_like_row *r = &f->rows[i];
        scratch[i] =
            (struct length){output ? r->output_tokens : r->prompt_tokens, r->class_name, i};
    }
    qsort(scratch, f->row_count, sizeof *scratch, by_length);
    for (uint32_t i = 0; i < f->row_count; i++) {
        struct rt_like_row *r = &f->rows[scratch[i].row];
        *(output ? &r->output_rank : &r->prompt_rank) = i;
        (output ? f->outputs : f->prompts)[i] = scratch[i].tokens;
        if (i == 0 || scratch[i].class_name != scratch[i - 1].class_name)
            f->ranges[r->class_name].from = i;
        f->ranges[r->class_name].to = i + 1;
    }
}

static bool rank_lengths(struct rt_like_fit *f, struct rt_err *err)
{
    struct length *scratch = malloc(f->row_count * sizeof *scratch);
    f->prompts = malloc(f->row_count * sizeof *f->prompts);
    f->outputs = malloc(f->row_count * sizeof *f->outputs);
    f->ranges = calloc(f->trace->names.count, sizeof *f->ranges);
    bool ok = scratch != NULL && f->prompts != NULL && f->outputs != NULL && f->ranges != NULL;
    if (ok) {
        sort_lengths(f, scratch, false);
        sort_lengths(f, scratch, true);
    }
    free(scratch);
    return ok || rt_fail_nomem(err, "lengths of a trace");
}

bool rt_like_fit(const struct rt_trace_ref *from, struct rt_like_fit *f, struct rt_err *err)
{
    struct rt_names sessions;
    *f = (struct rt_like_fit){.trace = NULL};
    if (!rt_trace_open(from->path, from->format, &f->trace, err) ||
        !rt_names_init(&sessions, UINT32_MAX - 1, err)) {
        rt_like_fit_release(f);
        return false;
    }
    bool ok = read_rows(f, &sessions, err);
    uint32_t session_count = sessions.count;
    rt_names_release(&sessions);
    if (ok) {
        qsort(f->rows, f->row_count, sizeof *f->rows, by_time);
        ok = group_rows(f, session_count, err) && rank_lengths(f, err);
    }
    if (!ok)
        rt_like_fit_release(f);
    return ok;
}

void rt_like_fit_release(struct rt_like_fit *f)
{
    rt_trace_free(f->trace);
    free(f->rows);
    free(f->units);
    free(f->codes);
    free(f->prompts);
    free(f->outputs);
    free(f->ranges);
    *f = (struct rt_like_fit){.trace = NULL};
}
