#!/usr/bin/env python3
"""The same rows, bit for bit, however a scenario is replayed.

Every scenario below is replayed into fresh databases: twice; stepping one by one (--no-coast); and by
every other executable named in ROOFTRACE_OTHERS, separated by colons (other compilers, optimisation
levels, sanitizers: .ci/run does this). All tables must hold the same rows in the same order, doubles to
the last bit. Left out: what the wall clock says, and for --no-coast the number of events, which is what
coasting saves; its seconds by cost term may differ by half a nanosecond a step, as coasting rounds the sum of the
terms where stepping adds them up. Each scenario must also do what it is there for (overload, preempt, hit the cache, ...).

Environment: ROOFTRACE = the executable. Standard library only.
"""
import json
import os
import pathlib
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = ["--trace", ROOT / "traces/sample.csv"]
FLEET = ["--model", "llama-3.1-8b", "--gpu", "h100-sxm"]
WALL_CLOCK = {"run.started_at", "run.wall_s"}
COASTING_SAVES = {"run.events"}
ADDED_UP = {"step_time.busy_s"}
SEED = 20261122

# What a scenario is there for: SQL that must give more than 0.
FINISHES = "SELECT completed FROM run"
QUEUES = "SELECT sum(scheduled_ns - arrival_ns > 10000000000) FROM request"
PREEMPTS = "SELECT preemptions FROM run"
CACHES = "SELECT cached_tokens FROM run"
REJECTS = "SELECT rejected FROM run"
HANDS_OVER = "SELECT count(prefill_replica) FROM request"
SPREADS = "SELECT count(DISTINCT replica) > 10 FROM request"


def conversations(path):
    """JSONL in which later turns repeat the hash ids of earlier ones; 64 tokens a hash id."""
    rng = random.Random(SEED)
    turns, fresh = [], 0
    for talk in range(90):
        at, hashes, tail = rng.uniform(0, 120), [0, 1] * (talk % 3 == 0), 0
        for _ in range(rng.randint(1, 6)):
            grown = rng.randint(1, 8)
            hashes = hashes + list(range(fresh + 2, fresh + 2 + grown))
            fresh += grown
            tail = rng.randint(0, 63)  # the last block of a prompt may be partial
            turns.append({"arrival_s": round(at, 3), "prompt_tokens": 64 * len(hashes) - tail,
                          "output_tokens": rng.randint(1, 160), "hash_ids": hashes})
            at += rng.uniform(1, 20)
    turns.sort(key=lambda turn: turn["arrival_s"])
    path.write_text("".join(json.dumps(turn) + "\n" for turn in turns))
    return ["--trace", path, "--trace-block-size", 64]


def across_the_window(path):
    """Contexts that grow past the 4096 tokens of gemma-2's sliding window while they decode."""
    rng = random.Random(SEED)
    at, rows = 0, ["arrival_s,prompt_tokens,output_tokens"]
    for _ in range(120):
        at += rng.expovariate(3)
        rows.append(f"{at:.3f},{rng.randint(3500, 4300)},{rng.randint(50, 600)}")
    path.write_text("\n".join(rows) + "\n")
    return ["--trace", path, "--model", "gemma-2-9b", "--gpu", "h100-sxm"]


