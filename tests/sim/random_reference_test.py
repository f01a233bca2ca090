"""Random cases: `rooftrace run` must equal the reference replay to the nanosecond, row by row.

Draws small nasty cases (few KV blocks, so that preemption is common; lengths at the edges of blocks
and budgets; ties, bursts and long pauses; step times with half nanoseconds), replays each with the
reference and with rooftrace, coasting and stepping, and compares rows and step counts. Features this
build does not have yet are left out and said so. A failure keeps its files and prints where.

usage: random_reference_test.py [--cases N] [--seed S]
"""
import argparse
import importlib.util
import json
import os
import random
import shutil
import sys
import tempfile
import time

import reference_case as rc

COSTS = [
    [0.001, 0, 0, 0, 0],                          # constant: arrivals can hit step ends
    [0.001, 0.000001, 0, 0, 0],
    [0.0057, 2.07e-05, 4.1e-08, 5.9160798e-10, 6.1e-06],
    [0.0171, 9.3e-05, 1.37e-07, 3.1415927e-09, 1.3e-05],
    [0.006, 2e-05, 4e-08, 5e-10, 5e-06],          # halves of a nanosecond
    [2e-09, 5e-10, 5e-10, 5e-10, 5e-10],          # nothing but ties
    [1e-09, 0, 0, 0, 0],
    [1.5, 0.25, 0.0001, 1e-05, 0.125],
]
POLICIES = ["static", "continuous", "prefill_first", "sarathi", "chunked"]


