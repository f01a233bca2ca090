#!/usr/bin/env python3
"""Fleets that come and go as users meet them: options and keys, tables worked out by hand, retries of
sessions and closed loops, aggregates without rows, a run repeated from its stored scenario, sizing
with a replica down.

Environment: ROOFTRACE = the executable. Standard library only.
"""
import json
import subprocess

import run_case
from run_case import ENGINE, ROOFTRACE


class Case(run_case.RunCase):
    def scenario(self, rows, pool, columns="", **more):
        return self.write_scenario(rows, {"gpu": "h100-sxm", "price_usd_per_gpu_hour": 36, **pool}, columns, **more)


class WhySlow(Case):
    """View why_slow holds what was in use against what was there for the request."""
    SLOTS = {"startup": {"load_s": 30}, "scaling": {"policy": "queue_depth", "max_replicas": 8, "interval_s": 60, "target_requests": 4}}

    def mostly(self, path):
        self.run_it(path)
        return self.rows("SELECT request_id, mostly, queued_in, kv_used_share, seats_used_share, serving"
                         " FROM why_slow WHERE run_id = (SELECT max(run_id) FROM run) ORDER BY request_id")

    def test_slots_that_are_not_there_do_not_count(self):
        rows = [(0.1 * k, 10, 400) for k in range(12)]
        found = self.mostly(self.scenario(rows, {"replicas": 1, **self.SLOTS}))
        for _, reason, pool, _, seats, serving in found[9:]:
            self.assertEqual((reason, pool, serving), ("queue: batch full", "main", 1))
            self.assertGreater(seats, 0.9)
        found = self.mostly(self.scenario([(0, 1400, 20)] * 12, {
            "replicas": 1, **self.SLOTS, "engine": {**ENGINE, "num_gpu_blocks": 180}}, sample_interval_s=0.01))
        self.assertEqual({row[1] for row in found[3:]}, {"queue: KV full"})

    def test_other_pools_do_not_count(self):
        rows = [(0.1 * k, 10, 400, "llama-3.1-8b") for k in range(20)]
        path = self.scenario(rows, {"replicas": 1, "name": "small"}, columns=",model")
        document = json.loads(path.read_text())
        document["pools"].append({**document["pools"][0], "name": "large", "model": "llama-3.1-70b",
                                  "gpu": "h200-sxm", "replicas": 5})
        path.write_text(json.dumps(document))
        found = self.mostly(path)
        self.assertEqual({row[1:3] for row in found[9:]}, {("queue: batch full", "small")})
        points = self.rows("SELECT pool, count(*), max(running), max(serving) FROM sample GROUP BY pool")
        self.assertEqual(points, [(None, points[0][1], 8.0, 6.0), ("large", points[0][1], 0.0, 5.0),
                                  ("small", points[0][1], 8.0, 1.0)])

    def test_a_replica_that_has_to_start(self):
        found = self.mostly(self.scenario([(1, 10, 5), (2, 10, 5)], {"replicas": 0, **self.SLOTS, "scaling": {
            **self.SLOTS["scaling"], "min_replicas": 0}}))
        self.assertEqual([row[1] for row in found], ["queue: no replica"] * 2)

    def test_a_replica_that_was_lost(self):
        rows = [(0, 10, 5), (0.195, 10, 5)]
        found = self.mostly(self.scenario(rows, {"replicas": 1, "startup": {"load_s": 1}, "failures": {
            "outages": [{"at_s": 0.2, "replica": 0, "for_s": 0.5}]}}))
        self.assertEqual([row[1] for row in found], ["own prefill", "lost its replica"])
        self.assertEqual(self.rows("SELECT lost_s FROM slowest_requests WHERE request_id = 1"), [(0.2,)])


