#!/usr/bin/env python3
"""Synthetic traffic end to end: the shipped traces are made again; a run of made traffic has the rows
of a run of the trace that `trace synth` writes, and can be repeated from its stored scenario; options
mean what vLLM's mean; --like tells how like it is; memory does not grow with the requests.

The executable is $ROOFTRACE.
"""
import csv
import json
import os
import pathlib
import re
import shlex
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
FLEET = ["--model", "llama-3.1-8b", "--gpu", "h100-sxm"]
failures = []


def expect(what, condition, more=""):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what} {more}")


def rooftrace(*words, status=0):
    made = subprocess.run([ROOFTRACE, *map(str, words)], capture_output=True, text=True, cwd=ROOT)
    expect(f"{' '.join(map(str, words))}: exit status {status}", made.returncode == status,
           made.stderr)
    return made


def read_rows(path):
    with open(path, encoding="utf-8") as file:
        if str(path).endswith(".csv"):
            return [{k: float(v) if k == "arrival_s" else int(v) for k, v in row.items()}
                    for row in csv.DictReader(file)]
        return [json.loads(line) for line in file]


def nearly_equal(a, b):
    """Another libm may round the last bit of a draw otherwise."""
    different = 0
    for x, y in zip(a, b):
        if abs(x["arrival_s"] - y["arrival_s"]) > 1e-6 or any(
                abs(x[k] - y[k]) > 1 for k in ("prompt_tokens", "output_tokens")):
            return False
        different += x != y
    return len(a) == len(b) and different <= len(a) / 100


def shipped_traces(folder):
    commands = re.findall(r"^rooftrace (trace synth .*)$", (ROOT / "traces/README.md").read_text(), re.M)
    expect("traces/README.md tells how three traces were made", len(commands) == 3)
    for command in commands:
        words = shlex.split(command)
        kept = ROOT / words[-1]
        made = folder / kept.name
        rooftrace(*words[:-1], made)
        expect(f"{kept.name} is small", kept.stat().st_size < 300_000)
        if made.read_bytes() != kept.read_bytes():
            expect(f"{kept.name} is what its command makes", nearly_equal(read_rows(made), read_rows(kept)))


def rows_of(database, run=1):
    with sqlite3.connect(database) as db:
        return db.execute("SELECT request_id, class, session_id, arrival_ns, scheduled_ns, first_token_ns,"
                          " finish_ns, prompt_tokens, output_tokens, cached_tokens, replica, status"
                          " FROM request WHERE run_id = ? ORDER BY request_id", (run,)).fetchall()


def run_equals_trace(folder):
    """The same traffic made while it is served, and written to a file before. With prefix caching the
    traffic that is made finds more, because a trace has no names for answers."""
    synthetic = json.loads((ROOT / "traces/sessions.synthetic.json").read_text())
    path, trace = folder / "made.json", folder / "made.jsonl"

    def rows(workload, caching, database):
        path.write_text(json.dumps({
            "workload": workload, "model": "llama-3.1-8b", "seed": 7,
            "pools": [{"gpu": "l40s", "replicas": 2, "engine": {"prefix_caching": caching}}]}))
        rooftrace("run", path, "-o", folder / database)
        return rows_of(folder / database)

    made = rows({"synthetic": synthetic}, False, "made.db")
    told = rooftrace("trace", "synth", path, "-o", trace).stderr
    expect("the block size is told", "--trace-block-size 16" in told, told)
    read = rows({"trace": str(trace), "block_size": 16}, False, "trace.db")
    expect("600 rows", len(made) == 600)
    expect("made and read traffic have the same rows", made == read)
    made = rows({"synthetic": synthetic}, True, "made-cached.db")
    read = rows({"trace": str(trace), "block_size": 16}, True, "trace-cached.db")
    hits = [sum(row[9] for row in rows_) for rows_ in (made, read)]
    expect("hits in both, more where answers have names", hits[0] > hits[1] > 100_000, str(hits))
    with sqlite3.connect(folder / "made-cached.db") as db:
        stored, trace_format = db.execute("SELECT scenario, trace_format FROM run").fetchone()
    expect("the run says synthetic", trace_format == "synthetic")
    (folder / "again.json").write_text(stored)
    rooftrace("run", folder / "again.json", "-o", folder / "again.db")
    expect("the stored scenario repeats the rows", rows_of(folder / "again.db") == made)
    rooftrace("run", folder / "again.json", "--seed", 8, "-o", folder / "again.db")
    expect("another seed, other rows", rows_of(folder / "again.db", 2) != made)


