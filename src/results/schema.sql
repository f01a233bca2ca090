-- The database rooftrace writes. SQLite >= 3.37 (STRICT tables). One file holds any number of runs.
-- docs/schema.md is made from the comments of this file by tools/make_schema_doc.py: a comment line
-- after CREATE belongs to the table or view, a comment behind a column to the column, and lines that
-- begin with "Example:" are queries (the tests run them). Comments stand inside the statements, so
-- that `.schema` in the sqlite3 shell shows them too.
--
-- Rules: a name ends in its unit: _ns, _s, _ms, _bytes, _tokens, _blocks, _usd; a bare count has none.
-- Times are since the start of the trial. NULL = never happened, not asked for, or not known (yet).
-- Stored: what was simulated, and percentiles. Everything else that can be derived is a view.

PRAGMA application_id = 1380340818; -- 0x52465452, "RFTR"
PRAGMA user_version = 1;            -- RT_SCHEMA_VERSION of include/rooftrace/store.h

CREATE TABLE run (
    -- One row a run. Written when the run begins; wall_s and the figures from duration_s on when it ends.
    -- A run whose process was killed stays `running`: what had finished up to a second before is in
    -- `request`.
    -- Equal scenarios with equal seeds give equal rows, but for started_at and wall_s.
    run_id INTEGER PRIMARY KEY,      -- 1, 2, ... in the order the runs were added to this file; of a sweep: the trial
    label TEXT,                      -- free text given by the user
    status TEXT NOT NULL,            -- running, complete, interrupted (Ctrl-C), failed
    message TEXT,                    -- why it failed or stopped
    version TEXT NOT NULL,           -- of rooftrace
    started_at TEXT,                 -- wall clock when the run began, UTC, ISO 8601
    wall_s REAL,                     -- real seconds the replay took
    seed INTEGER NOT NULL,           -- of all random streams
    trace TEXT,                      -- path of the trace as given; of synthetic traffic, that of the trace it is like
    trace_format TEXT,               -- its format; synthetic for traffic that was made, mix for several traces
    scenario TEXT NOT NULL,          -- the scenario, fully resolved, as JSON: the run can be repeated from it
    router TEXT NOT NULL,            -- routing policy
    frontend_ns INTEGER NOT NULL,    -- HTTP and tokeniser time, added to TTFT and E2E by metrics and views
    measure_from_s REAL,             -- measured window: requests that arrive in [from, to); NULL: none asked for
    measure_to_s REAL,               -- its end; NULL with a beginning: until the end of the run
    slo_ttft_s REAL,                 -- objective for TTFT; classes may have their own, see table `slo`
    slo_tpot_s REAL,                 -- likewise for TPOT
    slo_e2e_s REAL,                  -- likewise for E2E
    pue REAL NOT NULL,               -- energy the building draws over energy of the GPUs
    gco2_per_kwh REAL,               -- carbon intensity of the grid; NULL: none given
    request_share REAL NOT NULL,     -- share of the requests that get rows in `request`: 1 all, 0 none, else a sample
    steps_recorded INTEGER NOT NULL, -- 1: table `step` holds every engine step
    plan_hash TEXT,                  -- of all trials of a sweep's plan: equal in all its runs; NULL: not of a sweep
    plan_trials INTEGER,             -- how many trials the plan has: run_id is a number from 1 to this
    varied TEXT,                     -- JSON object: what this trial changes in the plan's scenario; NULL: not of a sweep
    duration_s REAL,                 -- simulated seconds from trial start to the last event, drain included
    requests INTEGER,                -- arrived; each has one row in `request` when request_share is 1
    completed INTEGER,               -- of them with status ok
    rejected INTEGER,                -- of them that were turned away: never servable, or by admission control
    timed_out INTEGER,               -- of them whose clients gave up (timeout_s)
    cancelled INTEGER,               -- of them that their users cancelled
    unfinished INTEGER,              -- of them still in flight when the run stopped
    input_tokens INTEGER,            -- prompt tokens of completed requests
    output_tokens INTEGER,           -- output tokens of completed requests
    cached_tokens INTEGER,           -- prompt tokens of completed requests found in the prefix cache
    preemptions INTEGER,             -- times a request lost its KV blocks and had to start over
    max_output_tokens_per_s REAL,    -- most output tokens that appeared in one second [k, k+1)
    max_concurrent_requests INTEGER, -- most requests arrived and not done at an instant
    mean_concurrent_requests REAL,   -- time average of the same, over duration_s
    steps INTEGER,                   -- engine steps of all replicas
    events INTEGER,                  -- events the simulation handled
    rows_read INTEGER,               -- rows read from the trace, those outside workload.window_s included
    zero_prompt INTEGER,             -- prompts of 0 tokens taken as 1
    zero_output INTEGER,             -- outputs of 0 tokens taken as 1
    unsorted INTEGER,                -- rows of the trace with an earlier time than the row before
    requests_written INTEGER,        -- rows in `request`
    stalled_requests INTEGER,        -- preempted more often than they gave tokens: preemption without progress
    stalled_preemptions INTEGER,     -- how often at least a preemption of theirs came with no token since the one before
    lost_requests INTEGER,           -- requests with status failed: they lost their replica for good
    retries INTEGER,                 -- times a request lost its replica and was sent again
    lost_tokens INTEGER              -- output tokens that had appeared before an answer was begun anew (retry.mode restart)
) STRICT;

CREATE TABLE pool (
    -- One row a pool of a run: equal replicas of one model on one kind of GPU, the engine's settings and
    -- the memory plan that gave the number of KV blocks. Memory figures are bytes of one GPU; they are 0
    -- where the scenario gave num_gpu_blocks and the cost model knows no memory. With pipeline stages they
    -- are those of the stage that leaves fewest blocks. Seats and KV blocks are those of one data parallel
    -- rank: a replica has data_parallel times as many.
    run_id INTEGER NOT NULL,
    pool TEXT NOT NULL,                      -- name; `request.pool`
    model TEXT NOT NULL,                     -- name in the catalogue
    role TEXT NOT NULL,                      -- mixed, prefill, or decode
    gpu TEXT NOT NULL,                       -- name in the catalogue
    gpu_fitted INTEGER NOT NULL,             -- 1: the GPU's constants come from measured kernels, 0: defaults
    replicas INTEGER NOT NULL,               -- serving engines, with autoscaling the most there can be
    first_replica INTEGER NOT NULL,          -- number of the first one; they are numbered on from here
    gpus INTEGER NOT NULL,                   -- GPUs of the whole pool
    pricing TEXT,                            -- on_demand, spot, reserved: of the catalogue; own: the scenario's; NULL: no price known
    gpu_price_usd_per_h REAL,                -- of one GPU
    gpu_price_low_usd_per_h REAL,            -- lowest that was seen
    gpu_price_high_usd_per_h REAL,           -- highest that was seen
    gpu_idle_w REAL,                         -- power of one GPU while no step runs; NULL: not known
    gpu_busy_w REAL,                         -- while a step runs; by default the board power, an upper bound
    tensor_parallel INTEGER NOT NULL,        -- degree, of one replica, as the three below
    pipeline_parallel INTEGER NOT NULL,
    expert_parallel INTEGER NOT NULL,        -- 1: experts in slices; else whole ones on each GPU
    data_parallel INTEGER NOT NULL,          -- ranks, each with its own requests and KV blocks
    weight_dtype TEXT NOT NULL,
    expert_dtype TEXT NOT NULL,              -- of the weights of routed experts
    activation_dtype TEXT NOT NULL,
    kv_dtype TEXT NOT NULL,
    policy TEXT NOT NULL,                    -- batching policy
    queue_order TEXT NOT NULL,               -- who is admitted next
    preemption TEXT NOT NULL,                -- recompute, or swap to CPU memory
    async_scheduling INTEGER NOT NULL,       -- 1: step n+1 is scheduled while step n runs
    prefix_caching INTEGER NOT NULL,         -- 1: equal prefixes share KV blocks
    max_num_seqs INTEGER NOT NULL,           -- running sequences at most, a rank
    max_num_batched_tokens INTEGER NOT NULL, -- token budget of a step
    block_size INTEGER NOT NULL,             -- tokens a KV block holds
    kv_blocks INTEGER NOT NULL,              -- KV blocks of one rank, in force
    cpu_kv_blocks INTEGER NOT NULL,          -- blocks that fit into its CPU memory; 0: none are swapped
    offload_blocks INTEGER NOT NULL,         -- prefix blocks that fit into its CPU memory; 0: no offload tier
    draft_tokens INTEGER NOT NULL,           -- of a decode in a round of speculative decoding; 0: none
    tokens_per_round REAL NOT NULL,          -- mean output tokens of a decode in a round; 1 without drafts
    max_model_len INTEGER,                   -- prompt + output tokens at most; NULL: no limit
    gpu_memory_utilization REAL NOT NULL,    -- share of memory_bytes the engine may use
    memory_bytes REAL NOT NULL,              -- of one GPU
    usable_bytes REAL NOT NULL,              -- memory_bytes * gpu_memory_utilization
    weights_bytes REAL NOT NULL,             -- model weights, with those of the draft model
    activations_bytes REAL NOT NULL,         -- peak of one step of max_num_batched_tokens
    context_bytes REAL NOT NULL,             -- driver, CUDA context, graphs, communication buffers
    window_bytes REAL NOT NULL,              -- kept for layers behind a sliding window; 0: they have blocks like all
    block_bytes REAL NOT NULL,               -- one KV block (of the layers without a window, where window_bytes
                                             -- is not 0), with the draft model's KV
    kv_blocks_from_memory INTEGER NOT NULL,  -- what the memory plan gives; kv_blocks when not overridden
    PRIMARY KEY (run_id, pool)
) STRICT, WITHOUT ROWID;

