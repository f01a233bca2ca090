"""The Azure 2023 conversation trace, end to end, as the command line of the README does it.

Everything expected is computed here from the CSV and from the rows themselves: rows, statuses, token
sums, percentiles (numpy's linear rule), throughput; and a second run gives the same rows.
"""
import csv
import math
import os
import sqlite3
import subprocess
import sys
import tempfile

import reference_case as rc

TRACE = os.path.join(rc.ROOT, "..", "shared", "traces", "AzureLLMInferenceTrace_conv.csv")
PROBLEMS = []


def check(name, got, want):
    if got != want:
        PROBLEMS.append("%s: %s, expected %s" % (name, got, want))


def check_near(name, got, want, relative=1e-9):
    if got is None or not math.isclose(got, want, rel_tol=relative, abs_tol=1e-12):
        PROBLEMS.append("%s: %s, expected %s" % (name, got, want))


def percentile(values, q):
    """Linear interpolation between ranks, numpy's default; values sorted."""
    at = q * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def replay(database):
    done = subprocess.run([rc.rooftrace(), "run", "--trace", TRACE, "--model", "llama-3.1-8b",
                           "--gpu", "h100-sxm", "--replicas", "2", "-o", database],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("exit %d: %s" % (done.returncode, done.stderr))
    return done.stdout


def read_trace():
    with open(TRACE, newline="") as f:
        rows = [(int(r["ContextTokens"]), int(r["GeneratedTokens"])) for r in csv.DictReader(f)]
    return rows


def check_rows(db, trace):
    rows = db.execute("SELECT request_id, prompt_tokens, output_tokens FROM request"
                      " ORDER BY request_id").fetchall()
    check("rows", len(rows), 19366)
    check("rows of the trace", len(trace), 19366)
    check("ids", [row[0] for row in rows], list(range(len(trace))))
    check("prompt tokens", sum(row[1] for row in rows), sum(max(1, p) for p, _ in trace))
    check("output tokens", sum(row[2] for row in rows), sum(max(1, o) for _, o in trace))
    wrong = [i for i, (row, (p, o)) in enumerate(zip(rows, trace))
             if row[1:] != (max(1, p), max(1, o))]
    check("requests with other lengths", wrong, [])


def check_statuses(db):
    outcomes = dict(db.execute("SELECT status, count(*) FROM request GROUP BY status").fetchall())
    run = db.execute("SELECT requests, completed, rejected, unfinished, status FROM run").fetchone()
    check("status of the run", run[4], "complete")
    check("rows by status", sum(outcomes.values()), run[0])
    check("ok", outcomes.get("ok", 0), run[1])
    check("rejected", outcomes.get("rejected", 0), run[2])
    check("unfinished", run[3], 0)
    check("other statuses", set(outcomes) - {"ok", "rejected"}, set())
    bad = db.execute("""SELECT count(*) FROM request WHERE status = 'ok' AND NOT (
        arrival_ns <= scheduled_ns AND scheduled_ns < first_token_ns AND
        first_token_ns <= finish_ns AND (output_tokens > 1) = (finish_ns > first_token_ns) AND
        coalesce(produced_tokens, output_tokens) = output_tokens)""").fetchone()[0]
    check("ok rows whose times are out of order", bad, 0)


def check_percentiles(db):
    summary = db.execute("SELECT * FROM summary")
    names = [column[0] for column in summary.description]
    summary = dict(zip(names, summary.fetchone()))
    for metric, column in (("ttft", "ttft_s"), ("tpot", "tpot_s"), ("e2el", "e2e_s")):
        values = sorted(row[0] for row in db.execute(
            "SELECT %s FROM requests WHERE status = 'ok' AND %s IS NOT NULL" % (column, column)))
        mean = math.fsum(values) / len(values)
        check_near("mean " + metric, summary["mean_%s_ms" % metric], mean * 1e3)
        std = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
        check_near("std " + metric, summary["std_%s_ms" % metric], std * 1e3)
        check_near("median " + metric, summary["median_%s_ms" % metric],
                   percentile(values, 0.5) * 1e3)
        for name, q in (("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
            check_near("%s %s" % (name, metric), summary["%s_%s_ms" % (name, metric)],
                       percentile(values, q) * 1e3)
        check_near("max " + metric, summary["max_%s_ms" % metric], values[-1] * 1e3)
    return summary


def check_rates(db, summary):
    done, prompt, output, end = db.execute(
        "SELECT count(*), sum(prompt_tokens), sum(output_tokens), max(finish_ns) FROM request"
        " WHERE status = 'ok'").fetchone()
    check_near("duration", summary["duration"], end / 1e9)
    check("total input tokens", summary["total_input_tokens"], prompt)
    check("total output tokens", summary["total_output_tokens"], output)
    check_near("requests a second", summary["request_throughput"], done / (end / 1e9))
    check_near("output tokens a second", summary["output_throughput"], output / (end / 1e9))


def all_rows(database):
    """Every row of every table, requests as they lie in the file; `run` holds wall-clock figures."""
    db = sqlite3.connect(database)
    rows = db.execute("SELECT * FROM request ORDER BY rowid").fetchall()
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"
                                           " AND name NOT IN ('request', 'run') ORDER BY name")]
    for table in tables:
        found = db.execute("SELECT * FROM " + table).fetchall()
        rows.append((table, len(found)))
        rows += sorted(found, key=repr)
    db.close()
    return repr(rows)


def main():
    if not os.path.exists(TRACE):
        rc.skip("no ../shared/traces beside the project")
    with tempfile.TemporaryDirectory() as work:
        first, second = os.path.join(work, "conv.db"), os.path.join(work, "again.db")
        out, again = replay(first), replay(second)
        check("banner of the table", "Serving Benchmark Result" in out, True)
        db = sqlite3.connect(first)
        check_rows(db, read_trace())
        check_statuses(db)
        check_rates(db, check_percentiles(db))
        db.close()
        check("rows of a second run are the same", all_rows(first) == all_rows(second), True)
        check("tables printed by both runs have the same length", len(out.splitlines()),
              len(again.splitlines()))
    for problem in PROBLEMS:
        print("FAILED: " + problem[:500])
    print("%d problems" % len(PROBLEMS))
    return 1 if PROBLEMS else 0


if __name__ == "__main__":
    sys.exit(main())
