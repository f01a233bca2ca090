/* Policy predictive: enough for the rate of arrivals that is to be expected when a replica started
 * now is ready, forecast from the trace's own past:
 *
 *     level and trend of the rate by Holt's double exponential smoothing (C. C. Holt, 1957; ONR
 *     Memorandum 52): l = a x + (1 - a)(l + t), t = b (l - l') + (1 - b) t, with x the rate since
 *     the tick before; forecast l + k t, k ticks ahead
 *     season_s: what the rate was one season before that instant (seasonal naive)
 *
 * The larger of the two counts, divided by requests_per_s of a replica. It sees arrivals, not
 * queues: a backlog is worked off only as far as that figure leaves room. Smoothing constants are
 * customary ones, not fitted. O(1) a tick, memory O(season / interval). */
#include "supply_internal.h"

#include <math.h>
#include <stdlib.h>

#define LEVEL_WEIGHT 0.5
#define TREND_WEIGHT 0.2

struct past {
    double level, trend;
    uint64_t ticks;  /* seen */
    double *rates;   /* ring of one season; owned, NULL: no season */
    uint64_t season; /* its ticks */
};

static bool init(void *state, const double *params)
{
    struct past *p = state;
    p->season = (uint64_t)llround(params[RT_SCALER_SEASON] / params[RT_SCALER_INTERVAL]);
    if (p->season == 0)
        return true;
    p->rates = calloc(p->season, sizeof p->rates[0]);
    return p->rates != NULL;
}

static void release(void *state)
{
    free(((struct past *)state)->rates);
}

static void learn(struct past *p, double rate)
{
    double before = p->level;
    if (p->ticks == 0) {
        p->level = rate;
    } else {
        p->level = LEVEL_WEIGHT * rate + (1 - LEVEL_WEIGHT) * (p->level + p->trend);
        p->trend = TREND_WEIGHT * (p->level - before) + (1 - TREND_WEIGHT) * p->trend;
    }
    if (p->season > 0)
        p->rates[p->ticks % p->season] = rate;
    p->ticks++;
}

/* The tick seen last is number ticks - 1; the one `ahead` of it, a season before. */
static double season_before(const struct past *p, uint64_t ahead)
{
    uint64_t at = p->ticks - 1 + ahead;
    if (p->season == 0 || at < p->season || ahead > p->season)
        return 0;
    return p->rates[at % p->season];
}

static int64_t wanted(void *state, const double *params, const struct rt_scaler_view *v)
{
    struct past *p = state;
    double ahead = ceil((v->startup_s + v->interval_s) / v->interval_s);
    learn(p, (double)v->arrivals / v->interval_s);
    double rate = fmax(p->level + ahead * p->trend, season_before(p, (uint64_t)fmin(ahead, 1e15)));
    return rt_scaler_spread(fmax(rate, 0), params[RT_SCALER_REQUESTS_PER_S],
                            params[RT_SCALER_TOLERANCE], v->current);
}

const struct rt_scaler_policy scaler_predictive = {
    .name = "predictive",
    .help = "enough for the rate of arrivals that the trace's past lets expect",
    .params = 1u << RT_SCALER_INTERVAL | 1u << RT_SCALER_UP_WINDOW | 1u << RT_SCALER_DOWN_WINDOW |
              1u << RT_SCALER_TOLERANCE | 1u << RT_SCALER_REQUESTS_PER_S | 1u << RT_SCALER_SEASON,
    .state_bytes = sizeof(struct past),
    .ticks = true,
    .init = init,
    .release = release,
    .wanted = wanted,
};
