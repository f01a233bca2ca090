#!/usr/bin/env python3
"""Prefill and decode pools through the executable: options and keys, rows, money, steps, no rows, Ctrl-C,
a stored scenario that repeats its run, and a sweep that sizes both pools.

Environment: ROOFTRACE = the executable. Standard library only.
"""
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
FLEET = ["--model", "llama-3.1-8b", "--gpu", "h100-sxm"]
APART = ["--prefill-replicas", 1, "--decode-replicas", 2]
ROWS = ("SELECT request_id, scheduled_ns, first_token_ns, finish_ns, pool, replica, prefill_replica, prefilled_ns,"
        " kv_ready_ns, max_itl_ns, status, produced_tokens FROM request ORDER BY rowid")


def run(*args, expect=0, command="run"):
    done = subprocess.run([ROOFTRACE, command, *map(str, args)], capture_output=True, text=True, cwd=ROOT)
    if done.returncode != expect:
        raise AssertionError(f"exit status {done.returncode}, expected {expect}: {done.stderr}")
    return done


def query(database, sql):
    with contextlib.closing(sqlite3.connect(database)) as db:
        return db.execute(sql).fetchall()


class Disaggregation(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.at = pathlib.Path(self.folder.name)
        self.db = self.at / "out.db"
        self.sample = ["--trace", ROOT / "traces/sample.csv", *FLEET, "-o", self.db]

    def test_rows_tell_both_sides(self):
        run(*self.sample, *APART, "--kv-transfer-gb-per-s", 20, "--kv-transfer-latency-us", 50, "--first-token",
            "prefill")
        self.assertEqual(query(self.db, "SELECT pool, role, replicas, first_replica FROM pool ORDER BY 4"),
                         [("prefill", "prefill", 1, 0), ("decode", "decode", 2, 1)])
        [(rows, handed, wrong)] = query(self.db, """
            SELECT count(*), count(prefill_replica), sum(prefill_replica IS NOT NULL AND NOT
                (prefill_replica = 0 AND replica IN (1, 2) AND pool = 'decode' AND prefilled_ns = first_token_ns AND
                 kv_ready_ns - prefilled_ns >= prompt_tokens * 131072 / 20.0 + 50000 - 1 AND
                 max_itl_ns >= kv_ready_ns - prefilled_ns)) FROM request""")
        self.assertGreater(rows, 0)
        self.assertEqual((handed, wrong), (rows, 0))
        self.assertEqual(query(self.db, "SELECT count(*) FROM request WHERE output_tokens = 1 AND kv_ready_ns > 0"),
                         [(0,)])
        [(least, most)] = query(self.db, "SELECT min(kv_transfer_s), max(kv_transfer_s) FROM requests")
        self.assertGreater(least, 0.00005)
        self.assertGreater(most, least)
        self.assertEqual(query(self.db, "SELECT count(*) FROM self_check WHERE ok = 0"), [(0,)])

    def test_one_token_answers_stay(self):
        trace = self.at / "one.csv"
        trace.write_text("arrival_s,prompt_tokens,output_tokens\n0,100,1\n1,100,2\n")
        for side, replicas in (("prefill", [(None, 0), (0, 1)]), ("decode", [(0, 1), (0, 2)])):
            self.db.unlink(missing_ok=True)
            run("--trace", trace, *FLEET, "-o", self.db, *APART, "--first-token", side, "--decode-router",
                "round_robin")
            self.assertEqual(query(self.db, "SELECT prefill_replica, replica FROM request ORDER BY request_id"),
                             replicas)

    def test_both_pools_are_billed(self):
        run(*self.sample, *APART)
        [(gpus, cost)] = query(self.db, "SELECT gpus, cost_usd FROM spend")
        pools = query(self.db, "SELECT pool, gpu_hours > 0, cost_usd FROM pool_spend ORDER BY pool")
        self.assertEqual(gpus, 3)
        self.assertEqual([pool[:2] for pool in pools], [("decode", 1), ("prefill", 1)])
        self.assertAlmostEqual(sum(pool[2] for pool in pools), cost)
        [(shared,)] = query(self.db, "SELECT sum(cost_usd) FROM class_spend")
        self.assertAlmostEqual(shared, cost)
        self.assertEqual(query(self.db, """
            SELECT pool, sum(completed) > 0, sum(prompt_tokens) > 0, sum(output_tokens) > 0, sum(service_s) > 0
            FROM class_use GROUP BY pool ORDER BY pool"""), [("decode", 1, 0, 1, 1), ("prefill", 0, 1, 0, 1)])

    def test_steps_and_no_rows(self):
        run(*self.sample, *APART, "--steps", "--max-requests", 100)
        kinds = query(self.db, "SELECT DISTINCT replica = 0, kind FROM steps ORDER BY 1, 2")
        self.assertEqual(kinds, [(0, "decode"), (1, "prefill")])
        self.db.unlink()
        run(*self.sample, *APART, "--no-requests")
        [(rows, completed)] = query(self.db, "SELECT (SELECT count(*) FROM request), completed FROM run")
        self.assertEqual(rows, 0)
        self.assertGreater(completed, 1000)

    def test_a_stored_scenario_repeats_the_run(self):
        run(*self.sample, *APART, "--kv-transfer-layerwise", "--first-token", "prefill", "--decode-router", "least_kv",
            "--max-requests", 300)
        again, other = self.at / "again.json", self.at / "again.db"
        again.write_text(query(self.db, "SELECT scenario FROM run")[0][0])
        document = json.loads(again.read_text())
        self.assertEqual(document["decode_router"], "least_kv")
        self.assertEqual(document["kv_transfer"], {"layerwise": True, "first_token": "prefill"})
        run(again, "-o", other)
        self.assertEqual(query(self.db, ROWS), query(other, ROWS))

    def test_interrupted_runs_keep_every_request(self):
        process = subprocess.Popen(
            [ROOFTRACE, "run", *map(str, [*self.sample, *APART, "--repeat", 1000000, "--no-coast"])],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
        deadline = time.monotonic() + 600
        rows = 0
        while rows == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
            with contextlib.suppress(sqlite3.Error):
                rows = query(self.db, "SELECT count(*) FROM request")[0][0]
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=600), 130)
        [(status, requests, unfinished)] = query(self.db, "SELECT status, requests, unfinished FROM run")
        self.assertEqual(status, "interrupted")
        self.assertEqual(query(self.db, "SELECT count(*), count(DISTINCT request_id), sum(status = 'unfinished') FROM"
                                        " request"), [(requests, requests, unfinished)])

    def test_what_is_wrong_is_said_in_a_line(self):
        two = {"workload": {"trace": str(ROOT / "traces/sample.csv")}, "model": "llama-3.1-8b",
               "pools": [{"gpu": "h100-sxm", "role": role} for role in ("prefill", "decode")]}
        scenario = self.at / "two.json"
        scenario.write_text(json.dumps(two))
        for args, text in (
                ([*self.sample, "--prefill-replicas", 1], "--decode-replicas is missing"),
                ([*self.sample, *APART, "--replicas", 2], "--replicas and --prefill-replicas"),
                ([*self.sample, "--kv-transfer-gb-per-s", 1], "kv_transfer: needs pools of role"),
                ([*self.sample, "--decode-router", "random"], "decode_router: needs pools of role"),
                ([*self.sample, *APART, "--policy", "static"], "needs a policy that lets a request join"),
                ([*self.sample, *APART, "--first-token", "both"], "first_token")):
            done = run(*args, expect=2)
            self.assertIn(text, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        run(scenario, "--decode-replicas", 3, "-o", self.db)
        self.assertEqual(query(self.db, "SELECT pool, replicas FROM pool ORDER BY first_replica"), [("main", 1), ("pool1", 3)])
        done = run(scenario, "--slo", "p95_ttft:500ms", "-o", self.db, expect=2, command="size")
        self.assertIn("sized by a sweep over their replicas", done.stderr)

    def test_a_decode_pool_too_small_rejects(self):
        scenario = self.at / "small.json"
        scenario.write_text(json.dumps({
            "workload": {"trace": str(ROOT / "traces/sample.csv")}, "model": "llama-3.1-8b",
            "pools": [{"gpu": "h100-sxm", "role": "prefill"},
                      {"gpu": "h100-sxm", "role": "decode", "engine": {"num_gpu_blocks": 60}}]}))
        run(scenario, "-o", self.db)
        counts = dict(query(self.db, "SELECT coalesce(reason, status), count(*) FROM request GROUP BY 1"))
        large = query(self.db, "SELECT count(*) FROM request WHERE prompt_tokens + output_tokens > 960")[0][0]
        self.assertGreater(large, 0)
        self.assertEqual(counts["kv"], large)
        self.assertEqual(set(counts), {"kv", "ok"})

    def test_a_sweep_sizes_both_pools(self):
        scenario = self.at / "base.json"
        scenario.write_text(json.dumps({
            "workload": {"trace": str(ROOT / "traces/sample.csv"), "rate_scale": 12}, "model": "llama-3.1-8b",
            "pools": [{"gpu": "h100-sxm", "role": role} for role in ("prefill", "decode")]}))
        plan = self.at / "plan.json"
        plan.write_text(json.dumps({"scenario": "base.json", "grid": {
            "pools[0].replicas": [1, 2], "pools[1].replicas": [1, 2]}}))
        run(plan, "-o", self.db, command="sweep")
        trials = query(self.db, "SELECT gpus, p99_ttft_ms, p99_tpot_ms FROM trials ORDER BY trial")
        self.assertEqual([gpus for gpus, _, _ in trials], [2, 3, 3, 4])
        self.assertLess(trials[3][1], trials[0][1])  # a second prefill replica shortens TTFT
        self.assertLess(trials[1][2], trials[0][2])  # a second decode replica TPOT


if __name__ == "__main__":
    unittest.main(verbosity=2)