class Tables(Case):
    # Two long requests want two replicas at the tick of 1 s; at 3 s one is wanted.
    POOL = {"replicas": 1, "startup": {"load_s": 0.5}, "tensor_parallel": 2, "scaling": {
        "policy": "queue_depth", "max_replicas": 3, "interval_s": 1, "target_requests": 1,
        "scale_down_window_s": 0}}
    ROWS = [(0, 10, 250), (0.1, 10, 250), (3.5, 10, 50)]

    def test_events_bill_and_money(self):
        run = self.run_it(self.scenario(self.ROWS, self.POOL))
        self.assertEqual(self.rows(
            "SELECT time_s, pool, replica, from_state, to_state, why FROM scaling_event"), [
            (0.0, "main", 0, "off", "ready", "begin"),
            (1.0, "main", 1, "off", "starting", "scale_up"),
            (1.5, "main", 1, "starting", "ready", "started"),
            (3.0, "main", 1, "ready", "off", "scale_down")])
        self.assertEqual(self.rows("SELECT replica, gpus, from_s, to_s FROM billing ORDER BY 1"),
                         [(0, 2, 0.0, 4.0), (1, 2, 1.0, 3.0)])
        # 2 GPUs for 4 s and 2 for 2 s: 12 GPU seconds at 0.01 USD
        self.assertAlmostEqual(self.rows("SELECT cost_usd FROM spend")[0][0], 0.12)
        self.assertAlmostEqual(self.rows("SELECT gpu_hours FROM spend")[0][0] * 3600, 12)
        busy, paid = self.rows("SELECT busy_share, replicas FROM fleet_use")[0]
        self.assertAlmostEqual(busy, (2.6 + 0.5) / 6)
        self.assertEqual(paid, 3)
        self.assertEqual(self.rows("SELECT time_s, ready, starting, paid FROM replicas_over_time"),
                         [(0.0, 1, 0, 1), (1.0, 1, 1, 2), (1.5, 2, 0, 2), (3.0, 1, 0, 1)])
        self.assertIn("Changes of the fleet:                    3\n", run.stdout)
        self.assertIn("GPU seconds billed:                      12.00\n", run.stdout)

    def test_nothing_changes_without_such_keys(self):
        run = self.run_it(self.scenario(self.ROWS, {"replicas": 2}))
        self.assertEqual(self.rows("SELECT count(*) FROM scaling_event"), [(0,)])
        self.assertEqual(self.rows("SELECT count(*) FROM request_retry"), [(0,)])
        self.assertNotIn("Changes of the fleet", run.stdout)

    def test_options_are_keys(self):
        self.run_it(self.scenario(self.ROWS, {"replicas": 1, "tensor_parallel": 2}), "--autoscale", "queue_depth:1",
                    "--max-replicas", 3, "--scale-interval-s", 1, "--startup-s", 0.5)
        (text,), = self.rows("SELECT scenario FROM run")
        pool = json.loads(text)["pools"][0]
        self.assertEqual(pool["startup"], {"provision_s": 0, "load_s": 0.5})
        self.assertEqual(pool["scaling"], {
            "policy": "queue_depth", "min_replicas": 1, "max_replicas": 3, "interval_s": 1,
            "scale_up_window_s": 0, "scale_down_window_s": 300, "tolerance": 0.1, "target_requests": 1})

    def test_more_options(self):
        path = self.scenario(self.ROWS, {"replicas": 2})
        self.run_it(path, "--autoscale", "schedule:0.5=1,2=4", "--max-replicas", 4, "--crash-mean-s", 1e6,
                    "--repair-mean-s", 5, "--replicas-down", 1, "--retry", "restart", "--drain-timeout-s", 9)
        (text,), = self.rows("SELECT scenario FROM run")
        document = json.loads(text)
        pool = document["pools"][0]
        self.assertEqual(pool["scaling"]["steps"], [{"at_s": 0.5, "replicas": 1}, {"at_s": 2, "replicas": 4}])
        self.assertEqual(pool["failures"]["down"], 1)
        self.assertEqual(pool["failures"]["time_to_crash"], {"mean_s": 1e6, "weibull_shape": 1})
        self.assertEqual(pool["drain_timeout_s"], 9)
        self.assertEqual(document["retry"]["mode"], "restart")

    def test_wrong_options(self):
        path = self.scenario(self.ROWS, {"replicas": 1})
        for options, told in (
                (("--autoscale", "magic:3"), "magic"), (("--autoscale", "queue_depth"), "target_requests"),
                (("--autoscale", "queue_depth:x"), "target_requests"), (("--max-replicas", 3), "policy"),
                (("--autoscale", "schedule:5"), "replicas"), (("--crash-mean-s", 5), "time_to_repair"),
                (("--retry", "never"), "resume")):
            run = self.run_it(path, *options, status=2)
            self.assertIn(told, run.stderr)
            self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)

    def test_roles_know_no_supply(self):
        path = self.scenario(self.ROWS, {"replicas": 1})
        document = json.loads(path.read_text())
        pool = {**document["pools"][0], "engine": {**ENGINE, "prefix_caching": False}}
        document["pools"] = [{**pool, "name": "p", "role": "prefill"}, {**pool, "name": "d", "role": "decode"}]
        path.write_text(json.dumps(document))
        self.run_it(path)
        run = self.run_it(path, "--crash-mean-s", 1000, "--repair-mean-s", 1, status=2)
        self.assertIn("prefill and decode pools", run.stderr)

    def test_a_stored_run_repeats(self):
        pool = {**self.POOL, "failures": {
            "time_to_crash": {"mean_s": 2, "weibull_shape": 0.7}, "time_to_repair": {"mean_s": 0.3},
            "spot": {"mean_s": 3, "notice_s": 0.1, "back_s": 1},
            "maintenance": {"start_s": 1, "down_s": 0.2}, "outages": [{"at_s": 0.7, "replica": 0, "for_s": 0.1}]}}
        self.run_it(self.scenario(self.ROWS * 4, pool, retry={"delay_s": 0.01}))
        (text,), = self.rows("SELECT scenario FROM run")
        again = self.folder / "again.json"
        again.write_text(text)
        self.run_it(again)
        for table in ("request", "scaling_event", "billing", "sample"):
            rows = self.rows(f"SELECT * FROM {table} WHERE run_id = 1")
            self.assertGreater(len(rows), 0)
            self.assertEqual([row[1:] for row in rows],
                             [row[1:] for row in self.rows(f"SELECT * FROM {table} WHERE run_id = 2")])
        self.assertEqual(self.rows("SELECT min(ok) FROM self_check"), [(1,)])


