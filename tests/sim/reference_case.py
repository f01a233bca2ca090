"""Runs one reference case (trace + engine parameters) through `rooftrace run` and reads the rows back.

Shared by golden_test.py and random_reference_test.py. A case is a dict with the names of the
reference's parameters: policy, kv_blocks, block_size, hash_block, max_seqs, max_batched_tokens,
chunk, watermark, prefix_cache, async, cost_s.
"""
import json
import os
import sqlite3
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REFERENCE = os.path.join(ROOT, "..", "shared", "reference")
SKIP = 77
NEW_KEYS = {"policy": "policy", "async_scheduling": "async", "prefix_caching": "prefix_cache"}
REJECTED = {("rejected", "kv"): "rejected_kv", ("rejected", "prompt"): "rejected_prompt"}


def skip(why):
    print("SKIPPED: " + why)
    sys.exit(SKIP)


def rooftrace():
    path = os.environ.get("ROOFTRACE")
    if not path or not os.path.exists(path):
        sys.exit("ROOFTRACE must name the rooftrace executable (ctest sets it)")
    return path


def reference_folder():
    if not os.path.isdir(REFERENCE):
        skip("no ../shared/reference beside the project")
    return REFERENCE


def scenario(case, trace):
    """The scenario document of a case; trace is an absolute path."""
    engine = {
        "policy": case["policy"],
        "num_gpu_blocks": case["kv_blocks"],
        "block_size": case["block_size"],
        "max_num_seqs": case["max_seqs"],
        "max_num_batched_tokens": case["max_batched_tokens"],
        "chunk_tokens": case["chunk"],
        "watermark": case["watermark"],
        "async_scheduling": case["async"],
        "prefix_caching": case["prefix_cache"],
    }
    return {
        "workload": {"trace": trace, "block_size": case["hash_block"]},
        "model": "llama-3.1-8b",
        "cost": {"kind": "linear", "coefficients_s": case["cost_s"]},
        "pools": [{"name": "main", "gpu": "rtx-4090", "replicas": 1, "engine": engine}],
        "router": "round_robin",
    }


def write_scenario(case, trace, path):
    with open(path, "w") as f:
        json.dump(scenario(case, os.path.abspath(trace)), f, indent=1)


def call(*args):
    return subprocess.run([rooftrace(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)


def not_yet(scenario_path, case):
    """Why this case cannot run yet, or None. Anything but a missing feature ends the test."""
    done = call("run", "--check", scenario_path)
    if done.returncode == 0:
        return None
    message = done.stderr.strip()
    asked = [key for key, name in NEW_KEYS.items() if case[name] not in (False, "chunked")]
    if done.returncode == 2 and any("engine." + key in message for key in asked):
        return message
    sys.exit("run --check %s: exit %d: %s" % (scenario_path, done.returncode, message))


def run(scenario_path, database, *options):
    """Rows as the reference writes them, and the number of engine steps."""
    for name in (database, database + "-journal"):
        if os.path.exists(name):
            os.remove(name)
    done = call("run", scenario_path, "-o", database, *options)
    if done.returncode != 0:
        sys.exit("run %s: exit %d: %s" % (scenario_path, done.returncode, done.stderr.strip()))
    with sqlite3.connect(database) as db:
        rows = db.execute("SELECT request_id, arrival_ns, first_token_ns, finish_ns, cached_tokens,"
                          " preemptions, status, reason FROM request ORDER BY request_id").fetchall()
        steps = db.execute("SELECT sum(steps) FROM replica").fetchone()[0]
        status = db.execute("SELECT status FROM run").fetchall()
    db.close()
    if status != [("complete",)]:
        sys.exit("run %s: status %s" % (scenario_path, status))
    return [as_reference(row) for row in rows], steps


def as_reference(row):
    never = [-1 if ns is None else ns for ns in row[2:4]]
    status = row[6] if row[6] == "ok" else REJECTED.get(row[6:8], "%s/%s" % row[6:8])
    return (row[0], row[1], *never, row[4] or 0, row[5] or 0, status)


def difference(got, want):
    """The first row that differs, in words, or None."""
    for g, w in zip(got, want):
        if g != w:
            return "got %s, expected %s" % (g, w)
    if len(got) != len(want):
        return "%d rows, expected %d" % (len(got), len(want))
    return None