def load_reference():
    path = os.path.join(rc.reference_folder(), "replay.py")
    spec = importlib.util.spec_from_file_location("replay", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module


# ---- drawing -----------------------------------------------------------------------------------


def draw_parameters(rng, features):
    """Half of the cases are plain `chunked`, the default engine; the others share the rest."""
    plain = ("chunked", False, False)
    policy, run_ahead, cache = plain if rng.random() < 0.5 else rng.choice(features)
    block = rng.choice([1, 2, 3, 4, 8, 16, 16, 32])
    return {
        "policy": policy,
        "async": run_ahead,
        "prefix_cache": cache,
        "block_size": block,
        "hash_block": block * (rng.choice([1, 1, 2, 4]) if cache else 1),
        "kv_blocks": rng.choice([rng.randint(1, 12), rng.randint(8, 60), rng.randint(40, 400)]),
        "max_seqs": rng.choice([1, 2, 3, 4, 8, 16, 64]),
        "max_batched_tokens": rng.choice([1, 2, 3, 5, 16, 17, 64, 100, 256, 2048]),
        "chunk": rng.choice([1, 2, 7, 16, 64, 512]),
        "watermark": rng.choice([0.0, 0.003, 0.01, 0.1, 0.25]),
        "cost_s": rng.choice(COSTS),
    }


def draw_length(rng, p):
    block, budget, room = p["block_size"], p["max_batched_tokens"], p["kv_blocks"] * p["block_size"]
    kind = rng.randrange(9)
    if kind == 0:
        return rng.randint(0, 1)
    if kind == 1:
        return block * rng.randint(1, 4) + rng.randint(-1, 1)
    if kind == 2:
        return min(budget, 300) + rng.randint(-1, 1)
    if kind == 3:
        return min(room // 2, 200) + rng.randint(-1, 1)
    if kind == 4:
        return rng.randint(1, min(room + 1, 500))
    if kind == 5 and rng.random() < 0.2:
        return room + rng.randint(0, 3)
    return rng.randint(1, 40)


def draw_arrivals(rng, p, count):
    """Seconds. Most lie on a grid of the step time, so that they meet step ends."""
    step, mode, at, out = p["cost_s"][0] + p["cost_s"][4], rng.randrange(6), 0.0, []
    for _ in range(count):
        if mode == 1:
            at += step * rng.randint(0, 5)
        elif mode == 2 and rng.random() < 0.15:
            at += step * rng.randint(1, 3000)
        elif mode == 3:
            at += rng.expovariate(1 / (4 * step))
        elif mode == 4:
            at = rng.uniform(0, 30 * step)                  # out of order
        elif mode == 5 and rng.random() < 0.1:
            at += rng.randint(1, 90000)                     # long idle
        out.append(at)
    return out


def make_fit(p, prompt, output):
    """Into the KV blocks that admission leaves, and the budget where prompts are taken whole."""
    margin = 0
    if p["policy"] in ("prefill_first", "sarathi"):
        margin = max(1, int(p["watermark"] * p["kv_blocks"]))
    room = p["block_size"] * (p["kv_blocks"] - margin)
    prompt = min(prompt, room // 2)
    if p["policy"] in ("static", "continuous", "prefill_first"):
        prompt = min(prompt, p["max_batched_tokens"])
    output = min(output, room - prompt)
    if p["policy"] == "prefill_first":
        output = min(output, p["max_batched_tokens"] + 1 - prompt)
    return max(0, prompt), max(0, output)


def draw_requests(rng, p):
    count = rng.choice([1, 5, 20, 60, 120])
    paths = [[]]                                            # prefixes that others may share
    for arrival in draw_arrivals(rng, p, count):
        prompt, output = max(0, draw_length(rng, p)), max(0, draw_length(rng, p))
        if rng.random() < 0.8:                              # most fit, if barely
            prompt, output = make_fit(p, prompt, output)
        ids = []
        if p["prefix_cache"]:
            base = rng.choice(paths[-8:])
            extra = [rng.getrandbits(60) for _ in range(rng.randint(0, 3))]
            ids = base + extra
            paths.append(ids)
            if rng.random() < 0.7:
                prompt = max(1, len(ids) * p["hash_block"] - rng.choice([0, 0, 1, p["hash_block"] // 2]))
        yield arrival, prompt, output, ids


def write_trace(rng, p, folder):
    requests = list(draw_requests(rng, p))
    jsonl = p["prefix_cache"] and rng.random() < 0.8 or rng.random() < 0.2
    path = os.path.join(folder, "trace.jsonl" if jsonl else "trace.csv")
    with open(path, "w") as f:
        if not jsonl:
            f.write("arrival_s,prompt_tokens,output_tokens\n")
        for arrival, prompt, output, ids in requests:
            if not jsonl:
                text = rng.choice(["%.9f", "%.6f", "%.10f", "%r"]) % arrival
                f.write("%s,%d,%d\n" % (text, prompt, output))
                continue
            row = {"timestamp": arrival * 1e3, "input_length": prompt, "output_length": output}
            if ids:
                row["hash_ids"] = ids
            f.write(json.dumps(row) + "\n")
            if rng.random() < 0.02:
                f.write("\n")                               # blank lines do not count
    return path


# ---- comparing ---------------------------------------------------------------------------------


def replay(reference, p, trace):
    """Rows and number of steps by the reference."""
    argv = ["--trace", trace, "--policy", p["policy"], "--out", os.devnull,
            "--cost", ",".join(map(repr, p["cost_s"]))]
    for name in ("kv_blocks", "block_size", "hash_block", "max_seqs", "max_batched_tokens", "chunk",
                 "watermark"):
        argv += ["--" + name.replace("_", "-"), repr(p[name])]
    argv += ["--async"] * p["async"] + ["--prefix-cache"] * p["prefix_cache"]
    engine = reference.Engine(reference.parse(argv), reference.load_trace(trace))
    engine.run()
    rows = [(q.id, q.arrival_ns, q.first_ns, q.finish_ns, q.cached, q.preemptions, q.status)
            for q in engine.requests]
    return rows, len(engine.iterations)


def available_features(folder):
    """(policy, async, cache) combinations this build accepts."""
    trace = os.path.join(folder, "probe.csv")
    with open(trace, "w") as f:
        f.write("arrival_s,prompt_tokens,output_tokens\n0,1,1\n")
    wanted = [(policy, False, False) for policy in POLICIES]
    wanted += [("chunked", True, False), ("chunked", False, True), ("chunked", True, True)]
    found = []
    for policy, run_ahead, cache in wanted:
        p = {"policy": policy, "async": run_ahead, "prefix_cache": cache, "block_size": 16,
             "hash_block": 16, "kv_blocks": 100, "max_seqs": 8, "max_batched_tokens": 256,
             "chunk": 16, "watermark": 0.01, "cost_s": COSTS[0]}
        path = os.path.join(folder, "probe.json")
        rc.write_scenario(p, trace, path)
        if rc.not_yet(path, p) is None:
            found.append((policy, run_ahead, cache))
    print("features: " + ", ".join(
        name + " async" * a + " cache" * c + ("" if (name, a, c) in found else " (not yet)")
        for name, a, c in wanted))
    return found


def check(reference, seed, features, folder):
    """(problem or None, plain chunked, requests, preemptions, rejected) of one case."""
    rng = random.Random(seed)
    p = draw_parameters(rng, features)
    trace = write_trace(rng, p, folder)
    path = os.path.join(folder, "scenario.json")
    rc.write_scenario(p, trace, path)
    want, want_steps = replay(reference, p, trace)
    plain = (p["policy"], p["async"], p["prefix_cache"]) == ("chunked", False, False)
    counts = int(plain), len(want), sum(row[5] for row in want), sum(row[6] != "ok" for row in want)
    for options in ([], ["--no-coast"]):
        rows, steps = rc.run(path, os.path.join(folder, "out.db"), *options)
        problem = rc.difference(rows, want)
        if problem is None and steps != want_steps:
            problem = "%s steps, expected %d" % (steps, want_steps)
        if problem:
            with open(os.path.join(folder, "expected.csv"), "w") as f:
                f.writelines(",".join(map(str, row)) + "\n" for row in want)
            return "%s: %s" % (" ".join(options) or "coasting", problem), *counts
    return None, *counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=320)
    parser.add_argument("--seed", type=int, default=20261122)
    args = parser.parse_args()
    reference = load_reference()
    start, totals, failed = time.monotonic(), [0, 0, 0, 0], 0
    with tempfile.TemporaryDirectory() as work:
        features = available_features(work)
        for seed in range(args.seed, args.seed + args.cases):
            folder = os.path.join(work, str(seed))
            os.mkdir(folder)
            problem, *counts = check(reference, seed, features, folder)
            totals = [a + b for a, b in zip(totals, counts)]
            if problem:
                failed += 1
                kept = tempfile.mkdtemp(prefix="rooftrace-case-%d-" % seed)
                shutil.copytree(folder, kept, dirs_exist_ok=True)
                print("FAILED: seed %d: %s; files in %s" % (seed, problem, kept))
            shutil.rmtree(folder)
            if failed == 5:
                break
    print("seeds %d to %d (%d of them plain chunked): %d requests, %d preemptions, %d rejected" %
          (args.seed, seed, *totals))
    print("%d cases differ, %.0f s" % (failed, time.monotonic() - start))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
