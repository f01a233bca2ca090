/* What a request takes with it when its replica crashes, against the tokens of the plain model of
 * tests/support/naive_engine.h up to that instant: how many, when the last one came, the longest
 * gap so far. Random scenarios and instants, by steps and coasting, plain, in pipelines and on
 * several ranks; half of them with a longest gap from another replica. A failure prints its seed
 * and scenario; RT_SEED=n RT_CASES=1 runs it alone. */
#include "replica_drive.h"
#include "rooftrace/rng.h"
#include "support/seeds.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_CASES 1500
#define CRASHES       8 /* instants a scenario is run up to */

struct seen { /* of a request's tokens before an instant */
    int64_t tokens, last_ns, longest_ns;
};

struct coverage {
    uint64_t lost, preempted, preempted_twice, later;
};

static struct seen seen_before(const struct naive_result *naive, uint64_t id, int64_t ns)
{
    struct seen s = {.last_ns = RT_NEVER, .longest_ns = RT_NEVER};
    for (size_t i = 0; i < naive->token_count; i++) {
        const struct naive_token *token = &naive->tokens[i];
        if (token->request != id || token->time_ns >= ns)
            continue;
        s.tokens++;
        s.last_ns = token->time_ns;
        if (token->gap_ns >= 0 && token->gap_ns > s.longest_ns)
            s.longest_ns = token->gap_ns;
    }
    return s;
}

/* No step begins or ends then: who comes first at one instant is the owner's business. */
static int64_t draw_instant(const struct naive_result *naive, struct rt_rng *g)
{
    const struct naive_step *step = &naive->steps[rt_rng_below(g, naive->step_count)];
    int64_t length = step->end_ns - step->start_ns;
    int64_t at = step->start_ns + 1 + (int64_t)rt_rng_below(g, (uint64_t)length + 1);
    for (size_t i = 0; i < naive->step_count; i++)
        if (naive->steps[i].end_ns == at || naive->steps[i].start_ns == at)
            return RT_NEVER;
    return at;
}

static void check_lost(const struct scenario *s, const struct naive_result *naive,
                       const struct drive *d, const char *text, struct coverage *c)
{
    size_t done = 0;
    for (size_t i = 0; i < d->lost.count; i++) {
        const struct rt_finished *row = &d->lost.rows[i];
        struct seen want = seen_before(naive, row->id, d->stop_ns);
        int64_t past_ns = d->past ? d->past->max_itl_ns : RT_NEVER;
        int64_t longest_ns = past_ns > want.longest_ns ? past_ns : want.longest_ns;
        if (row->produced_tokens != want.tokens || d->lost.last_token_ns[i] != want.last_ns ||
            row->max_itl_ns != longest_ns)
            fail_msg("%s\nrequest %llu at %lld: %lld tokens until %lld, longest gap %lld; expected "
                     "%lld until %lld, %lld",
                     text, (unsigned long long)row->id, (long long)d->stop_ns,
                     (long long)row->produced_tokens, (long long)d->lost.last_token_ns[i],
                     (long long)row->max_itl_ns, (long long)want.tokens, (long long)want.last_ns,
                     (long long)longest_ns);
        c->preempted += row->preemptions > 0;
        c->preempted_twice += row->preemptions > 1;
        c->later += want.longest_ns < s->requests[row->id].max_gap_ns;
    }
    for (size_t i = 0; i < s->count; i++)
        done += s->requests[i].arrival_ns < d->stop_ns &&
                (s->requests[i].status != NAIVE_OK || s->requests[i].finish_ns < d->stop_ns);
    if (d->rows.count != done || d->lost.count + done != d->pushed)
        fail_msg("%s\n%zu left before %lld, %zu lost, of %zu; expected %zu to have left", text,
                 d->rows.count, (long long)d->stop_ns, d->lost.count, d->pushed, done);
    c->lost += d->lost.count;
}

static void check_one(uint64_t seed, bool spread, const struct abilities *a, struct coverage *c)
{
    struct scenario s;
    struct naive_result naive = {0};
    struct rt_rng g;
    char text[4096];
    struct rt_progress past = {.scheduled_ns = RT_NEVER,
                               .first_token_ns = RT_NEVER,
                               .last_token_ns = RT_NEVER,
                               .lost_ns = INT64_MAX};
    rt_rng_init(&g, seed, RT_RNG_TOOLS, 4);
    scenario_draw(&s, seed, a);
    if (spread)
        scenario_spread(&s, seed);
    naive_run(&s.params, s.requests, s.count, &naive);
    scenario_text(&s, seed, text, sizeof text);
    for (int n = 0; n < CRASHES && naive.step_count > 0; n++) {
        int64_t at = draw_instant(&naive, &g);
        past.max_itl_ns = (int64_t)rt_rng_below(&g, 200000000);
        struct drive d = {
            .coast = n % 2 > 0, .past = n % 4 < 2 ? &past : NULL, .stop_ns = at, .crash = true};
        if (at == RT_NEVER)
            continue;
        drive_run(&d, &s);
        check_lost(&s, &naive, &d, text, c);
        drive_release(&d);
    }
    naive_result_release(&naive);
}

static void check_many(bool spread)
{
    struct abilities a;
    struct coverage c = {0};
    uint64_t seed = setting("RT_SEED", 1), cases = setting("RT_CASES", DEFAULT_CASES);
    abilities_probe(&a);
    print_message("seeds %llu to %llu\n", (unsigned long long)seed,
                  (unsigned long long)(seed + cases - 1));
    for (uint64_t i = 0; i < cases; i++)
        check_one(seed + i, spread, &a, &c);
    print_message("%llu requests lost, %llu preempted before, %llu more than once; %llu had their "
                  "longest gap still to come: all as the model's tokens tell\n",
                  (unsigned long long)c.lost, (unsigned long long)c.preempted,
                  (unsigned long long)c.preempted_twice, (unsigned long long)c.later);
    if (cases == DEFAULT_CASES)
        assert_true(c.lost > 10 * cases && c.preempted_twice > 200 && c.later > cases);
}

static void plain_replicas(void **state)
{
    (void)state;
    check_many(false);
}

static void pipelines_and_ranks(void **state)
{
    (void)state;
    check_many(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain_replicas),
                                       cmocka_unit_test(pipelines_and_ranks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