class Down(Case):
    """failures.down: not more than there are, and somebody has to serve."""
    ROWS = [(0.1 * i, 10, 5) for i in range(5)]

    def down(self, *pools, status=0):
        """Runs pools of (replicas, down, other keys); the message, or how many requests were served and rejected."""
        path = self.scenario(self.ROWS, {"replicas": 1})
        document = json.loads(path.read_text())
        one = document["pools"][0]
        document["pools"] = [{**one, "name": f"p{i}", "replicas": replicas, "failures": {"down": down}, **other}
                             for i, (replicas, down, other) in enumerate(pools)]
        path.write_text(json.dumps(document))
        self.db.unlink(missing_ok=True)
        run = self.run_it(path, status=status)
        if status:
            self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
            return run.stderr
        return self.rows("SELECT completed, rejected FROM run")[0]

    def test_more_than_there_are(self):
        message = self.down((2, 3, {}), status=2)
        self.assertIn('pool "p0": failures.down (--replicas-down): expected at most 2, its replicas, read 3', message)
        message = self.down((2, 1, {}), (1, 2, {}), status=2)
        self.assertIn('pool "p1": failures.down (--replicas-down): expected at most 1, its replicas, read 2', message)

    def test_the_option(self):
        run = self.run_it(self.scenario(self.ROWS, {"replicas": 2}), "--replicas-down", 3, status=2)
        self.assertIn("--replicas-down", run.stderr)
        self.assertIn("expected at most 2, its replicas, read 3", run.stderr)

    def test_all_of_them(self):
        self.assertIn("2 of 2 replicas are down", self.down((2, 2, {}), status=2))
        self.assertIn("3 of 3 replicas are down", self.down((2, 2, {}), (1, 1, {}), status=2))
        everybody = len(self.ROWS)
        self.assertEqual(self.down((2, 1, {})), (everybody, 0))
        self.assertEqual(self.down((2, 2, {}), (1, 0, {})), (everybody, 0))  # the other pool serves

    def test_autoscaling_has_other_slots(self):
        scaling = {"scaling": {"policy": "queue_depth", "target_requests": 4, "max_replicas": 3},
                   "startup": {"load_s": 0}}
        self.assertEqual(self.down((2, 2, scaling)), (len(self.ROWS), 0))
        self.assertIn("expected at most 2", self.down((2, 3, scaling), status=2))
        full = {"scaling": {**scaling["scaling"], "max_replicas": 2}}
        self.assertIn("2 of 2 replicas are down", self.down((2, 2, full), status=2))

    def test_a_sweep_loses_only_those_trials(self):
        path = self.scenario(self.ROWS, {"replicas": 2})
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps({"scenario": path.name, "grid": {"pools[0].failures.down": [0, 1, 2]}}))
        run = subprocess.run([ROOFTRACE, "sweep", str(plan), "-o", str(self.db)], capture_output=True, text=True,
                             timeout=1800)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("1 of 3 trials failed; trial 3: failures.down (--replicas-down): 2 of 2", run.stderr)
        self.assertEqual(self.rows("SELECT completed FROM run ORDER BY run_id"), [(len(self.ROWS),)] * 2 + [(None,)])


