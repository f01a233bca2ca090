#!/usr/bin/env python3
"""`rooftrace compare` as users meet it: errors that Python works out again from the run's rows.

Environment: ROOFTRACE = the executable. Standard library only.
"""
import json
import math
import os
import pathlib
import sqlite3
import statistics
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SAMPLE = ROOT / "traces/sample.csv"
RUN = ["run", "--trace", SAMPLE, "--model", "llama-3.1-8b", "--gpu", "h100-sxm", "--max-requests", "80"]


def rooftrace(*args):
    return subprocess.run([ROOFTRACE, *map(str, args)], capture_output=True, text=True, timeout=1800)


def percentile(values, q):
    """numpy's default."""
    values = sorted(values)
    place = q * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.db = cls.folder / "out.db"
        for gpu in ("h100-sxm", "l40s"):
            run = rooftrace(*[gpu if word == "h100-sxm" else word for word in RUN], "-o", cls.db)
            assert run.returncode == 0, run.stderr
        db = sqlite3.connect(cls.db)
        cls.rows = db.execute("SELECT request_id, arrival_s, prompt_tokens, output_tokens, ttft_s,"
                              " tpot_s, e2e_s FROM requests WHERE run_id = 1 ORDER BY 1").fetchall()
        db.close()

    def log(self, name, rows, columns="request_id,arrival_s,prompt_tokens,output_tokens,ttft_s,tpot_s,e2e_s"):
        path = self.folder / name
        lines = [",".join("" if v is None else repr(v) if isinstance(v, float) else str(v) for v in row)
                 for row in rows]
        path.write_text("\n".join([columns, *lines]) + "\n")
        return path

    def ok(self, *args):
        run = rooftrace("compare", *args)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def json(self, *args):
        return json.loads(self.ok(*args, "--json"))

    def fails(self, status, text, *args):
        run = rooftrace("compare", *args)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
        self.assertTrue(run.stderr.startswith("rooftrace: "), run.stderr)
        self.assertIn(text, run.stderr)
        self.assertEqual(run.stdout, "")

    def scaled(self):
        """What would have been measured if each request were off by its own known factor."""
        factor = [0.5 + (i * 37 % 80) / 60 for i in range(len(self.rows))]
        return [(f"r-{i}", a, p, o, t * f, None, t * f + (e - t) * f * f)
                for f, (i, a, p, o, t, _, e) in zip(factor, self.rows)]

    def test_every_figure_of_the_json(self):
        measured = self.scaled()
        got = self.json(self.log("scaled.csv", reversed(measured)), self.db, "--run", 1)
        self.assertEqual(got["paired_by"], "id")
        self.assertEqual([got[k] for k in ("requests_a", "requests_b", "pairs", "compared")], [80] * 4)
        self.assertEqual([got[k] for k in ("only_a", "only_b", "failed_a", "failed_b", "tokens_differ")],
                         [0] * 5)
        real = {"ttft_s": [m[4] for m in measured], "e2e_s": [m[6] for m in measured],
                "tpot_s": [(m[6] - m[4]) / (m[3] - 1) for m in measured if m[3] > 1]}
        ours = {"ttft_s": [r[4] for r in self.rows], "e2e_s": [r[6] for r in self.rows],
                "tpot_s": [r[5] for r in self.rows if r[3] > 1]}
        for key, a in real.items():
            b = ours[key]
            for name, of in [("mean", statistics.fmean), *((f"p{p}", lambda v, p=p: percentile(v, p / 100))
                                                            for p in (50, 90, 95, 99))]:
                want = {"a": of(a), "b": of(b), "error": of(b) / of(a) - 1}
                for part, value in want.items():
                    self.assertAlmostEqual(got[key][name][part], value, delta=1e-9 * max(1, abs(value)))
            errors = [abs(y / x - 1) for x, y in zip(a, b)]
            self.assertEqual(got[key]["errors"], len(errors))
            self.assertAlmostEqual(got[key]["median_abs_error"], statistics.median(errors), places=9)
            self.assertAlmostEqual(got[key]["mean_abs_error"], statistics.fmean(errors), places=9)
            self.assertAlmostEqual(got[key]["p90_abs_error"], percentile(errors, 0.9), places=9)
        span = max(m[1] + m[6] for m in measured) - min(m[1] for m in measured)
        self.assertAlmostEqual(got["requests_per_s"]["a"], 80 / span, places=9)
        self.assertAlmostEqual(got["output_tokens_per_s"]["a"], sum(m[3] for m in measured) / span, places=6)

    def test_a_run_against_itself_and_another(self):
        got = self.json(self.db, "--with", 1, "--run", 1)
        self.assertEqual(got["compared"], 80)
        for key in ("ttft_s", "tpot_s", "itl_s", "e2e_s"):
            self.assertEqual(got[key]["p99"]["error"], 0)
        self.assertGreater(got["itl_s"]["count_a"], 1000)
        got = self.json(self.db, "--with", 1)
        db = sqlite3.connect(self.db)
        for metric in ("ttft_s", "tpot_s", "itl_s", "e2e_s"):
            for statistic, ratio in db.execute(
                    "SELECT statistic, ratio FROM compare_metrics WHERE run_a = 1 AND run_b = 2 AND"
                    " metric = ? AND scope = 'run' AND class IS NULL AND statistic IN"
                    " ('mean', 'p50', 'p90', 'p95', 'p99')", (metric,)):
                self.assertAlmostEqual(got[metric][statistic]["error"], ratio - 1, places=9)
        db.close()
        self.assertGreater(got["tpot_s"]["mean"]["error"], 0.5)  # an L40S is slower

    def test_the_table(self):
        rows = [(i, a, p, o, t / 1.25, None, e / 1.25) for i, a, p, o, t, _, e in self.rows]
        text = self.ok(self.log("off.csv", rows[:60]), self.db, "--run", 1)
        self.assertRegex(text, r"Compared, paired by id: +60\n")
        self.assertRegex(text, r"Only in b: +20\n")
        self.assertRegex(text, r"\nTTFT mean \(ms\) .* \+25\.00\n")
        self.assertRegex(text, r"\nE2E p99 \(ms\) .* \+25\.00\n")
        self.assertRegex(text, r"\nTTFT +25\.00 +25\.00 +25\.00\n")

    def test_a_log_of_another_trace_is_told(self):
        rows = [(i, a, p + 1, *rest) for i, a, p, *rest in self.rows]
        run = rooftrace("compare", self.log("other.csv", rows), self.db)
        self.assertEqual(run.returncode, 0)
        self.assertIn("80 of 80 pairs have other token counts", run.stderr)

    def test_vllm_and_columns_and_order(self):
        path = self.folder / "vllm.json"
        path.write_text(json.dumps({
            "duration": 60.0, "ttfts": [r[4] for r in self.rows], "latencies": [r[6] for r in self.rows],
            "itls": [[r[5]] * (r[3] - 1) if r[5] else [] for r in self.rows],
            "input_lens": [r[2] for r in self.rows], "output_lens": [r[3] for r in self.rows]}))
        got = self.json(path, self.db, "--run", 1)
        self.assertAlmostEqual(got["ttft_s"]["mean"]["error"], 0, places=9)
        self.assertAlmostEqual(got["itl_s"]["mean"]["error"], 0, delta=1e-3)
        self.assertAlmostEqual(got["requests_per_s"]["a"], 80 / 60)
        log = self.log("named.csv", [(r[1], 1e3 * r[4]) for r in self.rows], "arrival_s,erster")
        got = self.json("--columns", "ttft_ms:Erster", "--by", "order", log, self.db, "--run", 1)
        self.assertEqual(got["paired_by"], "order")
        self.assertAlmostEqual(got["ttft_s"]["p99"]["error"], 0, places=9)
        self.assertIsNone(got["e2e_s"]["mean"]["error"])

    def test_errors(self):
        log = self.log("good.csv", self.rows)
        self.fails(2, "expected a measured log and a database", self.db)
        self.fails(2, "expected a database", log, self.db, "--with", 1)
        self.fails(2, "no run 9", log, self.db, "--run", 9)
        self.fails(2, "--by: unknown way \"idd\", did you mean \"id\"", log, self.db, "--by", "idd")
        self.fails(2, "--columns is for a measured log", self.db, "--with", 1, "--columns", "e2e_s:x")
        self.fails(2, "there is no column \"x\"", log, self.db, "--columns", "e2e_s:x")
        self.fails(1, "no such file", log, self.folder / "none.db")
        self.fails(1, "none.csv", self.folder / "none.csv", self.db)
        self.fails(1, "good.csv", self.db, log)
        self.fails(1, "empty.csv: is empty", self.empty(), self.db)
        self.fails(1, "bad.csv:2:5: ttft_s: expected a number, read \"soon\"",
                   self.log("bad.csv", [(0, 0, "soon")], "id,x,ttft_s"), self.db)
        self.fails(1, "have no request in common", self.log("far.csv", [(5000, 1.0)], "id,ttft_s"), self.db)
        self.fails(1, "request 3 is there twice",
                   self.log("twice.csv", [(3, 1.0), (3, 1.0)], "id,ttft_s"), self.db)
        no_rows = self.folder / "none-kept.db"
        self.assertEqual(rooftrace(*RUN, "--no-requests", "-o", no_rows).returncode, 0)
        self.fails(1, "run 1 has no rows of requests", log, no_rows)

    def empty(self):
        path = self.folder / "empty.csv"
        path.write_text("")
        return path


if __name__ == "__main__":
    unittest.main()
