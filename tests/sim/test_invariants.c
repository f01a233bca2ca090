/* What must hold on every run, whatever the fleet: random loads on random fleets (1 to 20 replicas,
 * every router, every policy, few KV blocks), and afterwards the rows are audited as an accountant
 * would, who knows the rules of docs/engine.md and nothing of the code:
 *   - every request has one row; it is served, or rejected for the reason the rules give;
 *   - times go up, within a request and from row to row; the queue order is kept, so that nobody
 *     starves; first come is first scheduled where the order is fcfs;
 *   - routers did what their help says, seen from the rows alone;
 *   - tokens are conserved: what replicas say they computed, found in the cache and put out is what
 *     their rows add up to, and so is the histogram of gaps;
 *   - steps follow each other, keep the policy's budget and the limits of the engine, and their
 *     tokens and seconds are the replica's;
 *   - Little's area is the sum of the stays, exactly; the most in flight and every sample are what
 * the rows say, and within the limits of the fleet.
 *
 * Seeds are printed; RT_SEED=n RT_CASES=1 repeats one case. */
#include "random_trial.h"
#include "rooftrace/fleet.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEED  1
#define DEFAULT_CASES 250

static int64_t blocks(const struct trial *t, int64_t tokens)
{
    int64_t size = engine_of(t)->block_size;
    return (tokens + size - 1) / size;
}

