#!/usr/bin/env python3
"""`rooftrace sweep` and `rooftrace merge` through the executable.

What a database holds (wall-clock columns apart) is the same whatever --jobs, after kill -9 at random
moments and going on, and after merging shards; failing trials, wrong plans, locks, batch systems'
variables. Moments are drawn from a seed that is printed; SWEEP_SEED repeats them. Environment:
ROOFTRACE = the executable. Standard library only.
"""
import contextlib
import json
import os
import pathlib
import pty
import random
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SEED = int(os.environ.get("SWEEP_SEED", time.time_ns() % 1_000_000))
BATCH = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN",
         "SLURM_ARRAY_TASK_STEP", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")
ENV = {k: v for k, v in os.environ.items() if k not in BATCH}
WALL = {"run": {"started_at", "wall_s"}}

SCENARIO = {
    "workload": {"trace": "trace.csv"},
    "model": "llama-3.1-8b",
    "cost": {"kind": "linear", "coefficients_s": [0.005, 1e-5, 1e-8, 1e-4, 1e-7]},
    "pools": [{"name": "p", "gpu": "h100-sxm", "engine": {"num_gpu_blocks": 500}}],
    "slo": {"ttft_s": 0.5},
}
PLAN = {
    "scenario": "scenario.json",
    "list": [{}, {"pools[0].engine.policy": "continuous"}],
    "grid": {"pools[0].replicas": [1, 2], "workload.rate_scale": [1, 2, 4]},
}  # 12 trials
LONG = {**PLAN, "grid": {"pools[0].replicas": [1, 2], "workload.rate_scale": [1, 2, 4],
                         "workload.repeat": [60]}}  # about a second


def rows(n, seed=1):
    r = random.Random(seed)
    lines = ["arrival_s,prompt_tokens,output_tokens,class"]
    at = 0.0
    for _ in range(n):
        at += r.expovariate(8)
        lines.append(f"{at:.4f},{r.randint(10, 500)},{r.randint(1, 80)},{r.choice(['a', 'b'])}")
    return "\n".join(lines) + "\n"


def content(path):
    """Every table that has a run_id, in the order of run and row, without wall-clock columns."""
    found = {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        for (table, sql) in db.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})")]
            if "run_id" not in columns:
                continue
            kept = [c for c in columns if c not in WALL.get(table, ())]
            order = "run_id" if "WITHOUT ROWID" in sql else "run_id, rowid"
            found[table] = db.execute(
                f"SELECT {', '.join(kept)} FROM {table} ORDER BY {order}").fetchall()
    return found


