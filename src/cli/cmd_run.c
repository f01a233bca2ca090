/* rooftrace run: one scenario replayed into one database.
 *
 * Options become a scenario, the scenario a trial; the trial is stepped here, so that progress can
 * be shown and Ctrl-C obeyed between steps. At the end the table is read back from the database:
 * what is printed is what was stored. SIGINT and SIGTERM end the run at the next step: rows are
 * kept, the run is marked `interrupted`, exit status 130; a second signal ends the process. */
#include "cli_internal.h"
#include "rooftrace/catalog.h"
#include "rooftrace/engine.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/preset.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/report.h"
#include "rooftrace/scaler.h"
#include "rooftrace/token_stats.h"
#include "rooftrace/trace.h"
#include "rooftrace/trial.h"
#include "synth_options_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EXACT (INT64_C(1) << 53) /* integers beyond are not exact in JSON */

static const struct rt_option table[] = {
    {RT_OPT_HEADING("workload:")},
    {RT_OPT_TEXT("--trace", "FILE", "trace to replay: plain, .gz or .zst")},
    {RT_OPT_TEXT("--format", "NAME", "format of the trace (auto)")},
    {RT_OPT_NUMBER("--rate-scale", "X", 1e-9, 1e9, "X times the requests per second (1)")},
    {RT_OPT_INT("--repeat", "N", 1, 1000000000, "the trace N times, one after the other (1)")},
    {RT_OPT_TEXT("--window-s", "A:B", "only arrivals in [A, B) of the trace's seconds")},
    {RT_OPT_INT("--max-requests", "N", 1, EXACT, "only the first N requests")},
    {RT_OPT_INT("--trace-block-size", "N", 1, 1048576, "tokens a hash id of the trace names")},
    {RT_OPT_TEXT("--columns", "FIELD=NAME,...",
                 "what the columns of any other CSV or JSON mean:\n"
                 "arrival=ts:ms,prompt=in,output=out[,session=...]")},
    {RT_OPT_TEXT("--failed", "keep|drop", "requests that the log calls failed (keep)")},
    {RT_OPT_HEADING("transformations of the requests, in this order (docs/workload.md):")},
    {RT_OPT_NUMBER("--spread-s", "X", 1e-9, 86400, "equal stamps spread over X seconds, by seed")},
    {RT_OPT_INT("--head", "N", 1, EXACT, "the same as --max-requests")},
    {RT_OPT_NUMBER("--time-scale", "X", 1e-9, 1e9, "times X: the inverse of --rate-scale")},
    {RT_OPT_TEXT("--superpose", "N:SHIFT_S", "N copies at once, copy c begins c * SHIFT_S later")},
    {RT_OPT_INT("--prefix-roots", "N", 1, 1000000, "copies with prefixes of their own (1: same)")},
    {RT_OPT_INT("--resample", "N", 1, EXACT, "N requests drawn with replacement")},
    {RT_OPT_NUMBER("--keep-share", "P", 1e-9, 1,
                   "each request or session kept with probability P")},
    {RT_OPT_NUMBER("--max-gap-s", "X", 1e-9, 9e9, "longer gaps between arrivals become X")},
    {RT_OPT_NUMBER("--prompt-scale", "X", 1e-6, 1e6, "prompts X times as long")},
    {RT_OPT_NUMBER("--output-scale", "X", 1e-6, 1e6, "outputs X times as long")},
    {RT_OPT_INT("--min-prompt-tokens", "N", 1, RT_MAX_REQUEST_TOKENS, "shorter prompts become N")},
    {RT_OPT_INT("--max-prompt-tokens", "N", 1, RT_MAX_REQUEST_TOKENS, "longer prompts are cut")},
    {RT_OPT_INT("--min-output-tokens", "N", 1, RT_MAX_REQUEST_TOKENS, "the same of outputs")},
    {RT_OPT_INT("--max-output-tokens", "N", 1, RT_MAX_REQUEST_TOKENS, "")},
    {RT_OPT_INT("--max-context-tokens", "N", 2, RT_MAX_REQUEST_TOKENS, "prompt + output at most")},
    {RT_OPT_TEXT("--over-context", "cut|drop|error", "what becomes of longer requests (cut)")},
    {RT_OPT_HEADING("load (default: the trace's own times):")},
    {RT_OPT_INT("--max-concurrency", "N", 1, RT_MAX_CONCURRENCY,
                "requests in flight at most; others wait in the client")},
    {RT_OPT_TEXT("--request-rate", "R", "requests per second, drawn; inf: all at once")},
    {RT_OPT_TEXT("--burstiness", "B", "of drawn gaps: gamma shape, 1 Poisson, inf even (1)")},
    {RT_OPT_TEXT("--rate-profile", "SHAPE:...",
                 "a rate that changes: steps:0=2,60=8 linear:0=1,600=20\n"
                 "on_off:rate=20,on_s=10,off_s=50 diurnal:rate=5,amplitude=0.8")},
    {RT_OPT_TEXT("--sessions", "MODE",
                 "turns of a session: open, as all requests; trace, after the\nanswer before; "
                 "think, think_s after it (open)")},
    {RT_OPT_HEADING("workload that is made, not read (names as in vllm bench serve):")},
    SYNTH_OPTIONS,
    {RT_OPT_HEADING("fleet:")},
    {RT_OPT_TEXT("--model", "NAME|FILE", "model: name in the catalogue, record, or config.json")},
    {RT_OPT_TEXT("--gpu", "NAME|FILE", "GPU: name in the catalogue, or record")},
    {RT_OPT_INT("--replicas", "N", 1, RT_MAX_REPLICAS, "serving engines (1)")},
    {RT_OPT_INT("--tensor-parallel-size", "N", 1, 1024, "GPUs that share a layer (1)")},
    {RT_OPT_INT("--pipeline-parallel-size", "N", 1, 1024, "stages of layers (1)")},
    {RT_OPT_INT("--data-parallel-size", "N", 1, 1024,
                "ranks of a replica, each with its own requests (1)")},
    {RT_OPT_TEXT("--dtype", "TYPE",
                 "weights, activations and KV:\nfp16 bf16 fp8 int8 int4 fp4 mxfp4")},
    {RT_OPT_TEXT("--weight-dtype", "TYPE", "weights (as published)")},
    {RT_OPT_TEXT("--expert-dtype", "TYPE", "routed experts (as the weights, or as published)")},
    {RT_OPT_TEXT("--activation-dtype", "TYPE", "activations (16 bit)")},
    {RT_OPT_TEXT("--kv-dtype", "TYPE", "KV cache (16 bit)")},
    {RT_OPT_TEXT("--head-dtype", "TYPE",
                 "embedding and LM head (16 bit, as in quantised\ncheckpoints)")},
    {RT_OPT_TEXT("--router", "NAME", "which replica serves a request (least_outstanding)")},
    {RT_OPT_NUMBER("--router-view-interval-s", "X", 0, 86400,
                   "between reports of tokens, KV and prefixes to it; 0: always\ncurrent (0)")},
    {RT_OPT_TEXT("--router-weights", "KEY=W,...",
                 "router weighted, with weights of outstanding, waiting,\ntokens, kv and prefix")},
    {RT_OPT_HEADING("prefill and decode apart (docs/disaggregation.md):")},
    {RT_OPT_INT("--prefill-replicas", "N", 1, 65536,
                "compute prompts; the pool is split into two roles")},
    {RT_OPT_INT("--decode-replicas", "N", 1, 65536, "get their KV, and decode")},
    {RT_OPT_TEXT("--decode-router", "NAME",
                 "which of those decodes a request (least_outstanding)")},
    {RT_OPT_NUMBER("--kv-transfer-gb-per-s", "X", 1e-6, 1e9,
                   "link of a replica, each way (its GPUs' links to other nodes)")},
    {RT_OPT_NUMBER("--kv-transfer-latency-us", "X", 0, 1e12, "of a transfer (that of the node)")},
    {RT_OPT_FLAG("--kv-transfer-layerwise", "layers leave as they are computed")},
    {RT_OPT_TEXT("--first-token", "SIDE", "prefill or decode: who gives it (prefill)")},
    {RT_OPT_HEADING("admission (rejected otherwise) and clients:")},
    {RT_OPT_NUMBER("--admit-requests-per-s", "X", 1e-6, 1e9, "requests per second let in")},
    {RT_OPT_NUMBER("--admit-burst-requests", "X", 1, 1e9, "at once (a second's worth)")},
    {RT_OPT_NUMBER("--admit-prompt-tokens-per-s", "X", 1e-6, 1e9, "likewise, of prompt tokens")},
    {RT_OPT_NUMBER("--admit-burst-prompt-tokens", "X", 1, 1e9, "at once (a second's worth)")},
    {RT_OPT_INT("--queue-limit", "N", 1, 1000000000, "requests that wait at a replica at most")},
    {RT_OPT_FLAG("--shed-late", "none whose first token would miss its objective")},
    {RT_OPT_NUMBER("--timeout-s", "X", 1e-9, 9e9, "clients give up after (never)")},
    {RT_OPT_NUMBER("--cancel-share", "P", 0, 1,
                   "share of requests that users cancel, if not done,")},
    {RT_OPT_NUMBER("--cancel-mean-s", "X", 1e-9, 9e9, "after so long in the mean, exponential")},
    {RT_OPT_HEADING("autoscaling and failures (docs/scaling.md has more keys):")},
    {RT_OPT_TEXT("--autoscale", "POLICY[:TARGET]",
                 "how many replicas there are: queue_depth:32, kv_use:0.7, ...,\n"
                 "schedule:0=2,3600=8 (as many as --replicas)")},
    {RT_OPT_INT("--min-replicas", "N", 0, RT_MAX_REPLICAS, "at least (1)")},
    {RT_OPT_INT("--max-replicas", "N", 1, RT_MAX_REPLICAS, "at most (--replicas)")},
    {RT_OPT_NUMBER("--scale-interval-s", "X", 1e-3, 86400, "between two looks (15)")},
    {RT_OPT_NUMBER("--startup-s", "X", 0, 9e9, "of a replica (its weights at 1 GB/s)")},
    {RT_OPT_NUMBER("--drain-timeout-s", "X", 1e-9, 9e9, "one that goes waits so long (no limit)")},
    {RT_OPT_NUMBER("--crash-mean-s", "X", 1e-3, 9e9, "replicas crash after, exponential (never)")},
    {RT_OPT_NUMBER("--repair-mean-s", "X", 1e-3, 9e9, "and are repaired after")},
    {RT_OPT_INT("--replicas-down", "N", 0, RT_MAX_REPLICAS,
                "are down all the time: headroom for them? (0)")},
    {RT_OPT_TEXT("--retry", "MODE",
                 "of requests whose replica is gone: resume, restart, fail\n(resume)")},
    {RT_OPT_HEADING("money and power:")},
    {RT_OPT_TEXT("--price", "USD|NAME[:BOUND]",
                 "of a GPU hour: a number, or on_demand, spot, reserved, with :low\n"
                 "or :high (the catalogue's on_demand)")},
    {RT_OPT_NUMBER("--pue", "X", 1, 10, "energy of the building over that of the GPUs (1)")},
    {RT_OPT_NUMBER("--gco2-per-kwh", "X", 0, 1e5, "carbon intensity of the grid (none told)")},
    {RT_OPT_HEADING("engine:")},
    {RT_OPT_TEXT("--preset", "NAME", "defaults of an engine by version; other options win")},
    {RT_OPT_TEXT("--engine-args", "LINE",
                 "a pasted \"vllm serve ...\": what it says wins over the scenario\nfile, options "
                 "win over it; what has no meaning here is listed")},
    {RT_OPT_TEXT("--policy", "NAME", "what a step contains (chunked)")},
    {RT_OPT_TEXT("--queue-order", "NAME", "who is admitted next (fcfs)")},
    {RT_OPT_NUMBER("--aging-s", "X", 0, 9e9, "waiting that a priority level is worth (60)")},
    {RT_OPT_TEXT("--preemption", "NAME", "recompute, or swap KV to CPU memory (recompute)")},
    {RT_OPT_INT("--cpu-kv-bytes", "N", 0, EXACT, "CPU memory of a replica for swap (4 GiB)")},
    {RT_OPT_INT("--num-cpu-blocks", "N", 1, RT_MAX_KV_TOKENS, "KV blocks there (from memory)")},
    {RT_OPT_INT("--offload-bytes", "N", 0, EXACT, "CPU memory of a replica for prefix blocks (0)")},
    {RT_OPT_INT("--speculative-tokens", "N", 1, RT_MAX_DRAFT_TOKENS,
                "draft tokens of a decode in a round (no drafts)")},
    {RT_OPT_TEXT("--speculative-acceptance", "P[,P...]",
                 "share of drafts accepted, of all positions or of each")},
    {RT_OPT_TEXT("--speculative-model", "NAME|FILE", "draft model (drafts cost nothing)")},
    {RT_OPT_NUMBER("--draft-s-per-token", "X", 0, 1e3, "or what a draft token costs")},
    {RT_OPT_FLAG("--async-scheduling", "schedule a step while the one before runs (chunked: on)")},
    {RT_OPT_FLAG("--no-async-scheduling", "schedule at the end of a step")},
    {RT_OPT_FLAG("--enable-prefix-caching", "share KV blocks of equal prefixes (chunked: on)")},
    {RT_OPT_FLAG("--no-enable-prefix-caching", "do not")},
    {RT_OPT_INT("--max-num-seqs", "N", 1, RT_MAX_NUM_SEQS, "running sequences at most (256)")},
    {RT_OPT_INT("--max-num-batched-tokens", "N", 1, RT_MAX_BATCHED_TOKENS,
                "tokens of a step at most (8192; 2048 below 40 GB)")},
    {RT_OPT_INT("--block-size", "N", 1, RT_MAX_BLOCK_SIZE, "tokens a KV block holds (16)")},
    {RT_OPT_NUMBER("--gpu-memory-utilization", "X", 0.01, 1, "share of GPU memory in use (0.9)")},
    {RT_OPT_INT("--num-gpu-blocks-override", "N", 1, RT_MAX_KV_TOKENS, "KV blocks (from memory)")},
    {RT_OPT_INT("--max-model-len", "N", 1, RT_MAX_KV_TOKENS,
                "prompt + output at most; longer is rejected (no limit)")},
    {RT_OPT_HEADING("cost of a step:")},
    {RT_OPT_TEXT("--cost", "KIND", "roofline, linear or profile (roofline)")},
    {RT_OPT_TEXT("--profile", "FILE", "measured operators in place of the roofline's own")},
    {RT_OPT_TEXT("--cost-coefficients", "b0,b1,b2,b3,b4", "of linear, in seconds")},
    {RT_OPT_FLAG("--speed-of-light", "datasheet peaks, no overhead: the floor")},
    {RT_OPT_HEADING("objectives and measuring:")},
    {RT_OPT_PAIRS("--goodput", "NAME:MS ...", "objectives as in vLLM: ttft:500 tpot:50 e2el:9000")},
    {RT_OPT_PAIRS("--slo", "NAME:MS ...", "the same; also ttft:500ms e2el:9s")},
    {RT_OPT_TEXT("--measure-s", "A:B", "measured window: requests that arrive in [A, B)")},
    {RT_OPT_NUMBER("--sample-interval-s", "X", 1e-6, 9e9, "seconds between samples (1)")},
    {RT_OPT_NUMBER("--frontend-s", "X", 0, 86400, "HTTP and tokeniser time in TTFT and E2E (0)")},
    {RT_OPT_INT("--seed", "N", 0, EXACT, "of every random stream (1)")},
    {RT_OPT_HEADING("output:")},
    {RT_OPT_TEXT("--output", "FILE", "database; an older one gets a further run (rooftrace.db)"),
     .letter = 'o'},
    {RT_OPT_TEXT("--label", "TEXT", "free text stored with the run")},
    {RT_OPT_FLAG("--no-requests", "no row a request; statistics are of all of them all the same")},
    {RT_OPT_NUMBER(
        "--sample-requests", "P", 1e-9, 1,
        "rows of a share P of the requests, chosen by seed and\nplace in the trace (1)")},
    {RT_OPT_FLAG("--steps", "a row for every engine step, too")},
    {RT_OPT_FLAG("--json", "the result as JSON with vLLM's keys")},
    {RT_OPT_FLAG("--check", "check and print the resolved scenario; run nothing")},
    {RT_OPT_TEXT("--catalog", "DIR", "another catalogue of models and GPUs")},
    {RT_OPT_FLAG("--no-progress", "no progress line on a terminal")},
    {RT_OPT_FLAG("--no-self-check", "a result that cannot be passes (docs/money.md)")},
    {RT_OPT_FLAG("--no-coast", "one event a step: slower, same result")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

/* A name and its help, of one line or more. */
static void print_entry(FILE *out, const char *name, const char *help)
{
    size_t line = strcspn(help, "\n");

    fprintf(out, "  %-18s %.*s\n", name, (int)line, help);
    for (; help[line] != '\0'; line = strcspn(help, "\n")) {
        help += line + 1;
        fprintf(out, "  %-18s %.*s\n", "", (int)strcspn(help, "\n"), help);
    }
}

static void print_names(FILE *out)
{
    fputs("\ntrace formats:\n", out);
    for (unsigned i = 0; i < rt_trace_format_count(); i++)
        fprintf(out, "  %-18s %s\n", rt_trace_format_info(i).name, rt_trace_format_info(i).help);
    synth_options_help(out);
    fputs("\npresets:\n", out);
    for (unsigned i = 0; i < rt_preset_count(); i++)
        print_entry(out, rt_preset_at(i)->name, rt_preset_at(i)->help);
    fputs("\npolicies:\n", out);
    for (unsigned i = 0; i < rt_policy_count(); i++)
        fprintf(out, "  %-18s %s\n", rt_policy_name(i), rt_policy_help(i));
    fputs("\nqueue orders:\n", out);
    for (unsigned i = 0; i < rt_queue_order_count(); i++)
        fprintf(out, "  %-18s %s\n", rt_queue_order_name(i), rt_queue_order_help(i));
    fputs("\nrouters:\n", out);
    for (unsigned i = 0; i < rt_router_count(); i++)
        fprintf(out, "  %-18s %s\n", rt_router_at(i)->name, rt_router_at(i)->help);
    fputs("\nautoscaling policies:\n", out);
    for (unsigned i = 0; i < rt_scaler_count(); i++)
        fprintf(out, "  %-18s %s\n", rt_scaler_at(i)->name, rt_scaler_at(i)->help);
}

static const struct cli_page page = {
    .usage = "usage: rooftrace run SCENARIO.json [options]\n"
             "       rooftrace run --trace FILE --model M --gpu G [options]\n"
             "       rooftrace run --num-prompts N --random-input-len N --random-output-len N \\\n"
             "           --model M --gpu G [options]\n\n"
             "Replays a trace, or traffic that is made, on a fleet and writes every request into "
             "an SQLite database. Options\n"
             "win over the scenario file; those of the fleet and the engine apply to every pool.\n",
    .options = {"rooftrace run", table, sizeof table / sizeof table[0]},
    .more = print_names,
    .examples =
        "\nexamples:\n"
        "  rooftrace run traces/sample.scenario.json -o sample.db\n"
        "  rooftrace run --trace traces/sample.csv --model llama-3.1-8b --gpu h100-sxm \\\n"
        "      --replicas 2 --goodput ttft:500 tpot:50 -o sample.db\n"
        "  rooftrace run traces/sample.scenario.json --rate-scale 2 --label twice -o sample.db\n"
        "  rooftrace run traces/sample.scenario.json --max-num-seqs 64 --check\n"
        "  rooftrace run --trace traces/sample.csv --model llama-3.1-8b --gpu l40s \\\n"
        "      --preset vllm-0.19 --check\n",
};

const struct rt_option *cli_scenario_rows(unsigned *count)
{
    *count = 0;
    while (*count < sizeof table / sizeof table[0] && strcmp(table[*count].name, "output:") != 0)
        ++*count;
    return table;
}

/* Would the fleet of this scenario exist? Nothing is opened. */
static int check_only(const struct rt_scenario *s)
{
    struct rt_token_stats stats;
    struct rt_fleet_use use = {.coast = s->coast, .stats = &stats};
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    char *text;
    bool ok;

    if (!rt_token_stats_init(&stats, 0, INT64_MAX)) {
        rt_fail_nomem(&err, "token statistics");
        return cli_fail(&err);
    }
    ok = rt_fleet_new(&s->fleet, &use, &fleet, &err);
    if (ok)
        rt_fleet_free(fleet);
    rt_token_stats_release(&stats);
    text = ok ? rt_scenario_print(s) : NULL;
    if (ok && text == NULL)
        ok = rt_fail_nomem(&err, "scenario");
    if (!ok)
        return cli_fail(&err);
    fputs(text, stdout);
    free(text);
    return cli_finish();
}

/* What the reader did to the trace that its author may want to know. */
static void note_trace(const struct rt_source_stats *s, const struct rt_workload_spec *w)
{
    if (s->format != NULL && w->trace != NULL && strcmp(w->format, "auto") == 0)
        cli_note("%s: format %s, told by its first bytes", w->trace, s->format);
    if (s->failed > 0)
        cli_note("%" PRIu64 " requests failed in the log and were %s", s->failed,
                 w->drop_failed ? "left out" : "kept (--failed drop leaves them out)");
    if (s->left_out > 0)
        cli_note("%" PRIu64 " rows were left out", s->left_out);
    if (s->zero_prompt > 0 || s->zero_output > 0)
        cli_note("%" PRIu64 " prompts and %" PRIu64 " outputs of 0 tokens taken as 1",
                 s->zero_prompt, s->zero_output);
    if (s->unsorted > 0)
        cli_note("%" PRIu64 " rows came out of time order and were sorted", s->unsorted);
    if (s->context_cut > 0)
        cli_note("%" PRIu64 " requests were cut to max_context_tokens", s->context_cut);
    if (s->context_dropped > 0)
        cli_note("%" PRIu64 " requests longer than max_context_tokens were left out",
                 s->context_dropped);
}

/* What of a result its reader should not overlook. */
static void note_result(const struct rt_run_summary *s)
{
    if (s->stalled_preemptions > 0)
        cli_note("warning: preemption without progress: %" PRId64 " in vain, of %" PRId64
                 " request(s) preempted more often than they gave tokens: too few KV blocks",
                 s->stalled_preemptions, s->stalled_requests);
}

static int print_result(const char *path, int64_t run_id, bool json)
{
    struct rt_run_summary *summary = calloc(1, sizeof(*summary));
    struct rt_db *db = NULL;
    struct rt_err err = {0};

    if (summary == NULL) {
        rt_fail_nomem(&err, "summary");
        return cli_fail(&err);
    }
    bool ok = rt_db_open(path, &db, &err) && rt_db_summary(db, run_id, summary, &err);
    if (ok && json)
        ok = rt_report_json(summary, stdout, &err);
    else if (ok)
        rt_report_table(summary, true, stdout);
    if (ok)
        note_result(summary);
    rt_db_close(db);
    free(summary);
    return ok ? cli_finish() : cli_fail(&err);
}

/* After the first signal. */
static int interrupted(struct rt_trial *t, const char *path, const struct rt_trial_progress *p)
{
    struct rt_err err = {0};

    if (!rt_trial_interrupt(t, &err))
        return cli_fail(&err);
    if (rt_trial_run_id(t) == 0)
        rt_fail(&err, RT_EINTR, "interrupted before the first row: nothing was written");
    else
        rt_fail(&err, RT_EINTR,
                "interrupted after %" PRIu64 " requests: %s holds their rows, run %" PRId64,
                p->finished, path, rt_trial_run_id(t));
    return cli_fail(&err);
}

static int finished(struct rt_trial *t, const struct rt_scenario *s, const char *path, bool json)
{
    struct rt_err err = {0};
    int status;

    note_trace(rt_source_stats(rt_trial_source(t)), &s->workload);
    if (rt_trial_run_id(t) == 0) {
        rt_fail(&err, RT_ETRACE, "the workload gives no request: nothing was written");
        return cli_fail(&err);
    }
    status = print_result(path, rt_trial_run_id(t), json);
    if (status == EXIT_SUCCESS)
        cli_note("%s, run %" PRId64, path, rt_trial_run_id(t));
    return status;
}

static int failed(const struct rt_trial *t, const char *path, const struct rt_err *err)
{
    struct rt_err told = {0};

    if (rt_trial_run_id(t) == 0)
        return cli_fail(err);
    rt_fail(&told, err->code, "%s (the rows before it are in %s, run %" PRId64 ")", err->msg, path,
            rt_trial_run_id(t));
    return cli_fail(&told);
}

/* What of the run is written. */
static bool read_output(const struct rt_options *o, struct rt_trial_options *to, struct rt_err *err)
{
    double share = rt_options_number(o, "--sample-requests", 1);

    *to = (struct rt_trial_options){.output = rt_options_text(o, "--output", "rooftrace.db"),
                                    .label = rt_options_text(o, "--label", NULL),
                                    .discard_rows = rt_options_given(o, "--no-requests"),
                                    .sample_requests = share < 1 ? share : 0,
                                    .steps = rt_options_given(o, "--steps"),
                                    .no_self_check = rt_options_given(o, "--no-self-check")};
    if (to->discard_rows && rt_options_given(o, "--sample-requests"))
        return rt_fail(err, RT_EUSAGE,
                       "--no-requests and --sample-requests: expected one of them at most");
    return true;
}

static int replay(const struct rt_scenario *s, const struct rt_options *o,
                  const struct rt_trial_options *to)
{
    enum rt_trial_answer answer = RT_TRIAL_MORE;
    struct rt_trial_progress now = {0};
    struct cli_progress progress;
    struct rt_trial *trial;
    struct rt_err err = {0};
    int status;

    cli_catch_signals();
    if (!rt_trial_new(s, to, &trial, &err))
        return cli_fail(&err);
    cli_progress_start(&progress, s, !rt_options_given(o, "--no-progress"));
    while (answer == RT_TRIAL_MORE && !cli_stop_requested()) {
        answer = rt_trial_step(trial, &now, &err);
        cli_progress_show(&progress, &now);
    }
    cli_progress_clear(&progress);
    if (answer == RT_TRIAL_FAILED)
        status = failed(trial, to->output, &err);
    else if (answer == RT_TRIAL_MORE)
        status = interrupted(trial, to->output, &now);
    else
        status = finished(trial, s, to->output, rt_options_given(o, "--json"));
    rt_trial_free(trial);
    return status;
}

int cli_run(int argc, char **argv)
{
    struct rt_catalog *catalog = NULL;
    struct rt_scenario scenario;
    struct rt_trial_options to;
    struct rt_options o;
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    rt_scenario_init(&scenario);
    if (!cli_words(&o, 0, 1, "one scenario file", &err) || !read_output(&o, &to, &err) ||
        !rt_catalog_open(rt_options_text(&o, "--catalog", NULL), &catalog, &err) ||
        !cli_scenario(&o, catalog, &scenario, &err)) {
        status = cli_fail(&err);
    } else {
        scenario.coast = !rt_options_given(&o, "--no-coast");
        status =
            rt_options_given(&o, "--check") ? check_only(&scenario) : replay(&scenario, &o, &to);
    }
    rt_scenario_release(&scenario);
    rt_catalog_free(catalog);
    rt_options_release(&o);
    return status;
}