class Retries(Case):
    DOWN = {"replicas": 2, "failures": {"outages": [{"at_s": 0.205, "replica": 0, "for_s": 0.1}]},
            "startup": {"load_s": 0}}

    def test_rows_and_totals(self):
        for mode, want in (("resume", ("ok", 1, 50, 1, 0, 0)), ("restart", ("ok", 1, 50, 1, 20, 0)),
                           ("fail", ("failed", 0, 20, 0, 0, 1))):
            with self.subTest(mode):
                self.db = self.folder / f"{mode}.db"
                run = self.run_it(self.scenario([(0, 10, 50), (0.5, 10, 1)], self.DOWN, retry={"mode": mode}))
                status, retries, tokens = self.rows(
                    "SELECT status, retries, produced_tokens FROM requests WHERE request_id = 0")[0]
                totals = self.rows("SELECT retries, lost_tokens, lost_requests FROM run")[0]
                self.assertEqual((status, retries, tokens, *totals), want)
                self.assertEqual("Requests sent again:" in run.stdout, mode != "fail")
                self.assertEqual(self.rows("SELECT min(ok) FROM self_check"), [(1,)])
                self.assertEqual(self.rows("SELECT retries FROM requests WHERE request_id = 1"), [(0,)])

    def test_aggregates_equal_rows(self):
        pool = {"replicas": 2, "startup": {"load_s": 0.1}, "failures": {
            "time_to_crash": {"mean_s": 0.4}, "time_to_repair": {"mean_s": 0.2}}}
        path = self.scenario([(0.01 * i, 10, 1 + i % 40) for i in range(300)], pool,
                             retry={"max_retries": 1}, timeout_s=2)
        self.run_it(path)
        self.run_it(path, "--no-requests")
        self.assertEqual(self.rows("SELECT count(*) FROM request WHERE run_id = 2"), [(0,)])
        self.assertEqual(self.rows("SELECT count(*), count(DISTINCT request_id) FROM request"), [(300, 300)])
        one, two = self.rows("SELECT completed, rejected, timed_out, lost_requests, retries, lost_tokens,"
                             " output_tokens, duration_s FROM run")
        self.assertEqual(one, two)
        self.assertGreater(one[3], 0)
        self.assertGreater(one[4], 10)
        self.assertEqual(self.rows("SELECT sum(retries) FROM requests"), [one[4:5]])
        self.assertEqual(self.rows("SELECT count(*) FROM request_retry"), [one[4:5]])
        self.assertEqual(self.rows("SELECT sum(status = 'ok'), sum(status = 'rejected'), sum(status = 'timeout'),"
                                   " sum(status = 'failed') FROM request"), [one[:4]])
        self.assertEqual(self.rows("SELECT metric, mean, p99 FROM metric WHERE run_id = 1"),
                         self.rows("SELECT metric, mean, p99 FROM metric WHERE run_id = 2"))

    def test_sessions_and_closed_loops_go_on(self):
        """A turn that fails counts as answered: its user goes on."""
        rows = [(0, 10, 50, "a"), (0.1, 10, 5, "a"), (0.2, 10, 5, "a")]
        pool = {**self.DOWN, "replicas": 1}
        self.run_it(self.scenario(rows, pool, columns=",session_id", retry={"mode": "fail"},
                                  workload={"sessions": "trace"}))
        self.assertEqual(self.rows("SELECT request_id, status, arrival_ns FROM request ORDER BY request_id"),
                         [(0, "failed", 0), (1, "ok", 205000000), (2, "ok", 355000000)])
        self.run_it(self.scenario([row[:3] for row in rows], pool, retry={"mode": "fail"},
                                  workload={"max_concurrency": 1}))
        self.assertEqual(self.rows("SELECT request_id, status, arrival_ns, client_wait_ns FROM request"
                                   " WHERE run_id = 2 ORDER BY request_id"),
                         [(0, "failed", 0, None), (1, "ok", 205000000, 105000000),
                          (2, "ok", 355000000, 155000000)])