CREATE TABLE cost_source (
    -- Where the times of each operator come from, one row an operator of a pool; only of runs whose cost is a
    -- `profile` of measured operators.
    run_id INTEGER NOT NULL,
    pool TEXT NOT NULL,
    operator TEXT NOT NULL, -- gemm, prefill, decode, mixed (attention), moe, all_reduce, elementwise, sampler
    terms TEXT NOT NULL,    -- terms of a step that its time goes to, as in `step_time`
    source TEXT NOT NULL,   -- measured: rows of this very shape, and between them interpolated; interpolated or
                            -- scaled: some product lies between or outside the measured shapes; roofline: no rows
    rows INTEGER NOT NULL,  -- measured places that the table has of it
    PRIMARY KEY (run_id, pool, operator)
) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    -- One row a request, in the order they left the system; exact integer nanoseconds. No key and no
    -- index: that would double the time of writing. People query the view `requests`. With
    -- `--sample-requests P` a share of the requests has rows, chosen by (seed, request_id): the same ones in
    -- every run of a trace, and those of a smaller P are among those of a larger one. With `--no-requests`
    -- none has. Tables `metric`, `slo` and `run` count all requests all the same; what reads this table
    -- knows the rows that are here only: `requests`, `request_outcomes`, `throughput_by_minute`,
    -- `slowest_requests`, `why_slow`, `compare_runs`.
    run_id INTEGER NOT NULL,
    request_id INTEGER NOT NULL,     -- its place in the trace, from 0; copy r of workload.repeat adds r * rows
    class TEXT,                      -- traffic class the trace gives
    session_id TEXT,                 -- conversation the trace gives
    arrival_ns INTEGER NOT NULL,     -- when the client sent it, since trial start, as all times here
    scheduled_ns INTEGER,            -- start of the first step that contains it
    first_token_ns INTEGER,          -- end of the step that gave the first token
    finish_ns INTEGER,               -- end of the step that gave the last token
    prompt_tokens INTEGER NOT NULL,  -- 0 in the trace counts as 1, also below
    output_tokens INTEGER NOT NULL,  -- as asked
    cached_tokens INTEGER NOT NULL,  -- prompt tokens found in the prefix cache at first admission
    pool TEXT,                       -- where it was routed, and decoded; NULL: it reached no replica
    replica INTEGER,
    preemptions INTEGER NOT NULL,
    preempted_ns INTEGER,            -- from each preemption, or loss of its replica, to the first step after it, summed; NULL: none
    max_itl_ns INTEGER,              -- longest gap between two of its tokens
    status TEXT NOT NULL,            -- ok, rejected, timeout, cancelled, failed, unfinished
    reason TEXT,                     -- of a rejection: kv, prompt, max_model_len, admission, model (unknown), unavailable
                                     -- (no replica); of a failure: crash, or why no other replica took it
    produced_tokens INTEGER,         -- tokens that came out; NULL: all output_tokens did
    client_wait_ns INTEGER,          -- in the client's own queue before arrival_ns (max_concurrency); NULL: none
    prefill_replica INTEGER,         -- computed its prompt, for pool and replica to decode; NULL: one replica did it all
    prefilled_ns INTEGER,            -- end of that prefill
    kv_ready_ns INTEGER              -- its KV was where it decodes, room and link awaited; NULL: also when it left before
) STRICT;

CREATE TABLE request_retry (
    -- Requests that lost their replica and were sent again, one row a time; the view `requests` counts them.
    -- `request` has the replica that took it last. Of the requests that have rows only.
    run_id INTEGER NOT NULL,
    request_id INTEGER NOT NULL,     -- of `request`
    retry INTEGER NOT NULL,          -- 1, 2, ...
    replica INTEGER NOT NULL,        -- that was gone
    lost_ns INTEGER NOT NULL,        -- when, since trial start
    sent_ns INTEGER,                 -- when the next replica took it; NULL: it left before
    PRIMARY KEY (run_id, request_id, retry)
) STRICT, WITHOUT ROWID;

