#!/usr/bin/env python3
"""`rooftrace size` as users meet it: table, JSON, database, exit status, plans and their schema.

Environment: ROOFTRACE = the executable. Standard library only; jsonschema where it is installed.
"""
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SAMPLE = ROOT / "traces/sample.csv"
AZURE = ROOT.parent / "shared/traces/AzureLLMInferenceTrace_conv.csv"
ASK = ["--trace", SAMPLE, "--model", "llama-3.1-8b", "--gpus", "h100-sxm,l40s", "--tp", "1,2",
       "--rate-scale", "4", "--slo", "p95_ttft:500ms,p95_tpot:50ms"]


def rooftrace(*args, **more):
    return subprocess.run([ROOFTRACE, *map(str, args)], capture_output=True, text=True, timeout=1800, **more)


class Size(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.db = self.folder / "size.db"

    def size(self, *args, status=0):
        run = rooftrace("size", *args, "-o", self.db)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run

    def fails(self, text, *args, status=2):
        run = self.size(*args, status=status)
        self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
        self.assertTrue(run.stderr.startswith("rooftrace: "), run.stderr)
        self.assertIn(text, run.stderr)
        self.assertFalse(run.stdout)

    def rows(self, sql):
        db = sqlite3.connect(self.db)
        db.row_factory = sqlite3.Row
        with db:
            rows = db.execute(sql).fetchall()
        db.close()
        return rows

    def test_answer_is_in_table_json_and_database(self):
        text = self.size(*ASK).stdout
        found = json.loads(self.size(*ASK, "--json").stdout)
        best = found["candidates"][found["chosen"]]
        trial = best["trials"][best["best"]]
        self.assertIn(f"Cheapest that holds: {best['candidate']}, {trial['replicas']} replicas "
                      f"({trial['gpus']} GPUs, {trial['usd_per_h']:.2f} $/h)", text)
        for row in found["candidates"]:
            self.assertIn(f"  {row['candidate']}: {row['reason']}", text)
            if row["best"] is not None:
                self.assertLessEqual(trial["usd_per_h"], row["trials"][row["best"]]["usd_per_h"])
        stored = self.rows("SELECT * FROM size_candidate WHERE chosen AND size_id = 2")
        self.assertEqual([(r["candidate"], r["replicas"], r["gpus"], r["run_id"]) for r in stored],
                         [(best["candidate"], trial["replicas"], trial["gpus"], trial["run_id"])])
        # every trial is a run with the figures that were judged, and no rows of requests
        for row in self.rows("SELECT t.stopped, t.verdict, s.status, s.p95_ttft_ms, c.value, c.requests"
                             " FROM size_trial AS t JOIN summary AS s USING (run_id) JOIN size_check AS c"
                             " ON c.run_id = t.run_id AND c.objective = 'p95_ttft:500ms'"):
            self.assertEqual(row["status"], "interrupted" if row["stopped"] else "complete")
            if not row["stopped"]:
                self.assertAlmostEqual(row["value"] * 1e3, row["p95_ttft_ms"], delta=0.0011 * row["p95_ttft_ms"])
                self.assertEqual(row["requests"], 1992)
        self.assertEqual(self.rows("SELECT count(*) AS n FROM request")[0]["n"], 0)
        self.assertGreater(self.rows("SELECT count(*) AS n FROM pareto WHERE on_cost_front")[0]["n"], 0)

    def test_neighbours_were_tried(self):
        found = json.loads(self.size(*ASK, "--json").stdout)
        for row in found["candidates"]:
            if row["best"] is None:
                continue
            tried = {t["replicas"]: t["verdict"] for t in row["trials"]}
            fewest = row["trials"][row["best"]]["replicas"]
            self.assertEqual(tried[fewest + 1], "pass")
            if fewest > 1:
                self.assertNotEqual(tried[fewest - 1], "pass")
        # and none twice, neither for a candidate nor for the headroom of the chosen one
        self.assertEqual(self.rows("SELECT label FROM run GROUP BY label HAVING count(*) > 1"), [])
        self.assertGreater(len(self.rows("SELECT 1 FROM run")), sum(len(r["trials"]) for r in found["candidates"]))

    def test_a_repeat_gives_the_same_bytes(self):
        outputs = []
        for jobs in (1, 2, 3):
            self.db = self.folder / f"{jobs}.db"
            outputs.append((self.size(*ASK, "--json", "--jobs", jobs).stdout,
                            [[tuple(r) for r in self.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4")]
                             for table in ("size_candidate", "size_trial", "size_check", "metric", "pool")]))
        self.assertEqual(outputs[0], outputs[1])
        self.assertEqual(outputs[0], outputs[2])

    def test_prices_are_those_given(self):
        self.size(*ASK, "--prices", "h100-sxm=100,l40s=0.5")
        self.assertEqual({r["gpu"]: r["price"] for r in self.rows(
            "SELECT gpu, usd_per_h / gpus AS price FROM size_candidate WHERE replicas > 0")},
            {"h100-sxm": 100.0, "l40s": 0.5})
        for row in self.rows("SELECT t.usd_per_h, p.usd_per_h AS of_run FROM size_trial AS t"
                             " JOIN pareto AS p ON p.run_id = t.run_id"):
            self.assertAlmostEqual(row["usd_per_h"], row["of_run"])

    def test_nothing_holds(self):
        run = self.size(*ASK[:-1], "p95_ttft:1ms", "--replica-range", "1:4", status=3)
        self.assertIn("Nothing holds.", run.stdout)
        self.assertEqual(self.rows("SELECT count(*) AS n FROM size_candidate WHERE verdict = 'fail'")[0]["n"], 4)

    def test_infeasible_candidates_stay_with_their_reason(self):
        run = self.size("--trace", SAMPLE, "--model", "llama-3.1-70b", "--gpus", "l40s", "--tp", "1,4",
                        "--slo", "p90_e2e:9000s", "--replica-range", "1:2")
        self.assertIn("does not fit on l40s", run.stdout)
        row = self.rows("SELECT verdict, reason, replicas FROM size_candidate WHERE tensor_parallel = 1")[0]
        self.assertEqual((row["verdict"], row["replicas"]), ("infeasible", None))
        self.assertIn("GB missing per GPU", row["reason"])

    def test_highest_rate(self):
        ask = ["--trace", SAMPLE, "--model", "llama-3.1-8b", "--gpu", "h100-sxm", "--replicas", "2",
               "--slo", "p95_ttft:500ms", "--max-rate", "--rate-precision", "0.05"]
        found = json.loads(self.size(*ask, "--json").stdout)
        row = found["candidates"][0]
        best, over = row["trials"][row["best"]], row["trials"][row["next"]]
        self.assertEqual(best["replicas"], 2)
        self.assertLess(best["rate"], over["rate"])
        self.assertLess(over["rate"] / best["rate"], 1.051)
        self.assertIn("times the traffic", self.size(*ask).stdout)

    def test_too_few_requests(self):
        run = self.size(*ASK[:-1], "p99_ttft:500ms", "--max-requests", "300", status=3)
        self.assertIn("needs 459 requests, the workload has 300", run.stderr)
        self.assertIn("undecided", run.stdout)
        self.size(*ASK[:-1], "p99_ttft:500ms", "--max-requests", "300", "--decide", "point")

    def test_mistakes(self):
        self.fails("expected --slo", *ASK[:-2])
        self.fails("expected an objective", *ASK[:-1], "p99_ttf:1s")
        self.fails("--replicas: their number is what is looked for", *ASK, "--replicas", "4")
        self.fails("--replica-range: with --max-rate", *ASK, "--max-rate", "--replica-range", "1:4")
        self.fails("--tp: expected degrees", *ASK, "--tp", "two")
        self.fails("--prices: expected prices", *ASK, "--prices", "l40s")
        self.fails("h1000", *ASK, "--gpus", "h1000")
        self.fails("--model is missing", "--trace", SAMPLE, "--gpus", "l40s", "--slo", "p90_ttft:1s")
        self.fails("no request of the workload has class", *ASK[:-1], "p90_ttft:1s@nobody")
        self.fails("No such file", *ASK, "--trace", self.folder / "missing.csv", status=1)
        self.fails("nothing of this workload is drawn", *ASK, "--seeds", "3")

    def test_interrupt(self):
        trace = self.folder / "long.csv"
        with open(trace, "w", encoding="ascii") as out:
            out.write("arrival_s,prompt_tokens,output_tokens\n")
            out.writelines(f"{i / 20:.3f},1000,400\n" for i in range(400000))
        with subprocess.Popen([ROOFTRACE, "size", "--trace", trace, "--model", "llama-3.1-8b", "--gpus",
                               "h100-sxm,a40", "--slo", "p99_ttft:500ms", "-o", self.db],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
            until = time.monotonic() + 600
            while time.monotonic() < until and run.poll() is None:
                time.sleep(0.05)
                if self.db.exists() and self.db.stat().st_size > 0:
                    break
            run.send_signal(signal.SIGINT)
            _, message = run.communicate(timeout=1800)
        self.assertEqual(run.returncode, 130, message)
        self.assertIn("interrupted", message)
        self.assertEqual(self.rows("SELECT count(*) AS n FROM run WHERE status = 'running'")[0]["n"], 0)

    @unittest.skipUnless(AZURE.exists(), "no reference data")
    def test_azure_at_ten_times_the_rate(self):
        ask = ["--trace", AZURE, "--model", "llama-3.1-70b", "--gpus",
               "h100-sxm,h200-sxm,a100-sxm-80gb,l40s,b200-sxm,mi300x", "--tp", "1,2,4", "--rate-scale", "10",
               "--slo", "p99_ttft:500ms,p99_tpot:50ms"]
        first, second = self.size(*ask), self.size(*ask)
        self.assertEqual(first.stdout, second.stdout)
        lines = first.stdout.splitlines()
        table = lines[2:20]
        self.assertEqual(sum(" infeasible " in line for line in table), 5)
        self.assertTrue(any(line.startswith("* ") and " pass " in line for line in table))
        self.assertEqual(len(lines[lines.index("Why:") + 1:]), 18)


GOOD = [{}, {"gpus": ["l40s", {"base": "l40s", "mem_gb": 80, "name": "l40s-80"}]}, {"tensor_parallel": [1, 2]},
        {"settings": [{"name": "small", "pool": {"engine": {"max_num_seqs": 8}}}, {}]},
        {"candidates": [{"pool": {"gpu": "h100-sxm"}, "replicas": [1, 2], "price_usd_per_h": 2}]},
        {"replicas": [1, 3]}, {"prices_usd_per_h": {"l40s": 1}}, {"confidence": 0.9}, {"decide": "point"},
        {"max_rate": True, "rate_precision": 0.5}, {"seeds": 1}, {"$comment": "x"},
        {"objectives": ["share90_ttft:9s+tpot:100ms", "p50_e2e:100s"]}, {"objectives": ["p50_ttft:9s@chat"]}]
BAD = [{"objectives": []}, {"objectives": "p50_ttft:9s"}, {"objectives": ["p50_ttft"]}, {"objectives": [1]},
       {"gpus": "l40s"}, {"gpus": []}, {"gpus": [1]}, {"tensor_parallel": [0]}, {"tensor_parallel": ["1"]},
       {"tensor_parallel": [1.5]}, {"settings": [{"pol": {}}]}, {"settings": {}}, {"settings": [{"pool": 1}]},
       {"candidates": []}, {"candidates": [{"replicas": [1]}]}, {"candidates": [{"price_usd_per_h": -1}]},
       {"candidates": [{"gpu": "l40s"}]}, {"replicas": [0, 1]}, {"replicas": 4}, {"replicas": [1, 65537]},
       {"replicas": [1, 2, 3]}, {"prices_usd_per_h": {"l40s": "1"}}, {"prices_usd_per_h": []}, {"confidence": 1},
       {"confidence": 0.4}, {"decide": "both"}, {"max_rate": 1}, {"rate_precision": 2}, {"seeds": 0},
       {"seeds": 1.5}, {"scenario": 1}, {"jobs": 2}]
ONLY_READER = [{"replicas": [2, 1]}, {"gpus": ["l4000"]}, {"objectives": ["p100_ttft:1s"]},
               {"objectives": ["p50_ttft:0s"]}, {"gpus": ["l40s", "l40s"]}, {"seeds": 2}]


class Plans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads((ROOT / "schemas/size.schema.json").read_text())
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens,class\n" +
                                          "".join(f"{i / 9:.3f},60,7,chat\n" for i in range(60)))

    def plan(self, change):
        return {"scenario": {"workload": {"trace": "t.csv"}, "model": "llama-3.1-8b", "pools": [{"gpu": "l40s"}]},
                "objectives": ["p50_ttft:9s"], "replicas": [1, 2], **change}

    def reads(self, plan):
        path = self.folder / "plan.json"
        path.write_text(json.dumps(plan))
        run = rooftrace("size", "--plan", path, "-o", self.folder / "plan.db")
        self.assertIn(run.returncode, (0, 2, 3), run.stderr)
        if run.returncode == 2:
            self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
        return run.returncode != 2, run.stderr

    def test_reader(self):
        for changes, want in ((GOOD, True), (BAD, False), (ONLY_READER, False)):
            for change in changes:
                ok, message = self.reads(self.plan(change))
                self.assertEqual(ok, want, (change, message))

    @unittest.skipIf(jsonschema is None, "no module jsonschema")
    def test_schema(self):
        check = jsonschema.Draft202012Validator(self.schema)
        for changes, want in ((GOOD, True), (BAD, False), (ONLY_READER, True)):
            for change in changes:
                self.assertEqual(check.is_valid(self.plan(change)), want, change)
        check.validate(json.loads((ROOT / "docs/examples/size.json").read_text()))

    def test_example_and_options_over_it(self):
        run = rooftrace("size", "--plan", ROOT / "docs/examples/size.json", "-o", self.folder / "e.db",
                        "--decide", "point", "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        found = json.loads(run.stdout)
        self.assertEqual(found["decide"], "point")
        self.assertEqual([c["candidate"] for c in found["candidates"]],
                         ["h100-sxm tp1", "h100-sxm tp1 fp8", "l40s tp1", "l40s tp1 fp8", "rtx-4090 tp1",
                          "rtx-4090 tp1 fp8", "rtx-4090 tp2 two"])


if __name__ == "__main__":
    unittest.main()