class Headroom(Case):
    def test_sizing_with_a_replica_down(self):
        """N + 1: with one down the same load needs one more."""
        rows = [(0.05 * i, 10, 50) for i in range(400)]
        path = self.scenario(rows, {"replicas": 1, "engine": {**ENGINE, "max_num_seqs": 4}})
        answers = []
        for down in (0, 1):
            self.db = self.folder / f"{down}.db"
            run = subprocess.run([ROOFTRACE, "size", str(path), "--slo", "p95_ttft:300ms", "--decide", "point",
                                  "--replicas-down", str(down), "-o", str(self.db)], capture_output=True, text=True,
                                 timeout=1800)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            answers.append(self.rows("SELECT replicas FROM size_candidate WHERE chosen")[0][0])
        self.assertEqual(answers[1], answers[0] + 1)

    def test_sizing_starts_above_those_that_are_down(self):
        """Fleets of which nobody would be up are not tried; a candidate that has no other is infeasible."""
        path = self.scenario([(i, 10, 1) for i in range(20)], {"replicas": 1})
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps({
            "objectives": ["p50_ttft:300s"], "decide": "point",
            "candidates": [{"name": "wide"}, {"name": "narrow", "replicas": [1, 2]},
                           {"name": "none", "replicas": [1, 1]}]}))
        run = subprocess.run([ROOFTRACE, "size", str(path), "--plan", str(plan), "--replicas-down", "2", "-o",
                              str(self.db)], capture_output=True, text=True, timeout=1800)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        found = {name.split()[-1]: row for name, *row in self.rows(
            "SELECT candidate, verdict, replicas, reason FROM size_candidate")}
        self.assertEqual({name: tuple(row[:2]) for name, row in found.items()},
                         {"narrow": ("infeasible", None), "none": ("infeasible", None), "wide": ("pass", 3)})
        reasons = {name: row[2] for name, row in found.items()}
        self.assertIn("2 of 2 replicas are down", reasons["narrow"])
        self.assertIn("expected at most 1, its replicas, read 2", reasons["none"])
        # load and KV are shares of the one that serves, as without any that is down
        (load,), = self.rows("SELECT load_share FROM size_trial WHERE replicas = 3 AND rate = 1")
        self.db.unlink()
        subprocess.run([ROOFTRACE, "size", str(path), "--slo", "p50_ttft:300s", "--decide", "point", "-o",
                        str(self.db)], capture_output=True, text=True, timeout=1800, check=True)
        self.assertEqual(self.rows("SELECT load_share FROM size_trial WHERE replicas = 1 AND rate = 1"), [(load,)])

    def test_max_rate_with_all_down(self):
        path = self.scenario([(i, 10, 1) for i in range(20)], {"replicas": 2})
        for down, status in ((1, 0), (2, 3)):
            run = subprocess.run([ROOFTRACE, "size", str(path), "--slo", "p50_ttft:300s", "--decide", "point",
                                  "--max-rate", "--replicas-down", str(down), "-o", str(self.db)],
                                 capture_output=True, text=True, timeout=1800)
            self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        self.assertIn("2 of 2 replicas are down", run.stdout)

    def test_sizing_refuses_autoscaling(self):
        path = self.scenario([(0, 1, 1)], {"scaling": {"policy": "fixed"}})
        run = subprocess.run([ROOFTRACE, "size", str(path), "--slo", "p95_ttft:300ms", "-o", str(self.db)],
                             capture_output=True, text=True, timeout=1800)
        self.assertIn("sizing tries fixed numbers of replicas", run.stdout + run.stderr)


if __name__ == "__main__":
    run_case.main()
