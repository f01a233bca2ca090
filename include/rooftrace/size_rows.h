/* results/size_rows.h: what sizing found, as rows of the tables size_candidate, size_trial and
 * size_check; also what is printed. */
#ifndef RT_SIZE_ROWS_H
#define RT_SIZE_ROWS_H

#include "rooftrace/store.h"

#define RT_SIZE_TEXT 160

enum rt_verdict { RT_VERDICT_PASS, RT_VERDICT_FAIL, RT_VERDICT_UNDECIDED, RT_VERDICT_INFEASIBLE };
extern const char *const rt_verdict_names[4];

enum rt_binds { /* names in rt_binds_names */
                RT_BINDS_NOTHING,
                RT_BINDS_KV,        /* KV memory is full while requests wait */
                RT_BINDS_SEATS,     /* max_num_seqs sequences run while requests wait */
                RT_BINDS_COMPUTE,   /* engines are busy all the time, or a lone request is too slow
                                       already */
                RT_BINDS_QUEUEING,  /* requests wait although engines have idle time */
                RT_BINDS_PREFILL,   /* prompts slow down the decodes they run with */
                RT_BINDS_BANDWIDTH, /* the decode batch itself is too slow */
                RT_BINDS_COUNT
};
extern const char *const rt_binds_names[RT_BINDS_COUNT];

struct rt_size_check { /* one objective in one trial */
    const char *text;  /* the objective, as the plan says it */
    uint64_t requests, late;
    uint64_t allowed;               /* late requests up to which the estimate holds */
    double effective;               /* independent requests that would say as much */
    double value, low, high, limit; /* seconds; of several limits: share of them. low 0 and high
                                       INFINITY: no bound. NaN: the trial stopped before */
    enum rt_verdict verdict;
    bool estimate_holds; /* value <= limit */
};

struct rt_size_trial { /* one fleet on the workload; with seeds: all of them together */
    int64_t replicas, gpus;
    double rate;           /* factor on the workload's rate */
    double requests_per_s; /* arrivals; NaN: they depend on the fleet */
    double usd_per_h;      /* NaN: price not known */
    int64_t run_id;        /* of its first seed; 0: not stored */
    enum rt_verdict verdict;
    bool stopped; /* early: an objective was certainly missed */
    struct rt_size_check *checks;
    enum rt_binds binds;
    unsigned worst;          /* the check that is nearest to its limit, or furthest beyond */
    double load_share;       /* work that comes in, of what the replicas can do: closed form */
    double busy_share;       /* of the replicas' time: some step ran */
    double kv_peak_share;    /* most KV blocks in use on a replica */
    double queue_share;      /* of TTFT at its P99 */
    double wait_kv_share;    /* KV blocks in use while somebody waited, mean */
    double wait_seats_share; /* seats taken while somebody waited, mean */
    double decode_s;         /* of a token at the fullest moment, decodes alone, closed form */
    double tokens_per_s_per_gpu, tokens_per_s_per_user, ttft_p99_s, tpot_p99_s;
};

struct rt_size_row { /* a candidate */
    const char *name, *gpu;
    int64_t tensor_parallel, gpus; /* of a replica */
    enum rt_verdict verdict;
    char reason[512];
    const struct rt_size_trial *trials; /* in the order they were made */
    unsigned trial_count;
    int best; /* the answer: fewest replicas, or highest rate, that hold; -1: none */
    int next; /* the trial next to it that does not; without a best the nearest to holding; -1 */
    bool monotone; /* false: a fleet below `next` held */
};

struct rt_size_result {
    const struct rt_size_row *rows;
    unsigned count, check_count;
    int chosen;                     /* row of the cheapest that holds; -1: none */
    int cheaper_row, cheaper_trial; /* the dearest fleet below it that was tried and does not; -1 */
    double headroom_rate;           /* factor on the rate that the chosen one still holds; NaN */
    bool headroom_open;             /* and more: the search ended there */
    bool max_rate;
    double confidence;
    bool point;
    uint64_t requests; /* of the workload, one seed */
    uint64_t least;    /* requests that the objectives need for a pass; 0: enough are there */
};

/* The largest run_id in the file, 0: none. */
bool rt_store_last_run(struct rt_store *s, int64_t *run_id, struct rt_err *err) RT_MUST_USE;
/* All rows in one transaction, under the next size_id. */
bool rt_store_size(struct rt_store *s, const struct rt_size_result *r,
                   struct rt_err *err) RT_MUST_USE;

#endif