CREATE TABLE request_left (
    -- When requests left that did not finish: timeout, cancelled, failed, or rejected after waiting for a
    -- replica. Of the requests that have rows only.
    run_id INTEGER NOT NULL,
    request_id INTEGER NOT NULL,     -- of `request`
    left_ns INTEGER NOT NULL,        -- since trial start
    PRIMARY KEY (run_id, request_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE step (
    -- Every engine step that ended, with `--steps`: about 100 bytes each. In the order they were found to be
    -- over; those of one replica in the order of time (with data_parallel: of one rank). No key and no
    -- index, as in `request`. A step starts where the one before ended while its replica has something to
    -- do; with pipeline_parallel so many overlap. People query the view `steps`.
    run_id INTEGER NOT NULL,
    replica INTEGER NOT NULL,        -- number in the fleet, from 0
    step INTEGER NOT NULL,           -- number on its replica, from 0; with data_parallel: number on its rank
                                     -- * data_parallel + rank
    start_ns INTEGER NOT NULL,       -- since trial start
    end_ns INTEGER NOT NULL,         -- when its tokens appear
    decodes INTEGER NOT NULL,        -- sequences that decode, one token each
    prefill_tokens INTEGER NOT NULL, -- new tokens of prompts, and of what is computed again after a preemption
    sequences INTEGER NOT NULL,      -- in the batch
    context_tokens INTEGER NOT NULL, -- KV tokens of the batch before the step
    kv_blocks_used INTEGER NOT NULL, -- right after the step was scheduled
    waiting INTEGER NOT NULL,        -- requests in the queue then
    weights_s REAL NOT NULL,         -- seconds by term of the cost model, as in `step_time`; they add up to the step,
                                     -- apart from waiting for the batch in front or for other ranks
    compute_s REAL NOT NULL,         -- likewise
    kv_s REAL NOT NULL,              -- likewise
    attention_s REAL NOT NULL,       -- likewise
    other_s REAL NOT NULL,           -- likewise
    launch_s REAL NOT NULL,          -- likewise
    comm_s REAL NOT NULL,            -- likewise
    host_s REAL NOT NULL             -- likewise
) STRICT;

CREATE TABLE replica (
    -- Totals of each serving engine.
    run_id INTEGER NOT NULL,
    replica INTEGER NOT NULL,         -- number in the fleet, from 0
    pool TEXT NOT NULL,
    steps INTEGER NOT NULL,           -- engine steps
    busy_s REAL NOT NULL,             -- sum of their durations, divided by pipeline_parallel * data_parallel: a
                                      -- step keeps one stage of one rank busy at a time
    finished INTEGER NOT NULL,        -- requests
    rejected INTEGER NOT NULL,        -- requests that could never be served here
    preemptions INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,   -- of first admissions
    cached_tokens INTEGER NOT NULL,   -- of them found in the prefix cache
    output_tokens INTEGER NOT NULL,   -- that appeared
    computed_tokens INTEGER NOT NULL, -- through the model, recomputed ones included
    kv_blocks_peak INTEGER NOT NULL,  -- most KV blocks in use on a rank
    swapped_out_blocks INTEGER NOT NULL, -- KV blocks of preempted requests copied to CPU memory
    swapped_in_blocks INTEGER NOT NULL,  -- and back
    offloaded_blocks INTEGER NOT NULL,   -- evicted prefix blocks copied to CPU memory
    loaded_blocks INTEGER NOT NULL,      -- of them copied back, found by a later request
    PRIMARY KEY (run_id, replica)
) STRICT, WITHOUT ROWID;

CREATE TABLE billing (
    -- Which GPUs were paid for, and when. Physical GPUs, never instances: tensor * pipeline * data parallel
    -- of each replica, from the run's first instant to its last event, but for the time a replica is off.
    run_id INTEGER NOT NULL,
    pool TEXT NOT NULL,
    replica INTEGER,         -- whose GPUs; NULL: nobody's in particular
    gpus INTEGER NOT NULL,
    from_s REAL NOT NULL,
    to_s REAL NOT NULL
) STRICT;
CREATE INDEX billing_run ON billing (run_id, pool);

CREATE TABLE scaling_event (
    -- Replicas that came and went: autoscaling, failures, maintenance. Empty for a fleet without such keys;
    -- otherwise the first rows say what was there at the beginning. States: off (not paid for), starting,
    -- ready, draining (finishes what it has), down (paid for, does nothing). In the order of time.
    -- Example: SELECT time_s, replica, from_state, to_state, why FROM scaling_event WHERE run_id = 1 ORDER BY time_s LIMIT 20;
    run_id INTEGER NOT NULL,
    time_s REAL NOT NULL,
    pool TEXT NOT NULL,
    replica INTEGER NOT NULL,
    from_state TEXT NOT NULL, -- as above
    to_state TEXT NOT NULL,   -- likewise
    why TEXT NOT NULL        -- begin, scale_up, scale_down, demand, started, empty, drain_timeout, crash, repaired,
                             -- outage, outage_over, notice, reclaimed, replaced, maintenance, maintained
) STRICT;
CREATE INDEX scaling_event_run ON scaling_event (run_id, pool, time_s);

CREATE TABLE class_use (
    -- What the requests of each class that finished ok took of each pool.
    run_id INTEGER NOT NULL,
    class TEXT,                     -- NULL: requests without a class
    pool TEXT NOT NULL,             -- that served them: prompts count in a prefill pool, answers in a decode pool
    completed INTEGER NOT NULL,     -- requests that finished there
    prompt_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL, -- of the prompt tokens, found in the prefix cache
    service_s REAL NOT NULL,        -- seconds in a batch, summed: first step to last token, without preemptions;
                                    -- handed over: to the end of its prefill, and from its KV's arrival on
    UNIQUE (run_id, class, pool)
) STRICT;

CREATE TABLE self_check (
    -- Could this result be? Laws no fleet can break, each with what came nearest to its limit. A run that
    -- breaks one is `failed`. Empty for runs that did not reach their end, and with `--no-self-check`.
    run_id INTEGER NOT NULL,
    name TEXT NOT NULL,      -- flops, bytes, kv_bytes (a second, against the GPUs' peaks), capacity (tokens a second, against
                             -- the cost model's best batch), little (request seconds), requests, tokens
    ok INTEGER,              -- 1: holds; NULL: does not apply, as peaks with a linear cost
    pool TEXT,               -- where it came nearest; NULL: a law of the whole run
    replica INTEGER,         -- likewise
    value REAL,              -- what the run implies, counted from below
    limit_value REAL,        -- what value may not exceed (flops, bytes, kv_bytes, capacity), or must equal
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE sample (
    -- Gauges over time, every sample_interval_s. Above 2,000 points the interval doubles and neighbours
    -- merge into their mean, so a long run keeps between 1,000 and 2,000 points. One row a point for the
    -- whole fleet, and where there are several pools one for each of them.
    run_id INTEGER NOT NULL,
    time_s REAL NOT NULL,         -- first instant merged into the point
    pool TEXT,                    -- NULL: the whole fleet
    running REAL NOT NULL,        -- sequences in running batches
    waiting REAL NOT NULL,        -- requests in waiting queues; of the fleet also those that wait for a replica
    kv_blocks_used REAL NOT NULL,
    in_flight REAL NOT NULL,      -- requests arrived and not done; of a pool those that its replicas have
    serving REAL NOT NULL         -- replicas that are there: ready or draining
) STRICT;
CREATE INDEX sample_time ON sample (run_id, pool, time_s);

CREATE TABLE step_time (
    -- Where the busy seconds of a replica went, by term of the cost model.
    run_id INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    term TEXT NOT NULL,   -- weights, compute, attention (prefill), kv (decode), other, launch, comm, host
    busy_s REAL NOT NULL,
    PRIMARY KEY (run_id, replica, term)
) STRICT, WITHOUT ROWID;

CREATE TABLE itl_histogram (
    -- Gaps between two tokens of a request, all requests pooled; only buckets that are not empty. Bounds
    -- are at most 0.2 % apart.
    run_id INTEGER NOT NULL,
    scope TEXT NOT NULL,     -- run: whole run; measured: gaps that end within the measured window
    low_s REAL NOT NULL,     -- low_s <= gap < high_s
    high_s REAL NOT NULL,
    gaps INTEGER NOT NULL,   -- how many
    PRIMARY KEY (run_id, scope, low_s)
) STRICT, WITHOUT ROWID;

CREATE TABLE metric (
    -- Statistics over requests with status ok. Percentiles interpolate linearly between ranks (numpy's
    -- default), std is the population's. TTFT and E2E count from arrival and include frontend_ns. TPOT =
    -- (e2e - ttft) / (output - 1), absent for one token. ITL pools every gap, so long answers weigh more.
    run_id INTEGER NOT NULL,
    scope TEXT NOT NULL,     -- run: whole run; measured: requests that arrived within the measured window
    class TEXT,              -- NULL: all classes
    metric TEXT NOT NULL,    -- ttft_s, tpot_s, e2e_s, queue_s (arrival to first step), itl_s
    count INTEGER NOT NULL,  -- values; where 0 the statistics are NULL
    mean REAL,               -- seconds, as all below
    std REAL,                -- standard deviation of the population
    min REAL,                -- smallest
    p50 REAL,                -- median
    p90 REAL,                -- 90th percentile
    p95 REAL,                -- 95th percentile
    p99 REAL,                -- 99th percentile
    p999 REAL,               -- 99.9th percentile
    max REAL,                -- largest
    exact INTEGER NOT NULL,  -- 1: percentiles of all values; 0: from a histogram, within 0.1 %
    UNIQUE (run_id, scope, metric, class)
) STRICT;

CREATE TABLE slo (
    -- How many requests met the objectives, each those of its class. Empty when the scenario names none.
    run_id INTEGER NOT NULL,
    scope TEXT NOT NULL,       -- run: whole run; measured: requests that arrived within the measured window
    class TEXT,                -- NULL: all classes
    requests INTEGER NOT NULL, -- arrived; one that did not finish ok misses every objective
    met_ttft INTEGER,          -- of them that met the objective for TTFT; NULL: there is none
    met_tpot INTEGER,          -- likewise for TPOT; a request of one output token has TPOT 0
    met_e2e INTEGER,           -- likewise for E2E
    met_all INTEGER NOT NULL,  -- that met every objective asked for
    slo_ttft_s REAL,           -- objective of the class; of all classes: the scenario's own; NULL: none
    slo_tpot_s REAL,           -- likewise
    slo_e2e_s REAL,            -- likewise
    UNIQUE (run_id, scope, class)
) STRICT;

CREATE TABLE size_candidate (
    -- One row a candidate of `rooftrace size`. What a verdict means: docs/sizing.md.
    size_id INTEGER NOT NULL,         -- 1, 2, ...: each call of `rooftrace size` on this file
    candidate TEXT NOT NULL,        -- its name: GPU, tensor parallel degree, setting
    gpu TEXT NOT NULL,              -- name in the catalogue
    tensor_parallel INTEGER NOT NULL, -- degree of a replica
    verdict TEXT NOT NULL,          -- pass, undecided, fail, infeasible: it cannot be built
    reason TEXT NOT NULL,           -- why it was chosen, lost, fails or cannot be built
    chosen INTEGER NOT NULL,        -- 1: the cheapest that holds, or the one with the highest rate
    replicas INTEGER,               -- fewest that hold; NULL: no number that was allowed
    gpus INTEGER,                   -- GPUs of that fleet
    rate REAL,                      -- factor on the workload's rate: the highest that holds; 1 when sizing
    usd_per_h REAL,                 -- of that fleet; NULL: price not known
    binds TEXT,                     -- what holds it back one step further, a reading of figures
    run_id INTEGER,                 -- of that fleet's trial; NULL: none holds
    next_run_id INTEGER,            -- of the trial next to it that does not hold
    monotone INTEGER NOT NULL,      -- 0: smaller fleets than one that fails held; the answer is above
    headroom_rate REAL,             -- of the chosen one: factor on the rate that it still holds
    PRIMARY KEY (size_id, candidate)
) STRICT, WITHOUT ROWID;

CREATE TABLE size_trial (
    -- One row a fleet that `rooftrace size` tried. Its figures are in `summary` under run_id; with several
    -- seeds there is a run for each, numbered on from run_id.
    size_id INTEGER NOT NULL,        -- of size_candidate
    candidate TEXT NOT NULL,         -- of size_candidate
    replicas INTEGER NOT NULL,       -- serving engines
    rate REAL NOT NULL,              -- factor on the workload's rate
    requests_per_s REAL,             -- arrivals; NULL: not one number
    gpus INTEGER NOT NULL,           -- of the fleet
    usd_per_h REAL,                  -- of the fleet; NULL: price not known
    run_id INTEGER NOT NULL,         -- of its first seed
    verdict TEXT NOT NULL,           -- pass, undecided, fail
    stopped INTEGER NOT NULL,        -- 1: early, an objective was certainly missed; figures are of a part
    binds TEXT NOT NULL,             -- what holds it back, a reading of figures
    worst TEXT NOT NULL,             -- the objective nearest to its limit, or furthest beyond
    load_share REAL NOT NULL,        -- work that comes in against what the replicas can do, closed form
    busy_share REAL NOT NULL,        -- 0 to 1 of the replicas' time in which some step ran
    kv_peak_share REAL NOT NULL,     -- 0 to 1, most KV blocks in use on a replica
    queue_share REAL NOT NULL,       -- 0 to 1, of TTFT at its P99
    PRIMARY KEY (size_id, candidate, replicas, rate)
) STRICT, WITHOUT ROWID;

CREATE TABLE size_check (
    -- One objective in one trial: the quantile, its interval, the verdict. Seconds; of an objective with
    -- several limits, shares of them.
    size_id INTEGER NOT NULL,        -- of size_candidate
    run_id INTEGER NOT NULL,         -- of size_trial
    objective TEXT NOT NULL,         -- as the plan says it
    requests INTEGER NOT NULL,       -- that it is about
    late INTEGER NOT NULL,           -- of them beyond the limit, or not finished
    effective_requests REAL NOT NULL, -- independent ones that would say as much
    limit_value REAL NOT NULL,       -- what the quantile must not be above
    value REAL,                      -- estimate; NULL: stopped early, or requests that never finish
    low REAL,                        -- one-sided bound; 0: none
    high REAL,                       -- one-sided bound; NULL: none
    verdict TEXT NOT NULL,           -- pass, undecided, fail
    PRIMARY KEY (size_id, run_id, objective)
) STRICT, WITHOUT ROWID;

CREATE VIEW requests AS
    -- Table `request` in seconds, with the times people ask for.
    -- Example: SELECT request_id, prompt_tokens, ttft_s FROM requests WHERE run_id = 1 AND ttft_s > 0.5 LIMIT 10;
    -- Example: SELECT pool, replica, count(*), avg(ttft_s) FROM requests WHERE run_id = 1 GROUP BY pool, replica;
    SELECT
        q.run_id,
        q.request_id,
        q.class,
        q.session_id,
        q.status,
        q.reason,
        q.arrival_ns / 1e9 AS arrival_s,
        (q.scheduled_ns - q.arrival_ns) / 1e9 AS queue_s, -- arrival to the first step that contains it
        (q.first_token_ns - q.scheduled_ns) / 1e9 AS prefill_s, -- first step to first token, preemptions included
        (q.finish_ns - q.first_token_ns) / 1e9 AS decode_s, -- first token to last token, preemptions included
        q.preempted_ns / 1e9 AS preempted_s, -- from each preemption to the first step after it, summed; NULL: none
        (q.first_token_ns - q.arrival_ns + r.frontend_ns) / 1e9 AS ttft_s, -- arrival to first token, frontend included
        CASE WHEN q.status = 'ok' AND q.output_tokens > 1
            THEN (q.finish_ns - q.first_token_ns) / CAST(q.output_tokens - 1 AS REAL) / 1e9
        END AS tpot_s, -- mean gap after the first token; NULL for one token
        (q.finish_ns - q.arrival_ns + r.frontend_ns) / 1e9 AS e2e_s, -- arrival to last token, frontend included
        CASE WHEN q.status = 'ok' AND q.output_tokens > 1 AND q.finish_ns > q.first_token_ns
            THEN (q.output_tokens - 1) * 1e9 / (q.finish_ns - q.first_token_ns)
        END AS tps, -- tokens per second the user sees: 1 / tpot_s
        q.max_itl_ns / 1e9 AS max_itl_s, -- longest gap between two of its tokens
        q.prompt_tokens,
        q.output_tokens, -- as asked
        coalesce(q.produced_tokens, q.output_tokens) AS produced_tokens, -- that came out
        q.cached_tokens,
        q.pool,
        q.replica,
        q.preemptions,
        coalesce(q.client_wait_ns, 0) / 1e9 AS client_wait_s, -- in the client's own queue, before arrival_s; in no other time here
        q.prefill_replica, -- computed its prompt for the other one; NULL: one replica did it all
        (q.kv_ready_ns - q.prefilled_ns) / 1e9 AS kv_transfer_s, -- end of that prefill until its KV was there: room, link, latency
        (SELECT count(*) FROM request_retry AS t
            WHERE t.run_id = q.run_id AND t.request_id = q.request_id) AS retries, -- times it lost its replica and was sent again
        CASE WHEN q.status IN ('timeout', 'cancelled', 'failed', 'rejected') THEN
            coalesce((SELECT l.left_ns FROM request_left AS l WHERE l.run_id = q.run_id
                AND l.request_id = q.request_id), q.arrival_ns)
            ELSE q.finish_ns END / 1e9 AS left_s -- when it left, with its answer or without; NULL: unfinished
    FROM request AS q JOIN run AS r ON r.run_id = q.run_id;

CREATE VIEW steps AS
    -- Table `step` in seconds, when `--steps` was given.
    -- Example: SELECT kind, count(*), avg(duration_s), max(sequences) FROM steps WHERE run_id = 1 GROUP BY kind;
    -- Example: SELECT replica, step, start_s, kind, duration_s FROM steps WHERE run_id = 1 ORDER BY duration_s DESC LIMIT 10;
    SELECT
        run_id,
        replica,
        step, -- number on its replica, from 0
        CASE WHEN prefill_tokens = 0 THEN 'decode' WHEN decodes = 0 THEN 'prefill' ELSE 'mixed' END AS kind, -- prefill, decode, or mixed: both
        start_ns / 1e9 AS start_s,
        end_ns / 1e9 AS end_s,
        (end_ns - start_ns) / 1e9 AS duration_s,
        decodes, -- sequences that decode, one token each
        prefill_tokens,
        sequences, -- in the batch
        context_tokens,
        kv_blocks_used,
        waiting, -- requests in the queue when it was scheduled
        weights_s,
        compute_s,
        kv_s,
        attention_s,
        other_s,
        launch_s,
        comm_s,
        host_s
    FROM step;

CREATE VIEW summary AS
    -- One row a run, with the names vLLM's benchmark gives its results. Latencies in milliseconds, rates a
    -- second of duration. A run that never ended has NULL figures; its rows are in `requests`.
    -- Example: SELECT run_id, request_throughput, p99_ttft_ms, p99_tpot_ms FROM summary;
    WITH fleet AS (
        SELECT run_id, group_concat(DISTINCT model) AS model, group_concat(DISTINCT gpu) AS gpu,
            sum(gpus) AS gpus, sum(replicas) AS replicas
        FROM pool GROUP BY run_id
    )
    SELECT
        r.run_id,
        r.label,
        r.status, -- running, complete, interrupted, failed
        r.message,
        r.trace,
        f.model, -- of all pools, separated by commas
        f.gpu, -- likewise
        f.gpus, -- number of GPUs
        f.replicas,
        r.duration_s AS duration, -- seconds
        r.requests, -- arrived
        r.completed, -- requests with status ok
        r.requests - r.completed AS failed, -- every request that did not finish: rejected, unfinished, ...
        r.rejected,
        r.timed_out, -- requests whose clients gave up
        r.cancelled, -- requests that their users cancelled
        r.lost_requests, -- requests that lost their replica for good
        r.retries, -- times a request lost its replica and was sent again
        r.unfinished,
        r.input_tokens AS total_input_tokens, -- of completed requests
        r.output_tokens AS total_output_tokens, -- of completed requests
        r.completed / nullif(r.duration_s, 0) AS request_throughput, -- requests per second
        o.met_all / nullif(r.duration_s, 0) AS request_goodput, -- requests per second that met all objectives
        r.output_tokens / nullif(r.duration_s, 0) AS output_throughput, -- tokens per second
        (r.input_tokens + r.output_tokens) / nullif(r.duration_s, 0) AS total_token_throughput, -- tokens per second
        r.max_output_tokens_per_s, -- most output tokens that appeared in one second
        r.max_concurrent_requests,
        t.mean * 1e3 AS mean_ttft_ms,
        t.p50 * 1e3 AS median_ttft_ms,
        t.std * 1e3 AS std_ttft_ms,
        t.p90 * 1e3 AS p90_ttft_ms,
        t.p95 * 1e3 AS p95_ttft_ms,
        t.p99 * 1e3 AS p99_ttft_ms,
        t.p999 * 1e3 AS p999_ttft_ms,
        t.max * 1e3 AS max_ttft_ms,
        p.mean * 1e3 AS mean_tpot_ms,
        p.p50 * 1e3 AS median_tpot_ms,
        p.std * 1e3 AS std_tpot_ms,
        p.p90 * 1e3 AS p90_tpot_ms,
        p.p95 * 1e3 AS p95_tpot_ms,
        p.p99 * 1e3 AS p99_tpot_ms,
        p.p999 * 1e3 AS p999_tpot_ms,
        p.max * 1e3 AS max_tpot_ms,
        i.mean * 1e3 AS mean_itl_ms,
        i.p50 * 1e3 AS median_itl_ms,
        i.std * 1e3 AS std_itl_ms,
        i.p90 * 1e3 AS p90_itl_ms,
        i.p95 * 1e3 AS p95_itl_ms,
        i.p99 * 1e3 AS p99_itl_ms,
        i.p999 * 1e3 AS p999_itl_ms,
        i.max * 1e3 AS max_itl_ms,
        e.mean * 1e3 AS mean_e2el_ms,
        e.p50 * 1e3 AS median_e2el_ms,
        e.std * 1e3 AS std_e2el_ms,
        e.p90 * 1e3 AS p90_e2el_ms,
        e.p95 * 1e3 AS p95_e2el_ms,
        e.p99 * 1e3 AS p99_e2el_ms,
        e.p999 * 1e3 AS p999_e2el_ms,
        e.max * 1e3 AS max_e2el_ms,
        r.preemptions,
        r.cached_tokens,
        r.wall_s -- real seconds the replay took
    FROM run AS r
    LEFT JOIN fleet AS f ON f.run_id = r.run_id
    LEFT JOIN slo AS o ON o.run_id = r.run_id AND o.scope = 'run' AND o.class IS NULL
    LEFT JOIN metric AS t
        ON t.run_id = r.run_id AND t.scope = 'run' AND t.metric = 'ttft_s' AND t.class IS NULL
    LEFT JOIN metric AS p
        ON p.run_id = r.run_id AND p.scope = 'run' AND p.metric = 'tpot_s' AND p.class IS NULL
    LEFT JOIN metric AS i
        ON i.run_id = r.run_id AND i.scope = 'run' AND i.metric = 'itl_s' AND i.class IS NULL
    LEFT JOIN metric AS e
        ON e.run_id = r.run_id AND e.scope = 'run' AND e.metric = 'e2e_s' AND e.class IS NULL;

CREATE VIEW request_outcomes AS
    -- How many requests ended how. Counts rows, so it answers for a killed run too, and for the rows that
    -- are there only: with `--sample-requests` the sample's, with `--no-requests` none (see `summary`).
    -- Example: SELECT status, reason, requests FROM request_outcomes WHERE run_id = 1;
    SELECT run_id,
        status,
        reason,
        count(*) AS requests,
        sum(prompt_tokens) AS prompt_tokens,
        sum(coalesce(produced_tokens, output_tokens)) AS produced_tokens -- output tokens that came out
    FROM request GROUP BY run_id, status, reason;

CREATE VIEW throughput_by_minute AS
    -- What arrived and what finished in each minute of the trial. The tokens of a request count in the
    -- minute it finished; rates divide by 60 s, also in the last minute. Counts rows: with
    -- `--sample-requests` divide by `run.request_share`, with `--no-requests` it is empty.
    -- Example: SELECT minute, arrived, completed, output_tokens_per_s FROM throughput_by_minute WHERE run_id = 1;
    WITH event AS (
        SELECT run_id, arrival_ns / 60000000000 AS minute, 1 AS arrived, 0 AS completed, 0 AS input, 0 AS output
        FROM request
        UNION ALL
        SELECT run_id, finish_ns / 60000000000, 0, 1, prompt_tokens, output_tokens
        FROM request WHERE status = 'ok'
    )
    SELECT run_id,
        minute, -- from 0
        sum(arrived) AS arrived, -- requests
        sum(completed) AS completed, -- requests with status ok
        sum(input) AS input_tokens,
        sum(output) AS output_tokens,
        sum(completed) / 60.0 AS requests_per_s,
        sum(output) / 60.0 AS output_tokens_per_s
    FROM event GROUP BY run_id, minute;

CREATE VIEW slo_attainment AS
    -- Share of requests (0 to 1) that met the objectives, for the whole run and the measured window.
    -- Example: SELECT scope, class, ttft, tpot, e2e, all_met FROM slo_attainment WHERE run_id = 1;
    SELECT o.run_id,
        o.scope, -- run or measured
        o.class, -- NULL: all classes
        o.requests,
        o.slo_ttft_s,
        o.slo_tpot_s,
        o.slo_e2e_s,
        o.met_ttft * 1.0 / nullif(o.requests, 0) AS ttft,
        o.met_tpot * 1.0 / nullif(o.requests, 0) AS tpot,
        o.met_e2e * 1.0 / nullif(o.requests, 0) AS e2e,
        o.met_all * 1.0 / nullif(o.requests, 0) AS all_met -- share, 0 to 1, that met every objective asked for
    FROM slo AS o;

CREATE VIEW goodput AS
    -- Requests per second that met all objectives (DistServe). The measured window divides by its own
    -- length, cut at the end of the run.
    -- Example: SELECT scope, good_requests, goodput, good_share FROM goodput WHERE run_id = 1 AND class IS NULL;
    WITH span AS (
        SELECT run_id, 'run' AS scope, duration_s AS seconds FROM run
        UNION ALL
        SELECT run_id, 'measured', min(coalesce(measure_to_s, duration_s), duration_s) - measure_from_s
        FROM run WHERE measure_from_s IS NOT NULL
    )
    SELECT o.run_id,
        o.scope,
        o.class, -- NULL: all classes
        s.seconds AS span_s, -- seconds, what goodput divides by
        o.met_all AS good_requests,
        CASE WHEN s.seconds > 0 THEN o.met_all / s.seconds END AS goodput, -- requests per second
        o.met_all * 1.0 / nullif(o.requests, 0) AS good_share -- 0 to 1, of the requests that arrived
    FROM slo AS o JOIN span AS s ON s.run_id = o.run_id AND s.scope = o.scope;

CREATE VIEW pool_spend AS
    -- What each pool cost and drew. GPU hours are those billed, idle ones included. NULL where a price or a
    -- power is not known. Energy: idle power all the time, the rest of the busy power while steps run, times pue.
    -- Example: SELECT pool, gpu_hours, busy_gpu_hours, cost_usd, energy_kwh FROM pool_spend WHERE run_id = 1;
    WITH billed AS (
        SELECT run_id, pool, sum(gpus * (to_s - from_s)) / 3600 AS gpu_hours FROM billing GROUP BY run_id, pool
    ), busy AS (
        SELECT run_id, pool, sum(busy_s) AS busy_s FROM replica GROUP BY run_id, pool
    )
    SELECT p.run_id,
        p.pool,
        p.gpu,
        p.gpus, -- of all replicas
        b.gpu_hours, -- billed
        u.busy_s * p.gpus / p.replicas / 3600 AS busy_gpu_hours, -- of them, while steps ran
        p.pricing, -- on_demand, spot, reserved, own; NULL: no price known
        b.gpu_hours * p.gpu_price_usd_per_h AS cost_usd,
        b.gpu_hours * p.gpu_price_low_usd_per_h AS cost_low_usd, -- at the lowest price that was seen
        b.gpu_hours * p.gpu_price_high_usd_per_h AS cost_high_usd, -- at the highest
        r.pue * (b.gpu_hours * p.gpu_idle_w
            + u.busy_s * p.gpus / p.replicas / 3600 * (p.gpu_busy_w - p.gpu_idle_w)) / 1e3 AS energy_kwh -- pue included
    FROM pool AS p
    JOIN run AS r ON r.run_id = p.run_id
    LEFT JOIN billed AS b ON b.run_id = p.run_id AND b.pool = p.pool
    LEFT JOIN busy AS u ON u.run_id = p.run_id AND u.pool = p.pool;

CREATE VIEW spend AS
    -- What a run cost: every GPU billed, whatever it did. The whole cost is divided by each kind of token in
    -- turn, completed requests only. NULL where a price (or power, or carbon intensity) of a pool is not known.
    -- Example: SELECT run_id, gpus, cost_usd, usd_per_million_output_tokens FROM spend;
    -- Example: SELECT cost_low_usd, cost_usd, cost_high_usd, energy_kwh, gco2 FROM spend WHERE run_id = 1;
    WITH fleet AS (
        SELECT run_id, sum(gpus) AS gpus, sum(gpu_hours) AS gpu_hours, sum(busy_gpu_hours) AS busy_gpu_hours,
            CASE WHEN count(cost_usd) = count(*) THEN sum(cost_usd) END AS cost_usd,
            CASE WHEN count(cost_low_usd) = count(*) THEN sum(cost_low_usd) END AS cost_low_usd,
            CASE WHEN count(cost_high_usd) = count(*) THEN sum(cost_high_usd) END AS cost_high_usd,
            CASE WHEN count(energy_kwh) = count(*) THEN sum(energy_kwh) END AS energy_kwh
        FROM pool_spend GROUP BY run_id
    ), rate AS (
        SELECT run_id,
            CASE WHEN count(gpu_price_usd_per_h) = count(*) THEN sum(gpus * gpu_price_usd_per_h) END AS usd_per_h
        FROM pool GROUP BY run_id
    )
    SELECT r.run_id,
        f.gpus, -- of all replicas
        f.gpu_hours, -- billed
        f.busy_gpu_hours, -- of them, while steps ran
        p.usd_per_h AS fleet_usd_per_h, -- with all replicas there
        f.cost_usd,
        f.cost_low_usd, -- at the lowest prices that were seen
        f.cost_high_usd, -- at the highest
        f.cost_usd * 1e6 / nullif(r.output_tokens, 0) AS usd_per_million_output_tokens, -- whole cost
        f.cost_usd * 1e6 / nullif(r.input_tokens, 0) AS usd_per_million_prompt_tokens, -- whole cost
        f.cost_usd * 1e6 / nullif(r.input_tokens + r.output_tokens, 0) AS usd_per_million_tokens, -- prompt and output
        f.cost_low_usd * 1e6 / nullif(r.output_tokens, 0) AS low_usd_per_million_output_tokens,
        f.cost_high_usd * 1e6 / nullif(r.output_tokens, 0) AS high_usd_per_million_output_tokens,
        f.cost_usd * 1e3 / nullif(r.completed, 0) AS usd_per_thousand_requests,
        f.energy_kwh, -- pue included
        f.energy_kwh * 3.6e6 / nullif(r.output_tokens, 0) AS joules_per_output_token, -- whole energy
        f.energy_kwh * r.gco2_per_kwh AS gco2 -- grams of CO2 equivalent
    FROM run AS r JOIN fleet AS f ON f.run_id = r.run_id JOIN rate AS p ON p.run_id = r.run_id;

CREATE VIEW replicas_over_time AS
    -- How many replicas of each pool were in which state, from each change on. Empty for a fleet that never
    -- changes.
    -- Example: SELECT pool, time_s, ready, starting, draining, paid FROM replicas_over_time WHERE run_id = 1;
    WITH change AS (
        SELECT run_id, pool, time_s,
            sum((to_state = 'ready') - (from_state = 'ready')) AS ready,
            sum((to_state = 'starting') - (from_state = 'starting')) AS starting,
            sum((to_state = 'draining') - (from_state = 'draining')) AS draining,
            sum((to_state = 'down') - (from_state = 'down')) AS down
        FROM scaling_event GROUP BY run_id, pool, time_s
    )
    SELECT run_id,
        pool,
        time_s, -- from here on
        sum(ready) OVER so_far AS ready, -- replicas, as those below
        sum(starting) OVER so_far AS starting, -- provisioned, or loading weights
        sum(draining) OVER so_far AS draining, -- finish what they have
        sum(down) OVER so_far AS down, -- crashed, or under maintenance
        sum(ready + starting + draining + down) OVER so_far AS paid -- all but those that are off
    FROM change
    WINDOW so_far AS (PARTITION BY run_id, pool ORDER BY time_s);

CREATE VIEW class_spend AS
    -- What each class of requests cost. A pool's cost is shared out by the time its finished requests of each
    -- class spent in a batch (service_s); a pool where none finished, by that time in all pools. The classes'
    -- costs add up to the run's. Time, not tokens: a prompt token and an output token take very different
    -- shares of a GPU, and an output token of a long context more than one of a short one.
    -- Example: SELECT class, share, cost_usd, usd_per_million_output_tokens FROM class_spend WHERE run_id = 1;
    WITH pool_service AS (
        SELECT run_id, pool, sum(service_s) AS service_s FROM class_use GROUP BY run_id, pool
    ), class_total AS (
        SELECT run_id, class, sum(completed) AS completed, sum(prompt_tokens) AS prompt_tokens,
            sum(output_tokens) AS output_tokens, sum(cached_tokens) AS cached_tokens, sum(service_s) AS service_s
        FROM class_use GROUP BY run_id, class
    ), total AS (
        SELECT run_id, sum(service_s) AS service_s FROM class_use GROUP BY run_id
    ), part AS (
        SELECT c.run_id, c.class, p.gpu_hours, p.cost_usd, p.cost_low_usd, p.cost_high_usd, p.energy_kwh,
            CASE WHEN s.service_s > 0 THEN coalesce(u.service_s, 0) / s.service_s
                ELSE c.service_s / nullif(t.service_s, 0) END AS share
        FROM class_total AS c
        JOIN total AS t ON t.run_id = c.run_id
        JOIN pool_spend AS p ON p.run_id = c.run_id
        LEFT JOIN pool_service AS s ON s.run_id = p.run_id AND s.pool = p.pool
        LEFT JOIN class_use AS u ON u.run_id = c.run_id AND u.pool = p.pool AND u.class IS c.class
    ), cost AS (
        SELECT run_id, class, sum(share * gpu_hours) AS gpu_hours,
            CASE WHEN count(cost_usd) = count(*) THEN sum(share * cost_usd) END AS cost_usd,
            CASE WHEN count(cost_low_usd) = count(*) THEN sum(share * cost_low_usd) END AS cost_low_usd,
            CASE WHEN count(cost_high_usd) = count(*) THEN sum(share * cost_high_usd) END AS cost_high_usd,
            CASE WHEN count(energy_kwh) = count(*) THEN sum(share * energy_kwh) END AS energy_kwh
        FROM part GROUP BY run_id, class
    )
    SELECT c.run_id,
        c.class, -- NULL: requests without a class
        c.completed, -- requests
        c.prompt_tokens,
        c.output_tokens,
        c.cached_tokens,
        c.service_s, -- seconds in a batch, summed
        k.gpu_hours, -- its part of those billed
        k.gpu_hours / nullif(s.gpu_hours, 0) AS share, -- 0 to 1, of the run's GPU hours
        k.cost_usd,
        k.cost_low_usd, -- at the lowest prices
        k.cost_high_usd, -- at the highest
        k.cost_usd * 1e6 / nullif(c.output_tokens, 0) AS usd_per_million_output_tokens,
        k.cost_usd * 1e6 / nullif(c.prompt_tokens, 0) AS usd_per_million_prompt_tokens,
        k.cost_usd * 1e6 / nullif(c.prompt_tokens + c.output_tokens, 0) AS usd_per_million_tokens,
        k.energy_kwh, -- pue included
        k.energy_kwh * r.gco2_per_kwh AS gco2 -- grams of CO2 equivalent
    FROM class_total AS c
    JOIN cost AS k ON k.run_id = c.run_id AND k.class IS c.class
    JOIN spend AS s ON s.run_id = c.run_id
    JOIN run AS r ON r.run_id = c.run_id;

CREATE VIEW fleet_use AS
    -- How busy each pool was while it was paid for.
    -- Example: SELECT pool, busy_share, kv_peak_share, output_tokens_per_s_per_gpu FROM fleet_use WHERE run_id = 1;
    SELECT p.run_id,
        p.pool,
        p.replicas,
        p.gpus,
        sum(e.steps) AS steps,
        sum(e.busy_s) / nullif((SELECT sum(b.gpus * (b.to_s - b.from_s)) FROM billing AS b
            WHERE b.run_id = p.run_id AND b.pool = p.pool) * p.replicas / p.gpus, 0) AS busy_share, -- 0 to 1 of the time paid for
        min(e.busy_s) / nullif(r.duration_s, 0) AS least_busy_share, -- 0 to 1, of the least busy replica
        max(e.busy_s) / nullif(r.duration_s, 0) AS most_busy_share, -- 0 to 1, of the busiest replica
        max(e.kv_blocks_peak) * 1.0 / p.kv_blocks AS kv_peak_share, -- 0 to 1, most KV blocks in use on a replica
        sum(e.preemptions) AS preemptions,
        sum(e.cached_tokens) * 1.0 / nullif(sum(e.prompt_tokens), 0) AS cached_share, -- 0 to 1, of prompt tokens
        sum(e.computed_tokens) * 1.0 / nullif(sum(e.steps), 0) AS tokens_per_step,
        sum(e.output_tokens) / nullif((SELECT sum(b.gpus * (b.to_s - b.from_s)) FROM billing AS b
            WHERE b.run_id = p.run_id AND b.pool = p.pool), 0) AS output_tokens_per_s_per_gpu -- of the time paid for
    FROM pool AS p
    JOIN run AS r ON r.run_id = p.run_id
    JOIN replica AS e ON e.run_id = p.run_id AND e.pool = p.pool
    GROUP BY p.run_id, p.pool;

CREATE VIEW step_time_share AS
    -- Where the GPU time of each pool went, by term of the cost model.
    -- Example: SELECT pool, term, busy_s, share FROM step_time_share WHERE run_id = 1 ORDER BY share DESC;
    SELECT t.run_id,
        e.pool,
        t.term,
        sum(t.busy_s) AS busy_s, -- of all replicas
        sum(t.busy_s) / nullif(sum(sum(t.busy_s)) OVER (PARTITION BY t.run_id, e.pool), 0) AS share -- 0 to 1, of the pool's busy time
    FROM step_time AS t JOIN replica AS e ON e.run_id = t.run_id AND e.replica = t.replica
    GROUP BY t.run_id, e.pool, t.term;

CREATE VIEW slowest_requests AS
    -- The 100 requests of each run that waited longest for their first token. Requests that never got one
    -- are not among them: see `request_outcomes`; nor are those that `--sample-requests` left out.
    -- Example: SELECT rank, request_id, ttft_s, queue_s, prompt_tokens FROM slowest_requests WHERE run_id = 1 LIMIT 10;
    WITH ranked AS (
        SELECT rowid AS place, row_number() OVER (
            PARTITION BY run_id ORDER BY first_token_ns - arrival_ns DESC, request_id) AS rank
        FROM request WHERE first_token_ns IS NOT NULL
    )
    SELECT q.run_id,
        k.rank, -- 1 = slowest
        q.request_id,
        q.class,
        q.status,
        q.arrival_ns / 1e9 AS arrival_s,
        (q.first_token_ns - q.arrival_ns + r.frontend_ns) / 1e9 AS ttft_s, -- arrival to first token, frontend included
        (q.scheduled_ns - q.arrival_ns) / 1e9 AS queue_s, -- arrival to its first step
        (q.first_token_ns - q.scheduled_ns) / 1e9 AS prefill_s, -- first step to first token
        (q.finish_ns - q.arrival_ns + r.frontend_ns) / 1e9 AS e2e_s, -- arrival to last token, frontend included
        q.prompt_tokens,
        q.output_tokens,
        q.preemptions,
        q.pool,
        q.replica,
        q.prefill_replica, -- computed its prompt for the other one; NULL: one replica did it all
        (q.first_token_ns - q.prefilled_ns) / 1e9 AS hand_over_s, -- end of its prefill there to its first token
        (SELECT max(t.lost_ns) FROM request_retry AS t WHERE t.run_id = q.run_id AND t.request_id = q.request_id
            AND t.lost_ns < q.first_token_ns) / 1e9 AS lost_s -- last lost its replica before its first token; NULL: never
    FROM ranked AS k
    JOIN request AS q ON q.rowid = k.place
    JOIN run AS r ON r.run_id = q.run_id
    WHERE k.rank <= 100
    ORDER BY q.run_id, k.rank;

CREATE VIEW why_slow AS
    -- What its pool was doing while each of the slowest requests waited for its first token: the mean of
    -- the samples from the last one at its arrival to its first token, held against the replicas that were
    -- there. Of a prompt that a prefill pool computed it is that pool. `mostly` is a reading of these
    -- figures, not a measurement: "lost its replica" before its first token; "own prefill" when its prefill
    -- took longer than its queue, "hand-over" when the way from there to its first token took longer than
    -- both; otherwise "queue: no replica" when it waited at least half of the time for its replica to become
    -- ready, "queue: KV full" when 90 % of the KV blocks were in use, "queue: batch full" when 90 % of the
    -- seats (max_num_seqs) were taken, else "queue: token budget": prompts ahead of it took the steps.
    -- Example: SELECT rank, ttft_s, queue_s, prefill_s, kv_used_share, mostly FROM why_slow WHERE run_id = 1 LIMIT 10;
    -- Example: SELECT mostly, count(*), avg(ttft_s) FROM why_slow WHERE run_id = 1 GROUP BY mostly;
    WITH slow AS MATERIALIZED (
        SELECT s.*, p.pool AS queued_in,
            CASE WHEN (SELECT count(*) FROM pool AS o WHERE o.run_id = s.run_id) > 1 THEN p.pool END AS sampled,
            p.data_parallel * p.kv_blocks AS kv_blocks, p.data_parallel * p.max_num_seqs AS seats,
            s.prefill_s - coalesce(s.hand_over_s, 0) AS own_s,
            (SELECT max(e.time_s) FROM scaling_event AS e WHERE e.run_id = s.run_id AND e.pool = p.pool
                AND e.replica = s.replica AND e.to_state = 'ready'
                AND e.time_s <= s.arrival_s + s.queue_s + 1e-9) - s.arrival_s AS no_replica_s
        FROM slowest_requests AS s JOIN pool AS p ON p.run_id = s.run_id
            AND coalesce(s.prefill_replica, s.replica) >= p.first_replica
            AND coalesce(s.prefill_replica, s.replica) < p.first_replica + p.replicas
    ), seen AS (
        SELECT s.run_id, s.rank, count(*) AS samples, avg(g.running) AS running, avg(g.waiting) AS waiting,
            avg(g.kv_blocks_used) AS kv_blocks_used, avg(g.serving) AS serving
        FROM slow AS s JOIN sample AS g
            ON g.run_id = s.run_id AND g.pool IS s.sampled
            AND g.time_s <= s.arrival_s + s.queue_s + s.prefill_s
            AND g.time_s >= coalesce((SELECT max(b.time_s) FROM sample AS b WHERE b.run_id = s.run_id
                AND b.pool IS s.sampled AND b.time_s <= s.arrival_s), 0)
        GROUP BY s.run_id, s.rank
    )
    SELECT s.run_id,
        s.rank, -- 1 = slowest
        s.request_id,
        s.pool,
        s.replica,
        s.queued_in, -- pool whose figures these are: where its prompt was computed
        s.arrival_s,
        s.ttft_s, -- arrival to first token, frontend included
        s.queue_s, -- arrival to its first step
        s.prefill_s, -- first step to first token
        s.prompt_tokens,
        s.preemptions,
        w.samples, -- of its pool, that the means are taken over; NULL: none
        w.running, -- mean running sequences of its pool
        w.waiting, -- mean waiting requests of its pool; of a single pool also those that wait for a replica
        w.serving, -- mean replicas of its pool that were there
        w.kv_blocks_used * 1.0 / nullif(w.serving * s.kv_blocks, 0) AS kv_used_share, -- 0 to 1, of the KV blocks of those
        w.running * 1.0 / nullif(w.serving * s.seats, 0) AS seats_used_share, -- 0 to 1, of max_num_seqs of those
        CASE
            WHEN s.lost_s IS NOT NULL THEN 'lost its replica'
            WHEN s.hand_over_s > s.queue_s AND s.hand_over_s > s.own_s THEN 'hand-over'
            WHEN s.own_s > s.queue_s THEN 'own prefill'
            WHEN s.no_replica_s >= 0.5 * s.queue_s AND s.no_replica_s > 0 THEN 'queue: no replica'
            WHEN w.samples IS NULL THEN 'queue'
            WHEN w.serving = 0 THEN 'queue: no replica'
            WHEN w.kv_blocks_used >= 0.9 * w.serving * s.kv_blocks THEN 'queue: KV full'
            WHEN w.running >= 0.9 * w.serving * s.seats THEN 'queue: batch full'
            ELSE 'queue: token budget'
        END AS mostly -- a reading of the figures, see above
    FROM slow AS s
    LEFT JOIN seen AS w ON w.run_id = s.run_id AND w.rank = s.rank
    ORDER BY s.run_id, s.rank;

CREATE VIEW trials AS
    -- The runs of a sweep: what each changed, how it ended, the figures people compare. Empty without a
    -- sweep. `varied` is JSON: json_extract(varied, '$."pools[0].replicas"') is one value of it.
    -- Example: SELECT trial, varied, p99_ttft_ms FROM trials WHERE status = 'complete' ORDER BY p99_ttft_ms LIMIT 10;
    -- Example: SELECT json_extract(varied, '$."pools[0].replicas"') AS replicas, avg(p99_ttft_ms) FROM trials GROUP BY 1;
    SELECT r.run_id AS trial, -- number in the plan, from 1
        r.varied, -- JSON object: path in the scenario, value
        r.status, -- complete, failed; running or interrupted when the sweep stopped
        r.message, -- why it failed
        r.seed, -- trials of equal seeds and loads see the same arrivals
        s.gpus, -- number of GPUs
        s.requests, -- arrived
        s.completed, -- requests with status ok
        s.median_ttft_ms AS p50_ttft_ms,
        s.p99_ttft_ms,
        s.median_tpot_ms AS p50_tpot_ms,
        s.p99_tpot_ms,
        s.request_throughput AS requests_per_s,
        s.request_goodput AS good_requests_per_s, -- that met all objectives
        s.output_throughput AS output_tokens_per_s,
        x.usd_per_million_output_tokens -- NULL where a price is not known
    FROM run AS r
    JOIN summary AS s ON s.run_id = r.run_id
    LEFT JOIN spend AS x ON x.run_id = r.run_id
    WHERE r.plan_hash IS NOT NULL
    ORDER BY r.run_id;

CREATE VIEW pareto AS
    -- Every complete run as a point of throughput against speed, and as one of cost, TTFT and TPOT; whether
    -- any other run of this file is at least as good in all of them and better in one.
    -- Example: SELECT run_id, label, tokens_per_s_per_gpu, tokens_per_s_per_user FROM pareto WHERE on_front;
    -- Example: SELECT label, usd_per_h, p99_ttft_ms, p99_tpot_ms FROM pareto WHERE on_cost_front ORDER BY usd_per_h;
    WITH point AS (
        SELECT s.run_id, s.label, s.model, s.gpu, s.gpus, s.output_throughput / s.gpus AS x,
            1e3 / s.median_tpot_ms AS y, s.p99_ttft_ms, s.p99_tpot_ms, p.fleet_usd_per_h AS usd_per_h
        FROM summary AS s JOIN spend AS p ON p.run_id = s.run_id WHERE s.status = 'complete'
    )
    SELECT a.run_id,
        a.label,
        a.model, -- of all pools
        a.gpu, -- of all pools
        a.gpus,
        a.x AS tokens_per_s_per_gpu, -- output tokens
        a.y AS tokens_per_s_per_user, -- 1 / median TPOT
        a.p99_ttft_ms,
        a.p99_tpot_ms,
        a.usd_per_h, -- of the fleet; NULL: price not known
        NOT EXISTS (SELECT 1 FROM point AS b
            WHERE b.x >= a.x AND b.y >= a.y AND (b.x > a.x OR b.y > a.y)) AS on_front, -- 1: no run is better in both axes
        a.usd_per_h IS NOT NULL AND NOT EXISTS (SELECT 1 FROM point AS b
            WHERE b.usd_per_h <= a.usd_per_h AND b.p99_ttft_ms <= a.p99_ttft_ms AND b.p99_tpot_ms <= a.p99_tpot_ms
                AND (b.usd_per_h < a.usd_per_h OR b.p99_ttft_ms < a.p99_ttft_ms OR b.p99_tpot_ms < a.p99_tpot_ms)
            ) AS on_cost_front -- 1: none is cheaper without being slower
    FROM point AS a;

CREATE VIEW compare_runs AS
    -- Two runs of the same trace, request by request; difference = b - a, in seconds. Requests that have rows
    -- in both: with `--sample-requests` use the same seed for both, so that the samples are the same.
    -- Example: SELECT request_id, ttft_a_s, ttft_b_s FROM compare_runs WHERE run_a = 1 AND run_b = 2 ORDER BY ttft_difference_s LIMIT 10;
    SELECT
        a.run_id AS run_a,
        b.run_id AS run_b, -- run_b > run_a
        a.request_id,
        a.status AS status_a,
        b.status AS status_b,
        a.ttft_s AS ttft_a_s,
        b.ttft_s AS ttft_b_s,
        b.ttft_s - a.ttft_s AS ttft_difference_s,
        a.tpot_s AS tpot_a_s,
        b.tpot_s AS tpot_b_s,
        b.tpot_s - a.tpot_s AS tpot_difference_s,
        a.e2e_s AS e2e_a_s,
        b.e2e_s AS e2e_b_s,
        b.e2e_s - a.e2e_s AS e2e_difference_s
    FROM requests AS a
    JOIN requests AS b ON b.request_id = a.request_id AND b.run_id > a.run_id
    JOIN run AS s ON s.run_id = a.run_id
    JOIN run AS t ON t.run_id = b.run_id AND t.trace = s.trace;

CREATE VIEW compare_metrics AS
    -- Two runs of the same trace, statistic by statistic.
    -- Example: SELECT metric, statistic, a, b, ratio FROM compare_metrics WHERE run_a = 1 AND run_b = 2 AND class IS NULL;
    WITH flat AS (
        SELECT run_id, scope, class, metric, 1 AS place, 'mean' AS statistic, mean AS value FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 2, 'std', std FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 3, 'min', min FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 4, 'p50', p50 FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 5, 'p90', p90 FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 6, 'p95', p95 FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 7, 'p99', p99 FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 8, 'p999', p999 FROM metric
        UNION ALL SELECT run_id, scope, class, metric, 9, 'max', max FROM metric
    )
    SELECT
        a.run_id AS run_a,
        b.run_id AS run_b, -- run_b > run_a
        a.scope, -- run or measured
        a.class, -- NULL: all classes
        a.metric, -- ttft_s, tpot_s, e2e_s, queue_s, itl_s
        a.statistic, -- mean, std, min, p50, p90, p95, p99, p999, max
        a.value AS a, -- seconds
        b.value AS b, -- seconds
        b.value - a.value AS difference, -- seconds
        b.value / nullif(a.value, 0) AS ratio
    FROM flat AS a
    JOIN flat AS b ON b.scope = a.scope AND b.class IS a.class AND b.metric = a.metric AND b.place = a.place
        AND b.run_id > a.run_id
    JOIN run AS s ON s.run_id = a.run_id
    JOIN run AS t ON t.run_id = b.run_id AND t.trace = s.trace
    ORDER BY a.run_id, b.run_id, a.scope, a.class, a.metric, a.place;