def table_of_help(title):
    """Names in a table that `run --help` prints, so that a new policy or router is covered."""
    text = subprocess.run([executables()[0], "run", "--help"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    section = re.search(rf"^{title}:\n((?:  .*\n)+)", text, re.MULTILINE).group(1)
    return re.findall(r"^  ([\w.-]+) ", section, re.MULTILINE)


def scenarios(folder):
    """(name, arguments, purpose)."""
    cache = conversations(folder / "conversations.jsonl")
    windowed = across_the_window(folder / "windowed.csv")
    tight = ["--num-gpu-blocks-override", 450]
    yield "defaults", [*SAMPLE, *FLEET], FINISHES
    yield "overload", [*SAMPLE, *FLEET, "--rate-scale", 20], QUEUES
    yield "fewer and small seats", [*SAMPLE, *FLEET, "--rate-scale", 4, "--max-num-seqs", 7,
                                    "--max-num-batched-tokens", 97], QUEUES
    yield "measured window", [*SAMPLE, *FLEET, "--measure-s", "60:300", "--frontend-s", 0.003,
                              "--goodput", "ttft:50", "tpot:9", "--sample-interval-s", 0.1], FINISHES
    yield "linear, ties", [*SAMPLE, *FLEET, "--cost-coefficients", "0.001,0,0,0,0",
                           "--num-gpu-blocks-override", 2000, "--repeat", 2], FINISHES
    yield "linear, all terms", [*SAMPLE, *FLEET, "--cost-coefficients",
                                "0.0057,2.07e-05,4.1e-08,5.9160798e-10,6.1e-06",
                                "--num-gpu-blocks-override", 2000], FINISHES
    yield "speed of light", [*SAMPLE, *FLEET, "--speed-of-light"], FINISHES
    yield "70B, tensor parallel", [*SAMPLE, "--model", "llama-3.1-70b", "--gpu", "h100-sxm",
                                   "--tensor-parallel-size", 4], FINISHES
    yield "experts in 8 bit", [*SAMPLE, "--model", "mixtral-8x7b", "--gpu", "h100-sxm",
                               "--weight-dtype", "fp8", "--tensor-parallel-size", 2], FINISHES
    stages, ranks = ["--pipeline-parallel-size", 3], ["--data-parallel-size", 2]
    yield "stages", [*SAMPLE, *FLEET, *stages, "--rate-scale", 20], QUEUES
    yield "stages, tight", [*SAMPLE, *FLEET, *stages, *tight, "--rate-scale", 3,
                            "--max-num-batched-tokens", 2048], PREEMPTS
    yield "ranks", [*SAMPLE, *FLEET, *ranks, "--rate-scale", 4], FINISHES
    yield "ranks, tight", [*SAMPLE, *FLEET, *ranks, *tight, "--rate-scale", 6,
                           "--max-num-batched-tokens", 2048], PREEMPTS
    yield "stages and ranks", [*SAMPLE, *FLEET, *ranks, *stages, "--no-async-scheduling"], FINISHES
    yield "experts over ranks", [*SAMPLE, "--gpu", "h100-sxm", "--engine-args",
                                 "vllm serve mixtral-8x7b -dp 4 -ep"], FINISHES
    for policy in table_of_help("policies"):
        yield policy, [*SAMPLE, *FLEET, "--policy", policy, "--rate-scale", 2], FINISHES
        purpose = QUEUES if policy in ("static", "continuous") else PREEMPTS
        yield policy + ", tight", [*SAMPLE, *FLEET, *tight, "--policy", policy, "--rate-scale", 3,
                                   "--max-num-batched-tokens", 2048], purpose
    for order in table_of_help("queue orders"):
        yield f"order {order}", [*SAMPLE, *FLEET, *tight, "--queue-order", order, "--aging-s", 5,
                                 "--rate-scale", 3], PREEMPTS
    yield "swap", [*SAMPLE, *FLEET, *tight, "--preemption", "swap", "--no-enable-prefix-caching",
                   "--rate-scale", 3], PREEMPTS
    drafts = ["--speculative-tokens", 3, "--speculative-acceptance", "0.8,0.55,0.3"]
    model = ["--speculative-model", "llama-3.2-1b"]
    yield "drafts", [*SAMPLE, *FLEET, *drafts, "--draft-s-per-token", 0.0003], FINISHES
    yield "draft model, tight", [*SAMPLE, *FLEET, *drafts, *model, *tight, "--rate-scale", 3], PREEMPTS
    for policy in ("static", "continuous"):
        yield f"draft model, {policy}", [*SAMPLE, *FLEET, *drafts, *model, "--policy", policy], FINISHES
    for switch in ("--async-scheduling", "--no-async-scheduling"):
        yield f"sliding windows, {switch[2:]}", [*windowed, switch], FINISHES
        yield f"sliding windows, drafts, {switch[2:]}", [*windowed, *drafts, switch], FINISHES
    apart = ["--prefill-replicas", 2, "--decode-replicas", 2, "--kv-transfer-gb-per-s", 2]
    yield "prefill and decode apart", [*SAMPLE, *FLEET, *apart], HANDS_OVER
    yield "apart, tight", [*SAMPLE, *FLEET, *apart, *tight, "--rate-scale", 10, "--kv-transfer-layerwise"], PREEMPTS
    yield "apart, prefix cache, first token of the decode side", [
        *cache, *FLEET, *apart, "--first-token", "decode", "--decode-router", "prefix_affinity"], HANDS_OVER
    yield "apart, clients that leave", [*SAMPLE, *FLEET, *apart, "--cancel-share", 0.5, "--cancel-mean-s", 0.3,
                                        "--rate-scale", 10], HANDS_OVER
    yield "every step with drafts", [*SAMPLE, *FLEET, *drafts, "--steps", "--max-requests", 200], FINISHES
    yield "every step", [*SAMPLE, *FLEET, "--steps", "--max-requests", 200], FINISHES
    yield "a share of the rows", [*SAMPLE, *FLEET, "--sample-requests", 0.3], FINISHES
    yield "no rows", [*SAMPLE, *FLEET, "--no-requests"], FINISHES
    for switch in ("--async-scheduling", "--no-async-scheduling"):
        yield f"tight, {switch[2:]}", [*SAMPLE, *FLEET, *tight, switch, "--rate-scale", 3], PREEMPTS
        yield f"prefix cache, {switch[2:]}", [*cache, *FLEET, switch], CACHES
        yield f"prefix cache, tight, {switch[2:]}", [
            *cache, *FLEET, switch, "--num-gpu-blocks-override", 260, "--rate-scale", 8], PREEMPTS
    yield "no prefix cache", [*cache, *FLEET, "--no-enable-prefix-caching"], FINISHES
    yield "rejections", [*cache, *FLEET, "--num-gpu-blocks-override", 60], REJECTS
    for router in table_of_help("routers"):
        yield f"16 x {router}", [*SAMPLE, *FLEET, "--router", router, "--replicas", 16,
                                 "--rate-scale", 15], SPREADS
        yield f"16 x {router}, tight, cache", [
            *cache, *FLEET, "--router", router, "--replicas", 16, "--num-gpu-blocks-override", 150,
            "--rate-scale", 60], SPREADS


def executables():
    others = os.environ.get("ROOFTRACE_OTHERS", "")
    return [os.environ.get("ROOFTRACE", ""), *filter(None, others.split(":"))]


def replay(executable, arguments, database):
    """Every row of every table, in the order they lie in the file, and the columns."""
    command = [executable, "run", *map(str, arguments), "-o", str(database)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {run.returncode}: {run.stderr.strip()}")
    db = sqlite3.connect(database)
    tables = [name for name, in db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    dump = {}
    for table in tables:
        cursor = db.execute(f"SELECT * FROM {table}")
        columns = [column[0] for column in cursor.description]
        for number, column in enumerate(zip(*cursor.fetchall())):
            dump[f"{table}.{columns[number]}"] = column
    return dump, db


def half_a_nanosecond_a_step(dump, want, have):
    most = 1e-9 + 0.5e-9 * max(dump["replica.steps"])
    return len(want) == len(have) and all(abs(w - h) <= most for w, h in zip(want, have))


def difference(want, have, ignored, rounded):
    """The first column that differs, in words, or None. repr: -0.0 is not 0.0, 1 is not 1.0."""
    if want.keys() != have.keys():
        return f"other columns: {sorted(want.keys() ^ have.keys())}"
    for column, values in want.items():
        if column in ignored or repr(values) == repr(have[column]):
            continue
        if column in rounded and half_a_nanosecond_a_step(want, values, have[column]):
            continue
        if len(values) != len(have[column]):
            return f"{column}: {len(have[column])} rows, expected {len(values)}"
        row = next(i for i, v in enumerate(values) if repr(v) != repr(have[column][i]))
        return f"{column}, row {row + 1}: {have[column][row]!r}, expected {values[row]!r}"
    return None


def check(name, arguments, purpose, folder):
    """What went wrong with this scenario, line by line."""
    problems = []
    want, db = replay(executables()[0], arguments, folder / "first.db")
    reached = db.execute(purpose).fetchone()[0]
    db.close()
    if not reached:
        problems.append(f"{name}: is not what it is called: {purpose}: {reached}")
    again = [("again", executables()[0], [])]
    again += [("--no-coast", executables()[0], ["--no-coast"])]
    again += [(other, other, []) for other in executables()[1:]]
    for number, (what, executable, more) in enumerate(again):
        have, db = replay(executable, [*arguments, *more], folder / f"{number}.db")
        db.close()
        problem = difference(want, have, WALL_CLOCK | (COASTING_SAVES if more else set()),
                             ADDED_UP if more else set())
        if problem:
            problems.append(f"{name}: {what}: {problem}")
    for database in folder.glob("*.db"):
        database.unlink()
    return problems


def main():
    for path in executables():
        if not os.access(path, os.X_OK):
            sys.exit(f"ROOFTRACE, ROOFTRACE_OTHERS: expected paths of executables, read {path!r}")
    begin, count, failed = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as work:
        for name, arguments, purpose in scenarios(pathlib.Path(work)):
            problems = check(name, arguments, purpose, pathlib.Path(work))
            print("\n".join("FAILED: " + p[:400] for p in problems) or f"same: {name}", flush=True)
            count += 1
            failed += bool(problems)
    print(f"{count} scenarios, {len(executables())} executables, {failed} differ, "
          f"{time.monotonic() - begin:.0f} s; conversations of seed {SEED}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