static bool policy_is(const struct trial *t, const char *name)
{
    return strcmp(rt_policy_name(engine_of(t)->policy), name) == 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Rule 4 of docs/engine.md. */
static enum rt_reason expected_reason(const struct trial *t, const struct rt_request *q)
{
    const struct rt_engine_spec *e = engine_of(t);
    int64_t whole = q->prompt_tokens + q->output_tokens, margin = 0;
    bool first = policy_is(t, "prefill_first");
    if (first || policy_is(t, "sarathi"))
        margin = (int64_t)fmax(floor(e->watermark * (double)e->num_gpu_blocks), 1);
    if (whole > e->max_model_len)
        return RT_REASON_MAX_MODEL_LEN;
    if (blocks(t, whole) + margin > e->num_gpu_blocks)
        return RT_REASON_KV;
    if (first && whole - 1 > e->max_num_batched_tokens)
        return RT_REASON_PROMPT;
    bool at_once = policy_is(t, "static") || policy_is(t, "continuous");
    return at_once && q->prompt_tokens > e->max_num_batched_tokens ? RT_REASON_PROMPT
                                                                   : RT_REASON_NONE;
}

static void check_served(const struct trial *t, const struct rt_finished *row)
{
    int64_t gaps = row->output_tokens - 1, span = row->finish_ns - row->first_token_ns;
    const struct rt_engine_spec *e = engine_of(t);
    CHECK(t, row->arrival_ns <= row->scheduled_ns, "scheduled before it came");
    CHECK(t, row->scheduled_ns < row->first_token_ns, "no time for the first token");
    CHECK(t, gaps == 0 ? span == 0 : span >= gaps, "%lld gaps in %lld ns", (long long)gaps,
          (long long)span);
    CHECK(t, row->produced_tokens == row->output_tokens, "not all tokens");
    CHECK(t, gaps == 0 ? row->max_itl_ns == RT_NEVER : row->max_itl_ns <= span, "longest gap");
    CHECK(t, gaps == 0 || (double)row->max_itl_ns * (double)gaps >= (double)span, "longest gap");
    CHECK(t, row->cached_tokens >= 0 && row->cached_tokens < row->prompt_tokens, "cached tokens");
    CHECK(t, row->cached_tokens % e->block_size == 0, "part of a block was cached");
    CHECK(t, row->cached_tokens == 0 || e->prefix_caching, "cached without a cache");
}

static void check_requests(const struct trial *t)
{
    for (size_t i = 0; i < t->load.count; i++) {
        const struct rt_request *q = &t->requests[i];
        const struct rt_finished *row = t->by_id[i];
        CHECK(t, row, "request %zu never left", i);
        CHECK(t,
              row->arrival_ns == q->arrival_ns && row->prompt_tokens == q->prompt_tokens &&
                  row->output_tokens == q->output_tokens,
              "request %zu is another one", i);
        enum rt_reason reason = expected_reason(t, q);
        CHECK(t, row->reason == reason, "request %zu: reason %s, expected %s", i,
              rt_reason_names[row->reason], rt_reason_names[reason]);
        CHECK(t, row->status == (reason ? RT_STATUS_REJECTED : RT_STATUS_OK), "status %s",
              rt_status_names[row->status]);
        if (!reason)
            check_served(t, row);
    }
}

static int64_t left_ns(const struct rt_finished *row)
{
    return row->status == RT_STATUS_OK ? row->finish_ns : row->arrival_ns;
}

static void check_rows_order(const struct trial *t)
{
    for (size_t i = 1; i < t->row_count; i++)
        CHECK(t, left_ns(&t->rows[i - 1]) <= left_ns(&t->rows[i]), "row %zu left earlier", i);
}

/* a stands before b in the queue: by (key, arrival, id). */
static bool is_before(const struct trial *t, size_t a, size_t b)
{
    const struct rt_engine_spec *e = engine_of(t);
    int64_t key_a = rt_queue_key(e->queue_order, e->aging_s, &t->requests[a]);
    int64_t key_b = rt_queue_key(e->queue_order, e->aging_s, &t->requests[b]);
    return key_a != key_b ? key_a < key_b : a < b; /* ids are in order of arrival */
}

/* Who stands before another and was there when that one was scheduled is scheduled no later. With
 * asynchronous scheduling and in a pipeline a step is formed before it starts; then this holds for
 * those who were there before the other came. */
static void check_queue_order(const struct trial *t)
{
    for (size_t a = 0; a < t->load.count; a++)
        for (size_t b = 0; b < t->load.count; b++) {
            const struct rt_finished *first = t->by_id[a], *second = t->by_id[b];
            if (first->status != RT_STATUS_OK || second->status != RT_STATUS_OK ||
                first->replica != second->replica || a == b || !is_before(t, a, b))
                continue;
            if (parallel_of(t)->data > 1)
                continue; /* rows do not tell the rank */
            bool formed_earlier = engine_of(t)->async_scheduling || parallel_of(t)->pipeline > 1;
            int64_t there_ns = formed_earlier ? second->arrival_ns : second->scheduled_ns;
            CHECK(t, first->arrival_ns > there_ns || first->scheduled_ns <= second->scheduled_ns,
                  "request %zu overtook %zu", b, a);
        }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int64_t budget(const struct trial *t, const struct rt_step_row *s)
{
    const struct rt_engine_spec *e = engine_of(t);
    if (policy_is(t, "chunked"))
        return e->max_num_batched_tokens;
    if (policy_is(t, "sarathi")) /* every decode runs, whatever the budget */
        return s->decodes > e->chunk_tokens ? s->decodes : e->chunk_tokens;
    return s->decodes + e->max_num_batched_tokens;
}

static void check_step(const struct trial *t, const struct rt_step_row *s)
{
    const struct rt_engine_spec *e = engine_of(t);
    bool mixed = !policy_is(t, "static") && !policy_is(t, "prefill_first");
    double terms_s = 0;
    for (int term = 0; term < RT_TERM_COUNT; term++)
        terms_s += s->terms_s[term];
    CHECK(t, s->end_ns > s->start_ns, "step %llu lasts no time", (unsigned long long)s->step);
    double own_ns = terms_s * 1e9, ns = (double)(s->end_ns - s->start_ns);
    CHECK(t, parallel_of(t)->pipeline > 1 ? own_ns < ns + 1 : fabs(own_ns - ns) < 1,
          "%g s in %g ns", terms_s, ns);
    CHECK(t, s->decodes >= 0 && s->prefill_tokens >= 0, "negative");
    CHECK(t, s->decodes + s->prefill_tokens > 0, "an empty step");
    CHECK(t, s->decodes + s->prefill_tokens <= budget(t, s), "%lld + %lld tokens, budget %lld",
          (long long)s->decodes, (long long)s->prefill_tokens, (long long)budget(t, s));
    CHECK(t, mixed || s->decodes == 0 || s->prefill_tokens == 0, "prompts beside decodes");
    CHECK(t, s->sequences >= s->decodes + (s->prefill_tokens > 0), "%lld sequences",
          (long long)s->sequences);
    CHECK(t, s->sequences <= e->max_num_seqs, "%lld sequences", (long long)s->sequences);
    CHECK(t, s->kv_blocks_used > 0 && s->kv_blocks_used <= e->num_gpu_blocks, "%lld blocks",
          (long long)s->kv_blocks_used);
    CHECK(t, s->context_tokens >= s->decodes && s->waiting >= 0, "context");
}

/* Numbers of a rank's steps count up, and no more of them overlap than there are stages: the one
 * `stages` before has ended. */
static void check_overlap(const struct trial *t, size_t i)
{
    const struct rt_step_row *s = &t->steps.rows[i];
    uint64_t ranks = (uint64_t)parallel_of(t)->data, before = s->step, gap = ranks;
    for (size_t k = i; k-- > 0 && gap <= ranks * (uint64_t)parallel_of(t)->pipeline;) {
        const struct rt_step_row *earlier = &t->steps.rows[k];
        if (earlier->replica != s->replica || earlier->step % ranks != s->step % ranks)
            continue;
        CHECK(t, earlier->step + ranks == before, "step %llu", (unsigned long long)s->step);
        CHECK(t, earlier->start_ns <= s->start_ns && earlier->end_ns <= s->end_ns,
              "steps overtake");
        before = earlier->step;
        if (gap == ranks * (uint64_t)parallel_of(t)->pipeline)
            CHECK(t, earlier->end_ns <= s->start_ns, "too many steps at once");
        gap += ranks;
    }
    CHECK(t, gap > ranks * (uint64_t)parallel_of(t)->pipeline || before == s->step % ranks,
          "step %llu is not the first", (unsigned long long)s->step);
}

static void check_steps(const struct trial *t)
{
    int64_t parts = parallel_of(t)->pipeline * parallel_of(t)->data;
    struct rt_replica_totals sums[MAX_REPLICAS] = {0};
    for (size_t i = 0; t->record_steps && i < t->steps.count; i++) {
        const struct rt_step_row *s = &t->steps.rows[i];
        uint32_t r = s->replica;
        check_step(t, s);
        check_overlap(t, i);
        sums[r].steps++;
        sums[r].computed_tokens += s->decodes + s->prefill_tokens;
        sums[r].busy_ns += s->end_ns - s->start_ns;
    }
    for (uint32_t r = 0; t->record_steps && r < rt_fleet_replicas(rt_sim_fleet(t->sim)); r++) {
        const struct rt_replica_totals *have =
            rt_replica_totals(rt_fleet_replica(rt_sim_fleet(t->sim), r));
        CHECK(t, have->steps == sums[r].steps, "replica %u", r);
        CHECK(t, have->computed_tokens == sums[r].computed_tokens, "replica %u", r);
        CHECK(t,
              parallel_of(t)->pipeline > 1 ? have->busy_ns <= sums[r].busy_ns / parts
                                           : have->busy_ns == sums[r].busy_ns / parts,
              "replica %u", r);
    }
}

/* ---- routers, from the rows alone -------------------------------------------------------------
 */

/* The first replica with the fewest requests that came before request i and have not left by its
 * arrival; what ends at that instant has left. */
static uint32_t least_outstanding(const struct trial *t, uint32_t replicas, size_t i)
{
    uint32_t outstanding[MAX_REPLICAS] = {0}, best = 0;
    for (size_t k = 0; k < i; k++)
        if (t->by_id[k]->status == RT_STATUS_OK && t->by_id[k]->finish_ns > t->by_id[i]->arrival_ns)
            outstanding[t->by_id[k]->replica]++;
    for (uint32_t r = 1; r < replicas; r++)
        if (outstanding[r] < outstanding[best])
            best = r;
    return best;
}

static void check_routing(const struct trial *t)
{
    uint32_t replicas = rt_fleet_replicas(rt_sim_fleet(t->sim));
    const char *router = t->scenario.fleet.router->name;
    for (size_t i = 0; i < t->load.count; i++) {
        uint32_t have = t->by_id[i]->replica;
        CHECK(t, have < replicas, "replica %u", have);
        if (strcmp(router, "round_robin") == 0)
            CHECK(t, have == i % replicas, "request %zu went to %u", i, have);
        else if (strcmp(router, "least_outstanding") == 0)
            CHECK(t, have == least_outstanding(t, replicas, i), "request %zu went to %u, not %u", i,
                  have, least_outstanding(t, replicas, i));
    }
}

/* ---- totals ---------------------------------------------------------------------------------- */

static void add_row(struct rt_replica_totals *sum, const struct rt_finished *row)
{
    if (row->status != RT_STATUS_OK) {
        sum->rejected++;
        return;
    }
    sum->finished++;
    sum->preemptions += row->preemptions;
    sum->prompt_tokens += row->prompt_tokens;
    sum->cached_tokens += row->cached_tokens;
    sum->output_tokens += row->output_tokens;
    /* the last token never goes through the model */
    sum->computed_tokens += row->prompt_tokens - row->cached_tokens + row->output_tokens - 1;
}

static void check_replica(const struct trial *t, uint32_t i, const struct rt_replica_totals *sum)
{
    const struct rt_replica_totals *have =
        rt_replica_totals(rt_fleet_replica(rt_sim_fleet(t->sim), i));
    double terms_s = 0;
    CHECK(t, have->finished == sum->finished, "replica %u", i);
    CHECK(t, have->rejected == sum->rejected, "replica %u", i);
    CHECK(t, have->preemptions == sum->preemptions, "replica %u", i);
    CHECK(t, have->prompt_tokens == sum->prompt_tokens, "replica %u", i);
    CHECK(t, have->cached_tokens == sum->cached_tokens, "replica %u", i);
    CHECK(t, have->output_tokens == sum->output_tokens, "replica %u", i);
    CHECK(t, sum->preemptions || have->computed_tokens == sum->computed_tokens,
          "replica %u computed %lld tokens, its rows %lld", i, (long long)have->computed_tokens,
          (long long)sum->computed_tokens);
    /* Preemption only adds to it, by nothing when all blocks lost are found again in the cache. */
    CHECK(t, have->computed_tokens >= sum->computed_tokens, "replica %u", i);
    CHECK(t, have->kv_blocks_peak >= 0 && have->kv_blocks_peak <= engine_of(t)->num_gpu_blocks,
          "replica %u", i);
    CHECK(t, have->busy_ns <= rt_sim_totals(t->sim).now_ns, "replica %u", i);
    int64_t parts = parallel_of(t)->pipeline * parallel_of(t)->data;
    CHECK(t, parts > 1 || (have->busy_ns > 0) == (have->steps > 0), "replica %u", i);
    for (int term = 0; term < RT_TERM_COUNT; term++)
        terms_s += have->terms_s[term];
    CHECK(t,
          fabs(terms_s - 1e-9 * (double)have->busy_ns) <=
              1e-9 + 0.5e-9 * (double)have->steps + 1e-9 * terms_s,
          "replica %u: terms %g s, busy %lld ns", i, terms_s, (long long)have->busy_ns);
}

static void check_totals(const struct trial *t)
{
    struct rt_replica_totals sums[MAX_REPLICAS] = {0};
    struct rt_sim_totals totals = rt_sim_totals(t->sim);
    uint32_t replicas = rt_fleet_replicas(rt_sim_fleet(t->sim));
    uint64_t finished = 0, steps = 0;
    for (size_t i = 0; i < t->row_count; i++)
        add_row(&sums[t->rows[i].replica], &t->rows[i]);
    for (uint32_t i = 0; i < replicas; i++) {
        check_replica(t, i, &sums[i]);
        finished += sums[i].finished;
        steps += rt_replica_totals(rt_fleet_replica(rt_sim_fleet(t->sim), i))->steps;
    }
    CHECK(t, totals.arrived == t->load.count, "arrived");
    CHECK(t, totals.finished == finished, "finished");
    CHECK(t, totals.rejected == t->load.count - finished, "rejected");
    CHECK(t, totals.unfinished == 0, "unfinished");
    CHECK(t, totals.steps == steps, "steps");
}

/* ---- tokens and time ------------------------------------------------------------------------- */

/* Every gap of every request is in the histogram, exactly. */
static void check_gaps(const struct trial *t)
{
    const struct rt_hist *itl = &rt_sim_token_stats(t->sim)->itl;
    uint64_t count = 0;
    rt_u128 sum = 0;
    int64_t longest = -1;
    for (size_t i = 0; i < t->row_count; i++) {
        const struct rt_finished *row = &t->rows[i];
        if (row->status != RT_STATUS_OK || row->output_tokens == 1)
            continue;
        count += (uint64_t)(row->output_tokens - 1);
        rt_u128 span = (rt_u128)(row->finish_ns - row->first_token_ns);
        sum = sum + span;
        longest = row->max_itl_ns > longest ? row->max_itl_ns : longest;
    }
    CHECK(t, itl->count == count, "%llu gaps, rows have %llu", (unsigned long long)itl->count,
          (unsigned long long)count);
    CHECK(t, itl->sum == sum, "sum of gaps");
    CHECK(t, count == 0 || itl->max == longest, "longest gap");
}

/* Requests in the system at an instant: what leaves then has left, what comes then has not come. */
static int64_t in_flight_before(const struct trial *t, int64_t at_ns)
{
    int64_t count = 0;
    for (size_t i = 0; i < t->row_count; i++)
        count += t->rows[i].status == RT_STATUS_OK && t->rows[i].arrival_ns < at_ns &&
                 t->rows[i].finish_ns > at_ns;
    return count;
}

/* Little's law and the most in flight, which an arrival reaches. */
static void check_little(const struct trial *t)
{
    struct rt_sim_totals totals = rt_sim_totals(t->sim);
    uint64_t most = 0;
    rt_u128 stays = 0;
    for (size_t i = 0; i < t->load.count; i++) {
        const struct rt_finished *row = t->by_id[i];
        uint64_t here = 1; /* itself */
        if (row->status != RT_STATUS_OK)
            continue;
        rt_u128 stay = (rt_u128)(row->finish_ns - row->arrival_ns);
        stays = stays + stay;
        for (size_t k = 0; k < i; k++)
            here += t->by_id[k]->status == RT_STATUS_OK && t->by_id[k]->finish_ns > row->arrival_ns;
        most = here > most ? here : most;
    }
    CHECK(t, totals.in_flight_area == stays, "Little's area is not the sum of the stays");
    CHECK(t, totals.max_in_flight == most, "most in flight %llu, by the rows %llu",
          (unsigned long long)totals.max_in_flight, (unsigned long long)most);
}

static void check_samples(const struct trial *t)
{
    size_t count = 0;
    const struct rt_sample *samples = rt_sim_samples(t->sim, &count);
    double ranks = (double)rt_fleet_replicas(rt_sim_fleet(t->sim)) * (double)parallel_of(t)->data;
    int64_t interval_ns = (int64_t)llround(t->scenario.sample_interval_s * 1e9);
    /* Points further apart than asked for are means of several. */
    bool merged = count > 1 && samples[1].time_ns - samples[0].time_ns > interval_ns;
    for (size_t i = 0; i < count; i++) {
        const struct rt_sample *s = &samples[i];
        CHECK(t, i == 0 || s->time_ns > samples[i - 1].time_ns, "sample %zu: time", i);
        CHECK(t, s->running >= 0 && s->running <= ranks * (double)engine_of(t)->max_num_seqs,
              "sample %zu: %g running", i, s->running);
        CHECK(t,
              s->kv_blocks_used >= 0 &&
                  s->kv_blocks_used <= ranks * (double)engine_of(t)->num_gpu_blocks,
              "sample %zu: %g blocks", i, s->kv_blocks_used);
        CHECK(t, fabs(s->running + s->waiting - s->in_flight) < 1e-6,
              "sample %zu: %g running, %g waiting, %g in flight", i, s->running, s->waiting,
              s->in_flight);
        CHECK(t, merged || (int64_t)s->in_flight == in_flight_before(t, s->time_ns),
              "sample %zu at %lld ns: %g in flight", i, (long long)s->time_ns, s->in_flight);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct coverage { /* a test that draws nothing but easy cases would prove nothing */
    unsigned policies[16], routers[16], orders[16];
    uint64_t steps, swapped, preemptions, rejected, cached, served;
};

static void audit(uint64_t seed, struct coverage *seen)
{
    struct trial *t = trial_new(seed);
    check_requests(t);
    check_rows_order(t);
    check_queue_order(t);
    check_steps(t);
    check_routing(t);
    check_totals(t);
    check_gaps(t);
    check_little(t);
    check_samples(t);
    seen->policies[engine_of(t)->policy]++;
    for (unsigned i = 0; i < rt_router_count(); i++)
        seen->routers[i] += t->scenario.fleet.router == rt_router_at(i);
    seen->orders[engine_of(t)->queue_order]++;
    seen->steps += t->steps.count;
    for (uint32_t i = 0; i < rt_fleet_replicas(rt_sim_fleet(t->sim)); i++)
        seen->swapped += (uint64_t)rt_replica_totals(rt_fleet_replica(rt_sim_fleet(t->sim), i))
                             ->swapped_in_blocks;
    seen->served += rt_sim_totals(t->sim).finished;
    seen->rejected += rt_sim_totals(t->sim).rejected;
    for (size_t i = 0; i < t->row_count; i++) {
        seen->preemptions += t->rows[i].preemptions;
        seen->cached += (uint64_t)t->rows[i].cached_tokens;
    }
    trial_free(t);
}

static void every_run_obeys(void **state)
{
    uint64_t seed = setting("RT_SEED", DEFAULT_SEED), cases = setting("RT_CASES", DEFAULT_CASES);
    struct coverage seen = {0};
    (void)state;
    print_message("seeds %llu to %llu\n", (unsigned long long)seed,
                  (unsigned long long)(seed + cases - 1));
    for (uint64_t i = 0; i < cases; i++)
        audit(seed + i, &seen);
    print_message("%llu served, %llu rejected, %llu preemptions, %llu blocks swapped in,"
                  " %llu cached tokens, %llu steps\n",
                  (unsigned long long)seen.served, (unsigned long long)seen.rejected,
                  (unsigned long long)seen.preemptions, (unsigned long long)seen.swapped,
                  (unsigned long long)seen.cached, (unsigned long long)seen.steps);
    if (cases < DEFAULT_CASES)
        return;
    for (unsigned i = 0; i < rt_policy_count(); i++)
        assert_true(seen.policies[i] > 10);
    for (unsigned i = 0; i < rt_router_count(); i++)
        assert_true(seen.routers[i] > 10);
    for (unsigned i = 0; i < rt_queue_order_count(); i++)
        assert_true(seen.orders[i] > 10);
    assert_true(seen.steps > 10000 && seen.swapped > 100);
    assert_true(seen.served > 10000 && seen.rejected > 500);
    assert_true(seen.preemptions > 500 && seen.cached > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_run_obeys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
