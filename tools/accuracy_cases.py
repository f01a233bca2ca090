"""The comparisons of tools/accuracy: each section runs rooftrace as a user would and makes rows.

A section is a function from the bench (executables, data, a folder for files) to rows and a text
that says under which conditions they are to be read. Measured data stay where they are; models and
engine settings that the data need and the catalogue lacks are below, each with its source.
"""
import csv
import dataclasses
import itertools
import json
import pathlib
import re
import sqlite3
import statistics
import subprocess
import sys
import typing


class Failed(Exception):
    """A command that should work did not."""


@dataclasses.dataclass
class Row:
    case: str
    metric: str
    real: typing.Union[float, int, str, None] = None
    ours: typing.Union[float, int, str, None] = None
    error: typing.Optional[float] = None  # percent
    goal: typing.Optional[float] = None   # percent
    ok: typing.Optional[bool] = None      # instead of an error: within a range
    goal_text: str = ""
    headline: bool = False                # stands in the page's first table
    signed: bool = True

    @property
    def judged(self):
        return self.goal is not None or self.ok is not None


@dataclasses.dataclass
class Section:
    title: str
    text: str
    rows: list
    headings: tuple = ()  # of a second table, for many cases with several figures each
    details: list = dataclasses.field(default_factory=list)


class Bench:
    """Where things are, and how they are run."""

    def __init__(self, rooftrace, operators, shared, folder, root, pool):
        self.rooftrace, self.operators, self.shared = rooftrace, operators, shared
        self.folder, self.root, self.pool = folder, root, pool

    def run(self, *args):
        done = subprocess.run([self.rooftrace, *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"rooftrace {' '.join(map(str, args))}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *args):
        return json.loads(self.run(*args, "--json"))

    def all_json(self, commands):
        """The answers of many commands, in their order; two run at a time."""
        return list(self.pool.map(lambda args: self.json(*args), commands))

    def file(self, name, value):
        path = self.folder / name
        path.write_text(json.dumps(value))
        return path

    def table(self, name):
        with open(self.shared / name, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def error_of(ours, real):
    return 100 * (ours / real - 1)


def compared(case, metric, real, ours, **more):
    return Row(case, metric, real, ours, error_of(ours, real), **more)


def median_row(case, metric, errors, **more):
    """The median absolute error of several rows."""
    return Row(case, f"median abs. error, {metric}", f"{len(errors)} rows", None,
               statistics.median(map(abs, errors)), signed=False, **more)


# ---- operators -----------------------------------------------------------------------------------

# Goals of lines that print none, by their first word.
OPERATOR_GOALS = {"GEMMs": 7, "decode": 8, "prefill": 8, "mixed": 10}
LAYER_LINE = re.compile(r"(.*\S)\s+(\d+) points, median\s+([\d.]+) %, p90\s+([\d.]+) %")
LEFT_OUT_LINE = re.compile(r"(\S.*?)\s+(\d+) rows,\s+(\d+) groups \| catalogue\s+([\d.]+)\s+([\d.]+)"
                           r" \| out of sample\s+([\d.]+)\s+([\d.]+) % \| GPU left out\s+([\d.]+)"
                           r"\s+([\d.]+) %(?: \| goal (\d+) %)?")

OPERATORS_TEXT = """The project's own formulas, one operator of one layer at a time, against operator tables. Lines with "left out" are **out of
sample**: constants fitted on all models or shapes of the table but the one that is judged (`tests/cost/operators_accuracy.py`).
"GPU left out": the median of the constants of all other GPUs, what a GPU that nobody measured would get.
All others have the catalogue's constants and are **in sample**: the constants of these GPUs were fitted on these tables
(`tests/cost/test_cost_measured.c` takes whole layers)."""


def operator_row(case, of, p90, median, goal):
    return Row(case, "median abs. error", of, f"p90 {p90} %", float(median), goal,
               headline=goal is not None, signed=False)


def whole_layers(bench):
    done = subprocess.run([bench.operators], capture_output=True, text=True, cwd=bench.root)
    found = list(map(LAYER_LINE.match, map(str.strip, (done.stdout + done.stderr).splitlines())))
    rows = [operator_row(m[1], f"{m[2]} points", m[4], m[3], OPERATOR_GOALS.get(m[1].split()[0]))
            for m in found if m]
    if not rows:
        raise Failed(f"{bench.operators}: printed no errors: {done.stdout}{done.stderr}")
    return rows


def left_out(bench):
    """Fits with one group left out in turn; nothing where this version has no such test."""
    script = bench.root / "tests" / "cost" / "operators_accuracy.py"
    probe = pathlib.Path(bench.operators).with_name("operators_probe")
    if not script.is_file():
        return []
    done = subprocess.run([sys.executable, script, probe], capture_output=True, text=True, cwd=bench.root)
    rows = []
    for m in filter(None, map(LEFT_OUT_LINE.match, map(str.strip, done.stdout.splitlines()))):
        rows.append(operator_row(f"{m[1]}, left out", f"{m[2]} rows", m[7], m[6],
                                 float(m[10]) if m[10] else None))
        rows.append(operator_row(f"{m[1]}, catalogue", f"{m[2]} rows", m[5], m[4], None))
        rows.append(operator_row(f"{m[1]}, GPU left out", f"{m[2]} rows", m[9], m[8], None))
    if not rows:
        raise Failed(f"{script}: printed no errors: {done.stdout}{done.stderr}")
    return rows


def operators(bench):
    return Section("Operators", OPERATORS_TEXT, left_out(bench) + whole_layers(bench))


# ---- one stream ----------------------------------------------------------------------------------

CALM_MODELS = {"Llama3 8B": "llama-3-8b", "Llama2 7B": "llama-2-7b", "Llama2 13B": "llama-2-13b",
               "Mistral 7B": "mistral-7b-v0.1", "Mixtral 8x7B": "mixtral-8x7b", "Yi 34B": "yi-34b"}
CALM_DTYPES = {"fp16": "fp16", "fp8": "fp8", "gf4": "int4"}  # gf4: 8 weights in 32 bits

CALM_TEXT = """Tokens a second of one stream on an RTX 4090, engine calm (one fused kernel a token, no scheduler), 28 published numbers.
Ours is the line "one fused kernel a token" of `rooftrace estimate`: the speed of light times one efficiency per weight format
(`stream_eff_*` of the catalogue). **In sample**: those three numbers were fitted on these 28 rows. The lines below give the same with a
model left out, the efficiency of a row being the median share over the rows of its format of all *other* models, and the catalogue's
GPU as it is, which models vLLM's separate kernels and host time: for an engine without them it is slow, the more the
smaller the model."""


def calm_command(row, *more):
    return ["estimate", "--model", CALM_MODELS[row["model"]], "--gpu", "rtx-4090", "--prompt",
            max(1, int(row["isl"])), "--output", int(row["osl"]), "--weight-dtype",
            CALM_DTYPES[row["weight_dtype"]], "--kv-dtype", row["kv_dtype"],
            "--head-dtype", CALM_DTYPES[row["weight_dtype"]], *more]  # calm narrows them, too


def single_stream(bench):
    data = [r for r in bench.table("published/published.csv")
            if r["engine"] == "calm" and r["gpu"] == "RTX-4090-24GB" and r["roofline"] == "A"]
    light = [1 / e["tpot_s"] for e in bench.all_json([calm_command(r, "--speed-of-light") for r in data])]
    plain = bench.all_json([calm_command(r) for r in data])
    real = [float(r["tok_s_user"]) for r in data]
    rows, left_out = [], []
    for i, row in enumerate(data):
        shares = [real[j] / light[j] for j, other in enumerate(data)
                  if other["weight_dtype"] == row["weight_dtype"] and other["model"] != row["model"]]
        kv = f", KV {row['kv_dtype']}" if row["kv_dtype"] != "fp16" else ""
        case = f"{row['id']} {row['model']} {row['weight_dtype']}{kv}, context {row['isl']}"
        rows.append(compared(case, "tokens/s", real[i], 1 / plain[i]["fused_tpot_s"], goal=5))
        left_out.append(error_of(light[i] * statistics.median(shares), real[i]))
    errors = [row.error for row in rows]
    as_is = [error_of(1 / e["tpot_s"], r) for e, r in zip(plain, real)]
    summary = [Row("RTX 4090, calm, worst row", "tokens/s", None, None,
                   max(errors, key=abs), 5, headline=True)]
    for name, list_ in (("a model left out", left_out), ("catalogue as it is", as_is)):
        summary += [median_row(f"RTX 4090, calm, {name}", "tokens/s", list_),
                    Row(f"RTX 4090, calm, {name}, worst", "tokens/s", None, None, max(list_, key=abs)),
                    Row(f"RTX 4090, calm, {name}", "rows within 5 %", f"{len(list_)}",
                        f"{sum(abs(e) <= 5 for e in list_)}")]
    return Section("Single stream", CALM_TEXT, rows + summary)


# ---- static batches ------------------------------------------------------------------------------

STATIC_GPUS = {"A100-SXM-80GB": "a100-sxm-80gb", "H100-SXM-80GB": "h100-sxm"}
STATIC_MODELS = {"LLaMA 7B": "llama-2-7b", "LLaMA 70B": "llama-2-70b", "Mistral 7B": "mistral-7b-v0.1",
                 "Mixtral 8x7B": "mixtral-8x7b", "Falcon 180B": "falcon-180b"}
GPT_J = {"name": "gpt-j-6b", "layers": 28, "hidden": 4096, "heads": 16, "kv_heads": 16, "head_dim": 256,
         "ffn": 16384, "vocab": 50400, "gated": False, "max_context": 2048, "dtype": "fp16"}

STATIC_TEXT = """TensorRT-LLM 0.5 to 0.9 on A100 and H100, fixed batches without a scheduler (`gptSessionBenchmark`): output tokens a second, the
prefill included, and the time to the first token of batch 1. Ours: `rooftrace estimate` with the GPU of the catalogue, its host
time set to 0 (a C++ session has none of vLLM's) and without symmetric memory (vLLM's, since 2025). The constants come from kernels under vLLM and Vidur: **out of sample**, but for one: H100's
factor of 8 bit KV went from .82 to .87, as its kernels with more than 1 GB of KV have it, after these rows had shown a median of
15.7 %. FP8
rows quantise weights, activations and KV. The same configuration appears once a published version, and those differ by up to
15 % among themselves."""


def static_command(row, gpus, gpt_j):
    fp8 = row["weight_dtype"].lower() == "fp8"
    dtype = "fp8" if fp8 else "fp16"
    batch = int(row["load"])
    return ["estimate", "--model", STATIC_MODELS.get(row["model"], gpt_j), "--gpu", gpus[row["gpu"]],
            "--tensor-parallel-size", row["tp"] or 1, "--prompt", row["isl"], "--output", row["osl"] or 1,
            "--batch", batch, "--weight-dtype", dtype, "--activation-dtype", dtype,
            "--head-dtype", "fp16", "--kv-dtype", dtype, "--gpu-memory-utilization", "1"]


def static_measured(row):
    """(metric, value): tokens a second of all GPUs, or, without an output length, the first token."""
    if row["osl"] and row["out_tok_s_total"]:
        return "tokens/s", float(row["out_tok_s_total"])
    if row["osl"] and row["out_tok_s_per_gpu"]:
        return "tokens/s", float(row["out_tok_s_per_gpu"]) * int(row["tp"] or 1)
    return "TTFT ms", float(row["ttft_ms"])


def static_row(row, estimate):
    metric, real = static_measured(row)
    if metric == "TTFT ms":
        ours = estimate["ttft_s"] * 1e3
    else:
        steps_s = estimate["ttft_s"] + (int(row["osl"]) - 1) * estimate["tpot_s"]
        ours = int(row["osl"]) * int(row["load"]) / steps_s
    case = (f"{row['id']} {row['gpu'].split('-')[0]} {row['model']} {row['weight_dtype']} tp{row['tp'] or 1},"
            f" batch {row['load']}, {row['isl']}+{row['osl'] or 1}, {row['engine_version']}")
    return compared(case, metric, real, ours)


def order_row(case, groups, text, goal=None):
    """How often ours orders two cases of a group as the measured values do. A group is a list of
    (real, ours); measured values within 2 % of each other have no order."""
    right = pairs = 0
    for group in groups:
        for (real_a, ours_a), (real_b, ours_b) in itertools.combinations(group, 2):
            if abs(real_a / real_b - 1) <= 0.02:
                continue
            pairs += 1
            right += (real_a > real_b) == (ours_a > ours_b)
    share = 100 * right / pairs if pairs else 100.0
    return Row(case, text, f"{pairs} pairs", f"{right} right, {share:.1f} %",
               ok=None if goal is None else share >= goal,
               goal_text="" if goal is None else f">= {goal} right", headline=goal is not None)


def grouped(items, columns):
    """The values of (record, value) pairs whose records agree in these columns."""
    groups = {}
    for record, value in items:
        groups.setdefault(tuple(record[c] for c in columns), []).append(value)
    return list(groups.values())


def static_batch(bench):
    data = [r for r in bench.table("published/published.csv")
            if r["engine"] == "TensorRT-LLM" and r["roofline"] == "A" and r["gpu"] in STATIC_GPUS
            and r["load_kind"] in ("static_batch", "batch")]
    gpus = {}
    for published, ours in STATIC_GPUS.items():
        gpus[published] = bench.file(f"{ours}.json", {
            "name": f"{ours}-no-host", "base": ours,
            "constants": {"host_us_per_step": 0, "host_us_per_seq": 0,
                          **{f"allreduce_symmetric_{n}_mb": 0 for n in (2, 4, 8)}}})
    gpt_j = bench.file("gpt-j-6b.json", GPT_J)
    estimates = bench.all_json([static_command(r, gpus, gpt_j) for r in data])
    rows = [static_row(r, e) for r, e in zip(data, estimates)]
    pairs = list(zip(data, rows))
    summary = []
    for gpu in sorted(STATIC_GPUS):
        mine = [row.error for r, row in pairs if r["gpu"] == gpu and row.metric == "tokens/s"]
        summary.append(median_row(gpu, "tokens/s", mine, goal=15, headline=True))
        for model in sorted({r["model"] for r in data}):
            some = [row.error for r, row in pairs
                    if r["gpu"] == gpu and r["model"] == model and row.metric == "tokens/s"]
            if some:
                summary.append(median_row(f"{gpu} {model}", "tokens/s", some))
        first = [row.error for r, row in pairs if r["gpu"] == gpu and row.metric == "TTFT ms"]
        summary.append(median_row(gpu, "TTFT ms", first))
    served = [(r, (row.real, row.ours)) for r, row in pairs if row.metric == "tokens/s"]
    same = ("gpu", "model", "engine_version", "weight_dtype", "load", "tp")
    summary.append(order_row("A100 and H100", grouped(served, same), "order of lengths"))
    return Section("Static batches", STATIC_TEXT, summary + rows)


# ---- real serving --------------------------------------------------------------------------------

RUNS = {"rtx4090-llama-3.1-8b": ("RTX 4090", "rtx-4090"),
        "rtxpro6000-llama-3.1-8b": ("RTX PRO 6000", "rtx-pro-6000-blackwell-server")}
MEASURED_GOALS = {"TTFT mean": 7, "TPOT mean": 3, "E2E mean": 4, "requests/s": 4}
UNSEEN_GOALS = {"TTFT mean": 30, "TPOT mean": 10, "E2E mean": 15, "requests/s": 15}
DATASHEET = ("vendor", "arch", "mem_gb", "mem_bytes", "mem_bw_gb_per_s", "tflops", "link", "link_kind",
             "link_gb_per_s", "pcie_gb_per_s", "sm_count", "tdp_w")

SERVING_TEXT = """Two real vLLM 0.19.0 runs, 300 ShareGPT requests at about 10 a second on one GPU each, Llama-3.1-8B bf16, overloaded (queues of
37 to 234), replayed by `rooftrace run` with each run's own engine flags and compared by `rooftrace compare`. The GPUs' kernel
constants were fitted on operator tables of these GPUs, not on these runs. **Not wholly out of sample**: the host time (0.5 ms a
step, 4 us a sequence) and the way a mixed batch is priced were chosen with a look at runs of this engine version, these two
among them. One seed each: TTFT is mostly time in the queue, and whatever is wrong in a step adds up in it. A stall of 0.69 s at
the first request of the 4090 run (no warm-up) is in the real figures."""

UNSEEN_TEXT = """The same two runs, the GPU's entry replaced by its datasheet alone (memory, bandwidth, peak rates, number of SMs): every constant
is the catalogue's default, as it would be for a GPU that nobody measured. **Partly in sample**: GEMM defaults leave the RTX 4090 out
(they were fitted again that way after its run had come out at +13 % TPOT) but not the RTX PRO 6000; attention defaults lie between
the fits of several GPUs, these two among them; the elementwise, sampler and host defaults come from these GPUs and engine."""


def run_words(bench, name, gpu, database):
    record = json.loads((bench.shared / "runs" / f"{name}.json").read_text())
    kwargs, cache = record["engine_kwargs"], record["kv_cache"]
    words = ["run", "--trace", bench.shared / "runs" / f"{name}.jsonl", "--format", "jsonl",
             "--trace-block-size", cache["block_size"], "--model", "llama-3.1-8b", "--gpu", gpu,
             "--max-num-seqs", kwargs["max_num_seqs"], "--max-num-batched-tokens",
             kwargs["max_num_batched_tokens"], "--gpu-memory-utilization",
             cache["gpu_memory_utilization"], "-o", database]
    if cache["num_gpu_blocks"]:
        words += ["--num-gpu-blocks-override", cache["num_gpu_blocks"]]
    return words


def replay(bench, name, gpu, label):
    """One run: (answer of compare, preemptions, prefix-hit tokens)."""
    database = bench.folder / f"{name}-{label}.db"
    bench.run(*run_words(bench, name, gpu, database))
    answer = bench.json("compare", bench.shared / "runs" / f"{name}.csv", database)
    if answer["compared"] != answer["requests_a"] or answer["tokens_differ"]:
        raise Failed(f"{name}: {answer['compared']} of {answer['requests_a']} requests compared,"
                           f" {answer['tokens_differ']} with other tokens")
    db = sqlite3.connect(database)
    counts = db.execute("SELECT sum(preemptions), sum(cached_tokens) FROM request").fetchone()
    db.close()
    return answer, *counts


def serving_rows(case, answer, goals):
    names = {"TTFT": "ttft_s", "TPOT": "tpot_s", "E2E": "e2e_s"}
    rows = []
    for label, key in names.items():
        for statistic in ("mean", "p50", "p90", "p99"):
            value = answer[key][statistic]
            metric = f"{label} {statistic}"
            rows.append(Row(case, f"{metric} (ms)", 1e3 * value["a"], 1e3 * value["b"],
                            100 * value["error"], goals.get(metric), headline=metric in goals))
        rows.append(Row(case, f"{label}, median abs. error of a request", "300 requests", None,
                        100 * answer[key]["median_abs_error"], signed=False))
    value = answer["requests_per_s"]
    rows.append(Row(case, "requests/s", value["a"], value["b"], 100 * value["error"],
                    goals["requests/s"], headline=True))
    return rows


def in_range(case, metric, value, low, high, real):
    return Row(case, metric, real, value, ok=low <= value <= high, goal_text=f"{low}-{high}",
               headline=True)


def serving(bench):
    rows = []
    for name, (case, gpu) in RUNS.items():
        answer, preemptions, hits = replay(bench, name, gpu, "measured")
        rows += serving_rows(case, answer, MEASURED_GOALS)
        if gpu == "rtx-4090":
            rows.append(in_range(case, "preemptions", preemptions, 185, 205, "194, 196 elsewhere"))
            rows.append(in_range(case, "prefix-hit tokens", hits, 4700, 4900, "4848 elsewhere"))
    return Section("Real serving, GPUs whose kernels were measured", SERVING_TEXT, rows)


def unseen(bench):
    rows = []
    for name, (case, gpu) in RUNS.items():
        full = json.loads(bench.run("catalog", "show", gpu, "--json"))
        bare = {"name": f"{gpu}-unseen", **{k: full[k] for k in DATASHEET if k in full}}
        answer, _, _ = replay(bench, name, bench.file(f"{gpu}-unseen.json", bare), "unseen")
        rows += serving_rows(f"{case}, unseen", answer, UNSEEN_GOALS)
    return Section("Real serving, a GPU nobody measured", UNSEEN_TEXT, rows)


SECTIONS = {"operators": operators, "single": single_stream, "static": static_batch,
            "serving": serving, "unseen": unseen}
