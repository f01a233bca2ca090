/* Tables size_candidate, size_trial and size_check, and the number after which runs may be added.
 * All rows of a call of `rooftrace size` go in one transaction: they are there or not. O(rows). */
#include "results_internal.h"

#include "rooftrace/size_rows.h"

#include <math.h>

const char *const rt_verdict_names[4] = {"pass", "fail", "undecided", "infeasible"};
const char *const rt_binds_names[RT_BINDS_COUNT] = {
    "nothing",         "KV memory full", "batch seats full (max_num_seqs)",
    "compute",         "queueing",       "prefill interference",
    "decode bandwidth"};

static void put_fleet(struct rt_insert *in, const struct rt_size_trial *t)
{
    if (!t) {
        for (int i = 0; i < 4; i++)
            rt_put_null(in);
        return;
    }
    rt_put_int(in, t->replicas);
    rt_put_int(in, t->gpus);
    rt_put_real(in, t->rate);
    rt_put_real(in, t->usd_per_h);
}

static void put_run(struct rt_insert *in, const struct rt_size_trial *t)
{
    if (t)
        rt_put_int(in, t->run_id);
    else
        rt_put_null(in);
}

static bool insert_candidate(struct rt_insert *in, const struct rt_size_result *r, unsigned i,
                             int64_t size_id, struct rt_err *err)
{
    const struct rt_size_row *row = &r->rows[i];
    const struct rt_size_trial *best = row->best >= 0 ? &row->trials[row->best] : NULL;
    const struct rt_size_trial *next = row->next >= 0 ? &row->trials[row->next] : NULL;
    const struct rt_size_trial *bound = next ? next : best;

    rt_put_int(in, size_id);
    rt_put_text(in, row->name);
    rt_put_text(in, row->gpu);
    rt_put_int(in, row->tensor_parallel);
    rt_put_text(in, rt_verdict_names[row->verdict]);
    rt_put_text(in, row->reason);
    rt_put_int(in, (int)i == r->chosen);
    put_fleet(in, best);
    rt_put_text(in, bound ? rt_binds_names[bound->binds] : NULL);
    put_run(in, best);
    put_run(in, next);
    rt_put_int(in, row->monotone);
    rt_put_real(in, (int)i == r->chosen ? r->headroom_rate : (double)NAN);
    return rt_insert_row(in, err);
}

static bool insert_trial(struct rt_insert *in, const char *candidate, const struct rt_size_trial *t,
                         int64_t size_id, struct rt_err *err)
{
    rt_put_int(in, size_id);
    rt_put_text(in, candidate);
    rt_put_int(in, t->replicas);
    rt_put_real(in, t->rate);
    rt_put_real(in, t->requests_per_s);
    rt_put_int(in, t->gpus);
    rt_put_real(in, t->usd_per_h);
    rt_put_int(in, t->run_id);
    rt_put_text(in, rt_verdict_names[t->verdict]);
    rt_put_int(in, t->stopped);
    rt_put_text(in, rt_binds_names[t->binds]);
    rt_put_text(in, t->checks[t->worst].text);
    rt_put_real(in, t->load_share);
    rt_put_real(in, t->busy_share);
    rt_put_real(in, t->kv_peak_share);
    rt_put_real(in, t->queue_share);
    return rt_insert_row(in, err);
}

static bool insert_check(struct rt_insert *in, int64_t run_id, const struct rt_size_check *c,
                         int64_t size_id, struct rt_err *err)
{
    rt_put_int(in, size_id);
    rt_put_int(in, run_id);
    rt_put_text(in, c->text);
    rt_put_count(in, c->requests);
    rt_put_count(in, c->late);
    rt_put_real(in, c->effective);
    rt_put_real(in, c->limit);
    rt_put_real(in, c->value);
    rt_put_real(in, c->low);
    rt_put_real(in, c->high);
    rt_put_text(in, rt_verdict_names[c->verdict]);
    return rt_insert_row(in, err);
}

struct inserts {
    struct rt_insert candidates, trials, checks;
};

static bool insert_row(struct inserts *in, const struct rt_size_result *r, unsigned i,
                       int64_t size_id, struct rt_err *err)
{
    const struct rt_size_row *row = &r->rows[i];

    if (!insert_candidate(&in->candidates, r, i, size_id, err))
        return false;
    for (unsigned k = 0; k < row->trial_count; k++) {
        const struct rt_size_trial *t = &row->trials[k];
        if (!insert_trial(&in->trials, row->name, t, size_id, err))
            return false;
        for (unsigned c = 0; c < r->check_count; c++)
            if (!insert_check(&in->checks, t->run_id, &t->checks[c], size_id, err))
                return false;
    }
    return true;
}

static bool write_all(sqlite3 *db, const char *path, void *argument, struct rt_err *err)
{
    const struct rt_size_result *r = argument;
    struct inserts in = {{0}, {0}, {0}};
    int64_t size_id;
    bool ok = rt_sql_int(db, path, "SELECT coalesce(max(size_id), 0) + 1 FROM size_candidate",
                         &size_id, err) &&
              rt_insert_table(&in.candidates, db, path, "size_candidate", err) &&
              rt_insert_table(&in.trials, db, path, "size_trial", err) &&
              rt_insert_table(&in.checks, db, path, "size_check", err);

    for (unsigned i = 0; ok && i < r->count; i++)
        ok = insert_row(&in, r, i, size_id, err);
    rt_insert_release(&in.candidates);
    rt_insert_release(&in.trials);
    rt_insert_release(&in.checks);
    return ok;
}

bool rt_store_size(struct rt_store *s, const struct rt_size_result *r, struct rt_err *err)
{
    struct rt_size_result copy = *r; /* what jobs take is not const */

    return rt_store_do(s, write_all, &copy, err);
}

static bool read_last(sqlite3 *db, const char *path, void *argument, struct rt_err *err)
{
    return rt_sql_int(db, path, "SELECT coalesce(max(run_id), 0) FROM run", argument, err);
}

bool rt_store_last_run(struct rt_store *s, int64_t *run_id, struct rt_err *err)
{
    return rt_store_do(s, read_last, run_id, err);
}