class Folder(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.write("trace.csv", rows(300))
        self.write("scenario.json", SCENARIO)
        self.write("plan.json", PLAN)

    def write(self, name, what):
        text = what if isinstance(what, str) else json.dumps(what)
        (self.folder / name).write_text(text)

    def run_tool(self, *words, env=None):
        return subprocess.run([ROOFTRACE, *map(str, words)], text=True, cwd=self.folder,
                              capture_output=True, timeout=1800, env={**ENV, **(env or {})})

    def sweep(self, *words, status=0, env=None):
        done = self.run_tool("sweep", *words, env=env)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def merge(self, *words, status=0):
        done = self.run_tool("merge", *words)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def content(self, name):
        return content(self.folder / name)

    def query(self, name, sql):
        with contextlib.closing(sqlite3.connect(self.folder / name)) as db:
            return db.execute(sql).fetchall()

    def same(self, a, b):
        """Says which table differs, not all of both."""
        self.assertEqual(a.keys(), b.keys())
        for table, lines in a.items():
            self.assertEqual(len(lines), len(b[table]), table)
            for x, y in zip(lines, b[table]):
                self.assertEqual(x, y, table)


class Content(Folder):
    def test_jobs_change_nothing(self):
        for more in ([], ["--requests"]):
            with self.subTest(more):
                for jobs in (1, 4):
                    self.sweep("plan.json", "-o", f"j{jobs}{len(more)}.db", "--jobs", jobs, *more)
                one, four = self.content(f"j1{len(more)}.db"), self.content(f"j4{len(more)}.db")
                self.same(one, four)
                self.assertEqual(len(one["run"]), 12)
                self.assertEqual(len(one["request"]), 12 * 300 if more else 0)

    def test_trials_equal_single_runs(self):
        self.sweep("plan.json", "-o", "s.db", "--requests")
        scenario = json.loads(json.dumps(SCENARIO))
        scenario["pools"][0]["replicas"] = 2
        scenario["workload"]["rate_scale"] = 4
        self.write("six.json", scenario)
        self.assertEqual(self.run_tool("run", "six.json", "-o", "six.db").returncode, 0)
        for table in ("request", "metric", "replica", "sample", "slo", "itl_histogram"):
            trial = [r[1:] for r in self.content("s.db")[table] if r[0] == 6]
            single = [r[1:] for r in self.content("six.db")[table]]
            self.assertEqual(trial, single, table)

    def test_numbers_of_trials(self):
        self.sweep("plan.json", "-o", "s.db", "--label", "x")
        varied = [json.loads(v) for (v,) in self.query("s.db", "SELECT varied FROM trials")]
        self.assertEqual(varied[0], {"pools[0].replicas": 1, "workload.rate_scale": 1})
        self.assertEqual(varied[1], {"pools[0].replicas": 1, "workload.rate_scale": 2})
        self.assertEqual(varied[3], {"pools[0].replicas": 2, "workload.rate_scale": 1})
        self.assertEqual(varied[6], {"pools[0].engine.policy": "continuous",
                                     "pools[0].replicas": 1, "workload.rate_scale": 1})
        self.assertEqual(self.query("s.db", "SELECT DISTINCT label, plan_trials, status FROM run"),
                         [("x", 12, "complete")])
        replicas = self.query("s.db", "SELECT replicas FROM pool ORDER BY run_id")
        self.assertEqual([r for (r,) in replicas], [1, 1, 1, 2, 2, 2] * 2)

    def test_a_trace_that_streams_is_the_same(self):
        """Two traces, each used once: neither is kept in memory; used often: both are."""
        self.write("other.csv", rows(200, 2))
        traces = ["trace.csv", "other.csv"]
        self.write("once.json", {"scenario": SCENARIO, "grid": {"workload.trace": traces}})
        self.write("often.json", {"scenario": SCENARIO, "grid": {
            "workload.trace": traces, "workload.max_requests": [1000, 900, 800, 700]}})
        self.sweep("once.json", "-o", "once.db")
        self.sweep("often.json", "-o", "often.db")
        once, often = self.content("once.db")["metric"], self.content("often.db")["metric"]
        for trial, same in ((1, (1, 2, 3, 4)), (2, (5, 6, 7, 8))):
            for other in same:
                self.assertEqual([m[1:] for m in once if m[0] == trial],
                                 [m[1:] for m in often if m[0] == other])

    def test_equal_seeds_share_arrivals(self):
        scenario = json.loads(json.dumps(SCENARIO))
        scenario["workload"]["request_rate"] = 6
        scenario["seed"] = 5
        self.write("p.json", {"scenario": scenario, "grid": {"pools[0].replicas": [1, 3]},
                              "repeats": 2})
        self.sweep("p.json", "-o", "s.db", "--requests")
        self.assertEqual(self.query("s.db", "SELECT seed FROM run ORDER BY run_id"),
                         [(5,), (6,), (5,), (6,)])
        arrivals = [self.query("s.db", "SELECT request_id, arrival_ns FROM request"
                               f" WHERE run_id = {i} ORDER BY 1") for i in (1, 2, 3, 4)]
        self.assertEqual(arrivals[0], arrivals[2])
        self.assertEqual(arrivals[1], arrivals[3])
        self.assertNotEqual(arrivals[0], arrivals[1])

    def test_random_draws(self):
        keys = {"workload.rate_scale": {"uniform": [1, 2]}, "slo.ttft_s": {"log_uniform": [0.1, 10]},
                "pools[0].replicas": {"integer": [1, 3]}, "router": {"choice": [
                    "round_robin", "least_outstanding"]}}
        plan = {"scenario": SCENARIO, "random": {"count": 40, "seed": 3, "keys": keys}}
        self.write("p.json", plan)
        lines = self.sweep("p.json", "--check").stdout.splitlines()
        drawn = [json.loads(line.split("\t")[1]) for line in lines]
        self.assertEqual(len(drawn), 40)
        for d in drawn:
            self.assertTrue(1 <= d["workload.rate_scale"] < 2 and 0.1 <= d["slo.ttft_s"] < 10)
        self.assertEqual({d["pools[0].replicas"] for d in drawn}, {1, 2, 3})
        self.assertEqual(len({d["router"] for d in drawn}), 2)
        self.assertEqual(len({d["slo.ttft_s"] for d in drawn}), 40)
        self.assertTrue(10 < sum(d["slo.ttft_s"] < 1 for d in drawn) < 30)
        plan["random"]["count"] = 50
        self.write("p.json", plan)
        self.assertEqual(self.sweep("p.json", "--check").stdout.splitlines()[:40], lines)
        plan["random"]["seed"] = 4
        self.write("p.json", plan)
        self.assertNotEqual(self.sweep("p.json", "--check").stdout.splitlines()[:40], lines)

    def test_measured_operators(self):
        """A table in JSON is parsed for each trial, while others run."""
        self.write("ops.json", {"rows": [
            {"op": "gemm", "m": m, "n": 6144, "k": 4096, "us": 10 + m / 10}
            for m in (1, 64, 1024)]})
        scenario = {**SCENARIO, "cost": {"kind": "profile", "file": "ops.json"}}
        self.write("p.json", {"scenario": scenario, "grid": {
            "pools[0].replicas": [1, 2, 3], "workload.rate_scale": [1, 2, 3, 4]}})
        for jobs in (1, 4):
            self.sweep("p.json", "-o", f"s{jobs}.db", "--jobs", jobs)
        self.same(self.content("s1.db"), self.content("s4.db"))
        self.assertEqual(self.query("s4.db", "SELECT count(DISTINCT run_id) FROM cost_source"
                                    " WHERE source <> 'roofline'"), [(12,)])

    def test_output(self):
        done = self.sweep("plan.json", "-o", "s.db")
        header, line, *trials = done.stdout.splitlines()
        self.assertIn("pools[0].replicas", header)
        self.assertIn("p99_ttft_ms", header)
        self.assertEqual(len(trials), 12)
        self.assertIn("s.db, 12 trials", done.stderr)
        objects = json.loads(self.sweep("plan.json", "-o", "s.db", "--json").stdout)
        self.assertEqual([o["trial"] for o in objects], list(range(1, 13)))
        self.assertEqual(objects[5]["workload.rate_scale"], 4)
        self.assertGreater(objects[5]["p99_ttft_ms"], objects[5]["p50_ttft_ms"])
        self.assertIsNone(objects[0]["pools[0].engine.policy"])


class GoingOn(Folder):
    def setUp(self):
        super().setUp()
        self.write("plan.json", LONG)

    def kill_some(self, database, moments, longest_s, more):
        """How many of eight sweeps, each of which goes on with the same file, did not come to their end."""
        kills = 0
        for _ in range(8):
            run = subprocess.Popen(
                [ROOFTRACE, "sweep", "plan.json", "-o", database, "--jobs", "2", *more],
                cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
            time.sleep(moments.uniform(0, longest_s))
            run.kill()
            kills += run.wait() == -signal.SIGKILL
        return kills

    def test_killed_at_random_moments(self):
        print(f"SWEEP_SEED={SEED}", file=sys.stderr)
        moments = random.Random(SEED)
        for more in ([], ["--requests"]):
            begun = time.monotonic()
            self.sweep("plan.json", "-o", f"whole{len(more)}.db", "--jobs", 2, *more)
            longest_s = (time.monotonic() - begun) / 2
            database = f"killed{len(more)}.db"
            while self.kill_some(database, moments, longest_s, more) == 0:  # it is much faster now
                (self.folder / database).unlink(missing_ok=True)
                longest_s /= 2
                self.assertGreater(longest_s, 1e-3)
            self.sweep("plan.json", "-o", database, "--jobs", 2, *more)
            self.same(self.content(f"whole{len(more)}.db"), self.content(database))
            self.assertFalse((self.folder / f"{database}.lock").exists())

    def complete(self, name):
        """Trials that are; none while there is no file, or a commit holds it."""
        if (self.folder / name).exists():
            with contextlib.suppress(sqlite3.Error):
                return self.query(name, "SELECT count(*) FROM run WHERE status = 'complete'")[0][0]
        return 0

    def interrupt(self):
        """Ctrl-C once the first trial is complete: exit status, stdout, stderr."""
        run = subprocess.Popen([ROOFTRACE, "sweep", "plan.json", "-o", "s.db", "--jobs", "1"],
                               cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=ENV)
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and self.complete("s.db") == 0:
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=600)
        return run.returncode, out, err

    def test_interrupted(self):
        self.sweep("plan.json", "-o", "whole.db")
        for _ in range(10):
            status, out, err = self.interrupt()
            if status != 0:
                break
            (self.folder / "s.db").unlink()  # all trials had ended before we came: once more
        self.assertEqual(status, 130, err)
        self.assertEqual(out, "")
        self.assertIn("of 12 trials; the same command goes on", err)
        states = dict(self.query("s.db", "SELECT status, count(*) FROM run GROUP BY 1"))
        self.assertGreaterEqual(states["complete"], 1)
        self.assertLess(states["complete"], 12)
        self.assertEqual(set(states) - {"complete", "interrupted"}, set())
        self.sweep("plan.json", "-o", "s.db")
        self.same(self.content("whole.db"), self.content("s.db"))

    def test_a_full_disk(self):
        """A limit on the size of files stands for the disk."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

        self.write("plan.json", PLAN)
        self.sweep("plan.json", "-o", "whole.db", "--requests")
        done = subprocess.run([ROOFTRACE, "sweep", "plan.json", "-o", "s.db", "--requests"],
                              cwd=self.folder, capture_output=True, text=True, env=ENV,
                              preexec_fn=limit, timeout=1800)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("s.db", done.stderr)
        self.sweep("plan.json", "-o", "s.db", "--requests")
        self.same(self.content("whole.db"), self.content("s.db"))

    def test_progress_on_a_terminal(self):
        """Trials of a blink, then one without end."""
        self.write("plan.json", {"scenario": "scenario.json", "list": [
            {}, {}, {"workload.repeat": 100000}]})
        for more, shown in (([], True), (["--no-progress"], False)):
            terminal, other_end = pty.openpty()
            run = subprocess.Popen(
                [ROOFTRACE, "sweep", "plan.json", "-o", f"s{len(more)}.db", "--jobs", "1", *more],
                cwd=self.folder, stdout=subprocess.DEVNULL, stderr=other_end, env=ENV)
            os.close(other_end)
            waiting = shown
            if not waiting:
                deadline = time.monotonic() + 600
                while time.monotonic() < deadline and self.complete(f"s{len(more)}.db") < 2:
                    time.sleep(0.05)
                time.sleep(1)  # a line would stand there by now
                run.send_signal(signal.SIGINT)
            text = b""
            with contextlib.suppress(OSError):  # the end of a terminal
                while part := os.read(terminal, 4096):
                    text += part
                    if waiting and b"2 of 3 trials" in text and b"left" in text:
                        run.send_signal(signal.SIGINT)
                        waiting = False
            os.close(terminal)
            self.assertEqual(run.wait(), 130)
            line = re.search(rb"rooftrace: 2 of 3 trials, 0:\d\d, 0:\d\d left", text)
            self.assertEqual(line is not None, shown, text)

    def test_complete_trials_are_not_run_again(self):
        self.sweep("plan.json", "-o", "s.db")
        before = self.query("s.db", "SELECT run_id, started_at, wall_s FROM run")
        with contextlib.closing(sqlite3.connect(self.folder / "s.db")) as db, db:
            db.execute("UPDATE run SET status = 'running' WHERE run_id = 3")
        self.sweep("plan.json", "-o", "s.db")
        after = self.query("s.db", "SELECT run_id, started_at, wall_s FROM run")
        self.assertEqual([r[0] for r, s in zip(before, after) if r != s], [3])
        metrics = self.query("s.db", "SELECT run_id, count(*) FROM metric GROUP BY 1")
        self.assertEqual(len({count for _, count in metrics}), 1)

    def test_only_the_same_plan_goes_on(self):
        self.write("plan.json", PLAN)
        self.sweep("plan.json", "-o", "s.db")
        before = self.content("s.db")
        self.write("plan.json", {**PLAN, "repeats": 2})
        self.assertIn("not of this plan", self.sweep("plan.json", "-o", "s.db", status=1).stderr)
        self.write("plan.json", PLAN)
        self.assertIn("not of this plan",
                      self.sweep("plan.json", "-o", "s.db", "--requests", status=1).stderr)
        self.assertEqual(self.run_tool("run", "scenario.json", "-o", "r.db").returncode, 0)
        self.assertIn("not of this plan", self.sweep("plan.json", "-o", "r.db", status=1).stderr)
        self.assertEqual(len(self.query("r.db", "SELECT 1 FROM run")), 1)
        self.same(before, self.content("s.db"))

    def test_one_process_at_a_time(self):
        self.write("plan.json", {"scenario": SCENARIO, "list": [{"workload.repeat": 100000}]})
        run = subprocess.Popen([ROOFTRACE, "sweep", "plan.json", "-o", "s.db", "--jobs", "1"],
                               cwd=self.folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, env=ENV)
        while not (self.folder / "s.db").exists() and run.poll() is None:
            time.sleep(0.01)
        self.assertIn("another sweep is writing", self.sweep("plan.json", "-o", "s.db",
                                                             status=1).stderr)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=600)
        self.assertEqual(run.returncode, 130, err)


class Shards(Folder):
    def test_merged_equal_one_run(self):
        for more in ([], ["--requests"]):
            self.sweep("plan.json", "-o", f"whole{len(more)}.db", *more)
            names = []
            for i in range(1, 6):
                self.sweep("plan.json", "-o", f"part{len(more)}.db", "--shard", f"{i}/5", *more)
                names.append(f"part{len(more)}.{i}-of-5.db")
            self.merge(f"all{len(more)}.db", *names)
            self.merge(f"back{len(more)}.db", *reversed(names))
            whole = self.content(f"whole{len(more)}.db")
            self.same(whole, self.content(f"all{len(more)}.db"))
            self.same(whole, self.content(f"back{len(more)}.db"))
            shares = [len(self.query(n, "SELECT 1 FROM run")) for n in names]
            self.assertEqual(shares, [3, 3, 2, 2, 2])
            first, second = (self.folder / f"{n}{len(more)}.db" for n in ("all", "back"))
            self.assertEqual(first.read_bytes(), second.read_bytes())

    def test_what_is_missing_is_told_and_filled_in(self):
        self.sweep("plan.json", "-o", "whole.db")
        for i in (1, 3):
            self.sweep("plan.json", "-o", "part.db", "--shard", f"{i}/3")
        with contextlib.closing(sqlite3.connect(self.folder / "part.3-of-3.db")) as db, db:
            db.execute("UPDATE run SET status = 'interrupted' WHERE run_id = 6")
        done = self.merge("all.db", "part.1-of-3.db", "part.3-of-3.db")
        self.assertIn("7 of 12 trials", done.stdout)
        self.assertIn("1 runs that had not ended were left out", done.stderr)
        self.assertIn("5 trials are missing, the first is trial 2", done.stderr)
        report = json.loads(self.merge("b.db", "part.1-of-3.db", "--json").stdout)
        self.assertEqual(report, {"trials": 12, "merged": 4, "failed": 0, "unfinished": 0,
                                  "first_missing": 2})
        self.merge("c.db", "all.db")  # merging again is allowed
        self.sweep("plan.json", "-o", "all.db")
        self.same(self.content("whole.db"), self.content("all.db"))

    def test_refusals(self):
        for i in (1, 2):
            self.sweep("plan.json", "-o", "part.db", "--shard", f"{i}/2")
        self.write("other.json", {**PLAN, "repeats": 3})
        self.sweep("other.json", "-o", "other.db")
        self.assertEqual(self.run_tool("run", "scenario.json", "-o", "run.db").returncode, 0)
        self.write("text.db", "no database " * 20)
        one, two = "part.1-of-2.db", "part.2-of-2.db"
        for words, text in ((["x.db", one, one], "trial 1 is in"),
                            (["x.db", one, "other.db"], "is of another plan than"),
                            (["x.db", one, "run.db"], "not of a sweep"),
                            (["x.db", one, "none.db"], "no such file"),
                            (["x.db", one, "text.db"], "not an SQLite database"),
                            ([one, two], "exists; merge writes a new file"),
                            (["no/x.db", one, two], "does not exist")):
            self.assertIn(text, self.merge(*words, status=1).stderr)
            self.assertFalse((self.folder / "x.db").exists())
        self.merge("x.db", status=2)
        with contextlib.closing(sqlite3.connect(self.folder / two)) as db, db:
            db.execute("PRAGMA user_version = 77")
        self.assertIn("schema version 77", self.merge("x.db", one, two, status=1).stderr)

    def test_a_table_of_another_build(self):
        for i in (1, 2):
            self.sweep("plan.json", "-o", "part.db", "--shard", f"{i}/2")
        with contextlib.closing(sqlite3.connect(self.folder / "part.2-of-2.db")) as db, db:
            db.execute("ALTER TABLE sample ADD COLUMN more INTEGER")
        done = self.merge("x.db", "part.1-of-2.db", "part.2-of-2.db", status=1)
        self.assertIn("table sample is of another build", done.stderr)
        self.assertFalse((self.folder / "x.db").exists())

    def test_batch_systems(self):
        slurm = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4",
                 "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_STEP": "2"}
        done = self.sweep("plan.json", "-o", "s.db", env=slurm)
        self.assertIn("shard 2 of 4, as SLURM_ARRAY_TASK_ID says: s.2-of-4.db", done.stderr)
        self.assertEqual(self.query("s.2-of-4.db", "SELECT run_id FROM run"), [(2,), (6,), (10,)])
        cube = {"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "4"}
        self.sweep("plan.json", "-o", "s", env=cube)
        self.assertEqual(self.query("s.4-of-4", "SELECT run_id FROM run"), [(4,), (8,), (12,)])
        self.sweep("plan.json", "-o", "w.db", "--shard", "1/1", env=cube)
        self.assertEqual(len(self.query("w.db", "SELECT 1 FROM run")), 12)
        for env in ({"SLURM_ARRAY_TASK_ID": "1"}, {"JOB_COMPLETION_INDEX": "0"},
                    {**slurm, "SLURM_ARRAY_TASK_ID": "x"}, {**slurm, "SLURM_ARRAY_TASK_ID": "13"},
                    {**slurm, "SLURM_ARRAY_TASK_ID": "4"}, {**slurm, "SLURM_ARRAY_TASK_STEP": "0"},
                    {**cube, "JOB_COMPLETIONS": "3"}, {**cube, "JOB_COMPLETIONS": ""},
                    {**cube, "JOB_COMPLETION_INDEX": "99999999999999999999"}):
            self.assertRegex(self.sweep("plan.json", "-o", "n.db", env=env, status=2).stderr,
                             "expected a whole number|give --shard I/N")
        for shard in ("0/4", "5/4", "1", "1/", "/4", "1/4/5", "1/0", "-1/4", "a/b", "1/9999999",
                      "1 /4", "1/4 ", "00000000000000000001/4", ""):
            done = self.sweep("plan.json", "-o", "n.db", "--shard", shard, status=2)
            self.assertIn("--shard: expected I/N", done.stderr)
        self.assertEqual(list(self.folder.glob("n*")), [])


class Kubernetes(Folder):
    def test_the_manifest(self):
        """What it says of its shards is consistent, and its command runs as a pod's would."""
        text = (ROOT / "tools/kubernetes/sweep-job.yaml").read_text()
        completions = re.search(r"^  completions: (\d+)$", text, re.M).group(1)
        self.assertIn("completionMode: Indexed", text)
        self.assertIn("name: JOB_COMPLETIONS", text)
        self.assertEqual(re.search(r'value: "(\d+)"', text).group(1), completions)
        self.assertIn(f"*-of-{completions}.db", text)
        command = json.loads(re.search(r"command: (\[.*\])", text).group(1))
        self.assertEqual(command[0], "rooftrace")
        for index in range(int(completions)):
            words = [w.replace("/data/", "") for w in command[1:]]
            self.sweep(*words[1:], env={"JOB_COMPLETIONS": completions,
                                        "JOB_COMPLETION_INDEX": str(index)})
        self.merge("all.db", *self.folder.glob(f"sweep.*-of-{completions}.db"))
        self.sweep("plan.json", "-o", "whole.db")
        self.same(self.content("whole.db"), self.content("all.db"))


class Failures(Folder):
    def test_a_trial_that_does_not_fit(self):
        scenario = {**SCENARIO, "cost": {"kind": "roofline"}, "model": "llama-3.1-70b",
                    "pools": [{"name": "p", "gpu": "h100-sxm"}]}
        plan = {"scenario": scenario, "grid": {"pools[0].tensor_parallel": [1, 4]}, "repeats": 2}
        self.write("p.json", plan)
        done = self.sweep("p.json", "-o", "s.db")
        self.assertIn("2 of 4 trials failed; trial 1: ", done.stderr)
        found = self.query("s.db", "SELECT trial, status, message, gpus, p99_ttft_ms FROM trials")
        self.assertEqual([f[1] for f in found], ["failed", "failed", "complete", "complete"])
        self.assertIn("fit", found[0][2])
        self.assertEqual((found[0][3], found[0][4]), (1, None))
        self.assertEqual(found[2][2], None)
        before = self.content("s.db")
        self.sweep("p.json", "-o", "s.db")
        self.same(before, self.content("s.db"))
        self.sweep("p.json", "-o", "f.db", "--fail-fast", "--jobs", 1, status=1)
        self.assertLess(len(self.query("f.db", "SELECT 1 FROM run WHERE status = 'complete'")), 2)
        plan["grid"]["pools[0].tensor_parallel"] = [1]
        self.write("p.json", plan)
        self.sweep("p.json", "-o", "all.db", status=1)
        self.merge("m.db", "s.db")
        self.same(before, self.content("m.db"))

    def test_a_trace_with_an_error(self):
        self.write("bad.csv", rows(50) + "9,x,1,a\n")
        self.write("p.json", {"scenario": SCENARIO, "grid": {
            "workload.trace": ["bad.csv", "trace.csv"]}, "repeats": 2})
        done = self.sweep("p.json", "-o", "s.db", "--requests")
        self.assertIn("bad.csv:52:3: prompt_tokens", done.stderr)
        self.assertEqual(self.query("s.db", "SELECT status, count(*) FROM run GROUP BY 1"),
                         [("complete", 2), ("failed", 2)])

    def test_plans_that_are_wrong(self):
        def plan(**more):
            return {"scenario": "scenario.json", **more}
        for what, text in (
                ({}, 'missing key "scenario"'), ([], "expected an object"), ("{", "p.json:1"),
                (plan(gird={}), 'did you mean "grid"'),
                ({"scenario": 5}, "expected a scenario or the path"),
                ({"scenario": "none.json"}, "none.json: cannot open"),
                (plan(grid=[]), "$.grid: expected an object"),
                (plan(grid={"seed": []}), "$.grid.seed: expected at least one value"),
                (plan(grid={"seed": 1}), "$.grid.seed: expected an array"),
                (plan(grid={"pools[0": [1]}), "expected a path such as"),
                (plan(grid={"a..b": [1]}), "expected a path such as"),
                (plan(grid={"": [1]}), "expected a path such as"),
                (plan(grid={"[0]": [1]}), "expected a path such as"),
                (plan(grid={"a" * 99: [1]}), "expected a path such as"),
                (plan(grid={"sed": [1]}), 'did you mean "seed"'),
                (plan(grid={"seed": [1, -1]}), 'trial 2 {"seed":-1}: scenario.json: $.seed'),
                (plan(grid={"pools[1].replicas": [1]}), "pools[1].replicas: [1]: the array is sh"),
                (plan(grid={"pools.x": [1]}), '"x": what stands before it is not an object'),
                (plan(grid={"polls[0].x": [1]}), '"polls": there is no such array'),
                (plan(grid={"model[0]": [1]}), "[0]: expected an array before it"),
                (plan(grid={"seed": [1]}, list=[{"seed": 1}]), "varied elsewhere"),
                (plan(grid={"seed": [1]}, repeats=2), '"seed" is varied'),
                (plan(seeds=[1], repeats=2), "either repeats or seeds"),
                (plan(seeds=[]), "expected at least one seed"),
                (plan(seeds=[1.5]), "expected an integer"),
                (plan(seeds=[-1]), "expected a number from 0"),
                (plan(repeats=0), "expected an integer from 1"),
                (plan(repeats=200000), "expected an integer from 1"),
                (plan(list=[]), "$.list: expected at least one object"),
                (plan(list=[5]), "$.list[0]: expected an object"),
                (plan(list={}), "$.list: expected an array"),
                (plan(repeats=1000, grid={"slo.ttft_s": [1] * 1000}), "at most 100000 trials"),
                (plan(random={}), 'missing key "count"'),
                (plan(random={"count": 1}), 'missing key "keys"'),
                (plan(random={"count": 0, "keys": {}}), "expected an integer from 1"),
                (plan(random={"count": 1, "keys": {"seed": 5}}), "expected an object"),
                (plan(random={"count": 1, "keys": {"seed": {}}}), "expected one of uniform"),
                (plan(random={"count": 1, "keys": {"seed": {"normal": [1, 2]}}}), "unknown key"),
                (plan(random={"count": 1, "keys": {"seed": {"uniform": [1, 2], "choice": [1]}}}),
                 "expected one of uniform"),
                (plan(random={"count": 1, "keys": {"seed": {"uniform": [2, 1]}}}), "low < high"),
                (plan(random={"count": 1, "keys": {"seed": {"uniform": [1]}}}), "[low, high]"),
                (plan(random={"count": 1, "keys": {"seed": {"integer": [1, 1.5]}}}), "two integers"),
                (plan(random={"count": 1, "keys": {"seed": {"log_uniform": [0, 1]}}}), "above 0"),
                (plan(random={"count": 1, "keys": {"seed": {"choice": []}}}), "at least one value"),
                (plan(random={"count": 1, "keys": {"seed": {"uniform": [-1e308, 1e308]}}}), "closer"),
                (plan(grid={"workload.trace": ["none.csv"]}), "none.csv: cannot open"),
                (plan(grid={"workload.trace": ["-"]}), "standard input"),
                (plan(grid={"seed": [None, "x"]}), 'trial 2 {"seed":"x"}')):
            with self.subTest(what):
                self.write("p.json", what)
                done = self.run_tool("sweep", "p.json", "-o", "n.db")
                self.assertEqual(done.returncode, 1 if "cannot open" in text else 2, done.stderr)
                self.assertIn(text, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
                self.assertFalse((self.folder / "n.db").exists())

    def test_good_odds_and_ends(self):
        """Remarks, null takes a key away, objects are made on the way, inline scenarios."""
        scenario = {**SCENARIO, "$comment": "x"}
        self.write("p.json", {"$schema": "x", "scenario": scenario,
                              "list": [{"$note": 1, "slo": None},
                                       {"classes": [{"name": "a", "priority": 1}]}],
                              "grid": {"$why": 5, "workload.window_s": [[0, 10], [0, 20]]}})
        self.sweep("p.json", "-o", "s.db")
        found = self.query("s.db", "SELECT varied, slo_ttft_s, requests FROM run ORDER BY run_id")
        self.assertEqual([f[1] for f in found], [None, None, 0.5, 0.5])
        self.assertLess(found[0][2], found[1][2])
        self.assertEqual(json.loads(found[1][0]), {"slo": None, "workload.window_s": [0, 20]})

    def test_output_that_cannot_be(self):
        self.write("text.db", "no database " * 20)
        for name, text in (("no/x.db", "does not exist"), ("text.db", "not an SQLite database"),
                           (".", "is a folder")):
            self.assertIn(text, self.sweep("plan.json", "-o", name, status=1).stderr)
        self.sweep(status=2)
        self.sweep("plan.json", "more", status=2)
        self.sweep("plan.json", "--jobs", "0", status=2)
        self.assertIn("cannot open", self.sweep("none.json", status=1).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