def options_of_run(folder):
    out = folder / "options.db"
    rooftrace("run", "--num-prompts", 2000, "--random-input-len", 1000, "--random-output-len", 9,
              "--random-range-ratio", 0.2, "--random-prefix-len", 64, *FLEET, "-o", out)
    rows = rows_of(out)
    prompts, outputs = [r[7] for r in rows], [r[8] for r in rows]
    expect("2000 prompts", len(rows) == 2000)
    expect("input lengths from 800 to 1200, and the prefix", min(prompts) == 864 and max(prompts) == 1264)
    expect("output lengths from 7 to 11", min(outputs) == 7 and max(outputs) == 11)
    expect("the prefix is shared", sum(r[9] for r in rows) >= 1900 * 64 * 0.9, sum(r[9] for r in rows))
    rooftrace("run", "--num-prompts", 30, *FLEET, "-o", out)
    expect("vLLM's defaults", {(r[3], r[7], r[8]) for r in rows_of(out, 2)} == {(0, 1024, 128)})
    rooftrace("run", "traces/sample.scenario.json", "--requests", 40, "--prompt-tokens", "20:30",
              "--output-tokens", "zipf:exponent=1,min=3,max=5", "--arrivals", "gamma:10,cv=2",
              "--conversations", "turns=2,think_s=exponential:mean=3", "-o", out)
    rows = rows_of(out, 3)
    expect("options replace the scenario's trace", len(rows) == 40 and len({r[2] for r in rows}) == 20)
    with sqlite3.connect(out) as db:
        stored = json.loads(db.execute("SELECT scenario FROM run WHERE run_id = 3").fetchone()[0])
    expect("what the texts stand for", stored["workload"]["synthetic"] == {
        "requests": 40, "arrivals": {"kind": "gamma", "rate_per_s": 10, "cv": 2},
        "prompt_tokens": {"kind": "uniform", "min": 20, "max": 30},
        "output_tokens": {"kind": "zipf", "exponent": 1, "min": 3, "max": 5},
        "sessions": {"turns": {"kind": "fixed", "value": 2}, "answer_s_per_token": 0,
                     "think_s": {"kind": "exponential", "mean": 3}}}, stored["workload"])
    rooftrace("run", "--like", "traces/sample.csv", "--requests", 500, *FLEET, "-o", out)
    expect("like a trace", len(rows_of(out, 4)) == 500)
    rooftrace("run", "--arrivals", '{"kind": "poisson", "rate_per_s": 0.1}', "--requests", 3, *FLEET,
              "-o", out)
    expect("JSON as it stands", len(rows_of(out, 5)) == 3)


def loads_over_made_traffic(folder):
    """Closed loop and turns that wait, as over a trace."""
    out = folder / "loads.db"
    rooftrace("run", "--num-prompts", 300, "--random-input-len", 100, "--random-output-len", 20,
              "--max-concurrency", 8, *FLEET, "-o", out)
    rows = rows_of(out)
    sent = sorted([(r[3], 1) for r in rows] + [(r[6], -1) for r in rows])
    flying = [sum(step for _, step in sent[:i + 1]) for i in range(len(sent))]
    expect("8 in flight", len(rows) == 300 and max(flying) == 8, max(flying))
    rooftrace("run", "--requests", 200, "--arrivals", "poisson:20", "--prompt-tokens", 200,
              "--output-tokens", 50, "--conversations", "turns=4,think_s=2.5", "--sessions", "think",
              *FLEET, "-o", out)
    sessions = {}
    for row in rows_of(out, 2):
        sessions.setdefault(row[2], []).append(row)
    expect("50 conversations of 4 turns", sorted(map(len, sessions.values())) == [4] * 50)
    for turns in sessions.values():
        for before, turn in zip(turns, turns[1:]):
            expect("a turn comes 2.5 s after the answer", turn[3] - before[6] == 2_500_000_000)
            expect("and finds the prompt before", turn[9] >= before[7] // 16 * 16, (turn, before))


def mistakes(folder):
    spec = "traces/sessions.synthetic.json"
    for words, text in (
            (["run", "--trace", "traces/sample.csv", "--num-prompts", 5, *FLEET], "expected one of them"),
            (["run", "--num-prompts", 0, *FLEET], "--num-prompts: expected an integer from 1"),
            (["run", "--num-prompts", 5, "--random-range-ratio", 1, *FLEET], "--random-range-ratio"),
            (["run", "--random-input-len", 5, "--prompt-tokens", 6, *FLEET], "expected one of them"),
            (["run", "--requests", 5, "--repeat", 2, *FLEET], "workload.repeat: has no meaning"),
            (["run", *FLEET], "--trace is missing"),
            (["trace", "synth", "--arrivals", "poison:3"], 'did you mean "poisson"'),
            (["trace", "synth", "--arrivals", "poisson:"], "KEY=VALUE"),
            (["trace", "synth", "--arrivals", "poisson:3,4"], "KEY=VALUE"),
            (["trace", "synth", "--prompt-tokens", "many"], 'unknown name "many"'),
            (["trace", "synth", "--prompt-tokens", "9:3"], "expected min <= max"),
            (["trace", "synth", "--prompt-tokens", "{"], "--prompt-tokens:1:2"),
            (["trace", "synth", "--prefixes", "4"], "KEY=VALUE"),
            (["trace", "synth", "--prefixes", "count=4"], "tokens"),
            (["trace", "synth", "--conversations", "turns=0"], "$.sessions.turns"),
            (["trace", "synth", "--like", "x.csv", "--arrivals", "poisson:3"], "expected one of them"),
            (["trace", "synth", spec, "--arrivals", "poisson:3"], "not both"),
            (["trace", "synth", spec, "-o", folder / "x.csv"], "CSV has no hash_ids"),
            (["trace", "synth", spec, "-o", folder / "x.bin"], "ends in .jsonl or .csv"),
            (["trace", "synth", "traces/sample.scenario.json"], "synthetic"),
            (["trace", "synth", spec, spec], "trace synth [SPEC.json]"),
            (["trace", "stat", "traces/sample.csv", "--like", "x"], "--like is an option of trace synth")):
        told = rooftrace(*words, status=2).stderr
        expect(f"{words}: one line with {text!r}", text in told and len(told.splitlines()) == 1, told)
    for words, text in ((["trace", "synth", "--like", "no.csv"], "no.csv"),
                        (["trace", "synth", "--requests", 5, "-o", folder / "no/x.csv"], "cannot write: No such")):
        told = rooftrace(*words, status=1).stderr
        expect(f"{words}: {text!r}", text in told and len(told.splitlines()) == 1, told)
    expect("nothing was left behind", not (folder / "x.csv").exists() and not (folder / "x.bin").exists())


def like(folder):
    out = folder / "like.csv"
    table = rooftrace("trace", "synth", "--like", "traces/sample.csv", "--requests", 20000, "-o", out)
    for name in ("requests per second", "cv of the gaps", "prompt tokens p99", "rank correlation"):
        line = re.search(rf"^{name} .* ([+-][0-9.]+) %$", table.stdout, re.M)
        expect(f"the table tells {name}", line and abs(float(line.group(1))) < 3, table.stdout)
    told = json.loads(rooftrace("trace", "synth", "--like", "traces/sample.csv", "--requests", 20000,
                                "--json", "-o", out).stdout)
    stat = json.loads(rooftrace("trace", "stat", out, "--json").stdout)
    expect("what is told is what was written", told["made"]["requests"] == stat["requests"] == 20000 and
           told["made"]["input"]["p90"] == stat["input"]["p90"] and
           abs(told["made"]["cv_interarrival"] - stat["cv_interarrival"]) < 1e-9, (told, stat))
    expect("classes are kept", stat["classes"] == 2)


def peak_kib(requests):
    """Peak resident memory of making so many requests of sessions."""
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True,"
              " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
              " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    made = subprocess.run([sys.executable, "-c", script, ROOFTRACE, "trace", "synth", "--requests",
                           str(requests), "--arrivals", "poisson:100", "--conversations",
                           "turns=4,think_s=10", "--prompt-tokens", "20:400", "-o", "-"],
                          capture_output=True, text=True, check=True)
    return int(made.stdout) / (1024 if sys.platform == "darwin" else 1)


def constant_memory():
    few, many = peak_kib(20_000), peak_kib(400_000)
    expect(f"memory: {few:.0f} KiB for 20,000 requests, {many:.0f} KiB for 400,000", many < few + 4096)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shipped_traces(folder)
        run_equals_trace(folder)
        options_of_run(folder)
        loads_over_made_traffic(folder)
        mistakes(folder)
        like(folder)
        constant_memory()
    print("ok" if not failures else f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
