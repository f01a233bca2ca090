#!/usr/bin/env python3
"""Money, power and self-checks as users meet them: figures worked out by hand, options, NULL where a
price is not known, and runs that are refused because they cannot be.

Environment: ROOFTRACE = the executable. Standard library only.
"""
import json
import subprocess

import run_case
from run_case import ROOFTRACE

GPU = {"name": "mine", "mem_gb": 80, "mem_bw_gb_per_s": 1000, "tflops": {"bf16": 100},
       "tdp_w": 400, "idle_w": 100, "price_usd_per_h": 36, "price_range_usd_per_h": [18, 72],
       "spot_price_usd_per_h": 7.2}


class Case(run_case.RunCase):
    def scenario(self, rows, **more):
        """Of rows (arrival, prompt, output, class); one pool of two GPUs."""
        return self.write_scenario(rows, {"gpu": GPU, "replicas": 2, "engine": {
            "num_gpu_blocks": 1000, "async_scheduling": False}}, columns=",class", **more)

    def near(self, got, want):
        self.assertEqual(len(got), len(want))
        for g, w in zip(got, want):
            if isinstance(w, float):
                self.assertAlmostEqual(g, w, delta=1e-9 * max(1, abs(w)))
            else:
                self.assertEqual(g, w)


# Two requests, one a replica: 100 steps of 10 ms, then nothing; the second comes at 1 s for 100 more.
TWO = [(0, 10, 100, "a"), (1, 10, 100, "b")]


class Money(Case):
    def test_figures_by_hand(self):
        """2 GPUs for 2 s: 4 GPU seconds at 36 USD/h are 4 cents; busy for 1 s each (200 tokens).
        Energy: 4 s * 100 W + 2 s * 300 W = 1 kJ, times a PUE of 1.8 1.8 kJ = 0.5 Wh, at 400 g/kWh 0.2 g."""
        path = self.scenario(TWO, power={"pue": 1.8, "gco2_per_kwh": 400}, router="round_robin")
        self.run_it(path)
        row = self.rows("SELECT gpus, gpu_hours * 3600, busy_gpu_hours * 3600, fleet_usd_per_h, cost_low_usd,"
                        " cost_usd, cost_high_usd, usd_per_million_output_tokens,"
                        " usd_per_million_prompt_tokens, usd_per_million_tokens, energy_kwh, gco2 FROM spend")[0]
        self.near(row, (2, 4.0, 2.0, 72.0, 0.02, 0.04, 0.08, 200.0, 2000.0, 0.04e6 / 220, 0.0005, 0.2))
        for got, name in zip(self.rows("SELECT class, share, cost_usd, usd_per_million_output_tokens"
                                       " FROM class_spend ORDER BY class"), "ab"):
            self.near(got, (name, 0.5, 0.02, 200.0))
        self.assertEqual(self.rows("SELECT pool, replica, gpus, from_s, to_s FROM billing"),
                         [("main", 0, 1, 0.0, 2.0), ("main", 1, 1, 0.0, 2.0)])

    def test_gpus_are_counted_not_replicas(self):
        path = self.scenario(TWO, pools=[{"gpu": GPU, "tensor_parallel": 4, "replicas": 3,
                                          "engine": {"num_gpu_blocks": 100, "async_scheduling": False}}])
        self.run_it(path)
        self.near(self.rows("SELECT gpus, gpu_hours * 3600, cost_usd FROM spend")[0], (12, 24.0, 0.24))

    def test_price_option(self):
        for option, pricing, want in (("spot", "spot", 0.008), ("on_demand:low", "on_demand", 0.02),
                                      ("on_demand:high", "on_demand", 0.08), ("0.9", "own", 0.001),
                                      ("0", "own", 0.0)):
            self.db.unlink(missing_ok=True)
            run = self.run_it(self.scenario(TWO), "--price", option, "--json")
            self.assertEqual(self.rows("SELECT pricing FROM pool"), [(pricing,)])
            self.near([json.loads(run.stdout)["cost_usd"]], [want])
        self.db.unlink()
        for option in ("reserved", "cheap", "spot:mid", "-1", "1e9", ":low"):
            self.assertIn("pric", self.run_it(self.scenario(TWO), "--price", option, status=2).stderr)
            self.assertFalse(self.db.exists())

    def test_a_stored_scenario_repeats_the_figures(self):
        path = self.scenario(TWO, power={"idle_w": 50, "pue": 1.1234567890123})
        figures = "SELECT cost_usd, cost_high_usd, energy_kwh, gco2 FROM spend WHERE run_id = "
        for options in (["--price", "spot"], ["--price", "1.23456789"],
                        ["--price", "on_demand:high", "--pue", "1.7", "--gco2-per-kwh", "123.4"]):
            self.db.unlink(missing_ok=True)
            self.run_it(path, *options)
            again = self.folder / "again.json"
            again.write_text(self.rows("SELECT scenario FROM run")[0][0])
            self.run_it(again)
            self.assertEqual(self.rows(figures + "1"), self.rows(figures + "2"))
            self.assertIsNotNone(self.rows(figures + "1")[0][0])

    def test_an_unknown_price_is_null(self):
        gpu = {k: v for k, v in GPU.items() if "price" not in k and k != "idle_w"}
        path = self.scenario(TWO, pools=[{"gpu": gpu, "engine": {"num_gpu_blocks": 100}},
                                         {"gpu": GPU, "engine": {"num_gpu_blocks": 100}}])
        run = self.run_it(path)
        self.assertNotIn("Cost", run.stdout)
        self.assertEqual(self.rows("SELECT cost_usd, cost_low_usd, energy_kwh, gco2 FROM spend"),
                         [(None,) * 4])
        self.assertEqual(self.rows("SELECT count(*), count(cost_usd) FROM class_spend"), [(2, 0)])
        self.assertEqual(self.rows("SELECT count(*), count(cost_usd), count(energy_kwh) FROM pool_spend"),
                         [(2, 1, 1)])

    def test_table(self):
        out = self.run_it(self.scenario(TWO), "--gco2-per-kwh", 400).stdout
        for line in ("GPU hours billed:                        0.001111",
                     "Cost (USD):                              0.04 (0.02 to 0.08)",
                     "USD per million output tokens:           200",
                     "Energy (kWh):                            0.0002778",
                     "Carbon (gCO2e):                          0.1111"):
            self.assertIn(line, out)


class SelfCheck(Case):
    FAST = {**GPU, "constants": {"gemm_eff_memory": 1.5, "host_us_per_step": 0}}

    def fast(self, **more):
        return self.scenario([(0, 10, 200, "a")], cost={}, pools=[{"gpu": {**self.FAST, **more}}])

    def test_constants_beyond_the_datasheet_fail_the_run(self):
        run = self.run_it(self.fast(), status=1)
        self.assertEqual(run.stdout, "")
        self.assertEqual(len(run.stderr.splitlines()), 1)
        self.assertIn("self-check bytes: replica 0 of pool main (1 x mine) has 1.", run.stderr)
        self.assertEqual(self.rows("SELECT status, completed FROM run"), [("failed", 1)])
        self.assertIn("self-check bytes", self.rows("SELECT message FROM run")[0][0])
        self.assertEqual(self.rows("SELECT name FROM self_check WHERE ok = 0"), [("bytes",)])
        self.assertEqual(self.rows("SELECT count(*) FROM request"), [(1,)])

    def test_it_can_be_let_pass(self):
        self.run_it(self.fast(), "--no-self-check")
        self.assertEqual(self.rows("SELECT status FROM run"), [("complete",)])
        self.assertEqual(self.rows("SELECT count(*) FROM self_check"), [(0,)])

    def test_each_peak(self):
        """Products of a long prompt, and KV of a long context, faster than the datasheet."""
        for constants, row, check in (
                ({"gemm_eff_compute": 1.3, "gemm_smooth_p": 100}, (0, 60000, 1, "a"), "flops"),
                ({"decode_eff_memory": 1.6, "decode_overhead_us": 0, "decode_us_per_wave": 0},
                 (0, 60000, 400, "a"), "kv_bytes")):
            self.db.unlink(missing_ok=True)
            gpu = {**GPU, "constants": constants}
            run = self.run_it(self.scenario([row], cost={}, pools=[{"gpu": gpu}]), status=1)
            self.assertIn(f"self-check {check}: ", run.stderr)

    def test_an_absurd_linear_cost_names_no_gpu(self):
        for b0 in (0, 1e-9):
            self.db.unlink(missing_ok=True)
            self.run_it(self.scenario(TWO, cost={"kind": "linear", "coefficients_s": [b0, 0, 0, 0, 0]}))
            self.assertEqual(self.rows("SELECT name FROM self_check WHERE ok IS NULL ORDER BY 1"),
                             [(n,) for n in (["bytes"] if b0 else ["bytes", "capacity"]) + ["flops", "kv_bytes"]])

    def test_the_laws_hold_for_each_catalogue_gpu(self):
        """At the speed of light the bounds are reached, and not passed."""
        run = subprocess.run([ROOFTRACE, "catalog", "list", "gpus", "--json"], capture_output=True, text=True)
        gpus = [g["name"] for g in json.loads(run.stdout)["gpus"]]
        path = self.scenario([(0, 3000, 40, "a"), (0, 3000, 40, "b"), (0.5, 10, 300, "a")], cost={})
        for gpu in gpus:
            for light in ([], ["--speed-of-light"]):
                self.run_it(path, "--gpu", gpu, *light, "--no-requests")
        self.assertEqual(self.rows("SELECT count(*) FROM run WHERE status = 'complete'"), [(2 * len(gpus),)])
        nearest = dict(self.rows("SELECT name, max(value / limit_value) FROM self_check GROUP BY name"))
        self.assertGreater(nearest["bytes"], 0.9)
        self.assertGreater(nearest["kv_bytes"], 0.9999)
        for name in ("little", "requests", "tokens"):
            self.assertEqual(nearest[name], 1)

    def test_the_laws_hold_for_stages_and_ranks(self):
        rows = [(0.01 * i, 200 + 37 * i, 1 + i % 30, "a") for i in range(40)] + [(60, 1, 100, "b")]
        for model in ("llama-3.1-70b", "mixtral-8x7b"):
            path = self.scenario(rows, cost={}, model=model)
            for stages, ranks in ((4, 1), (1, 4), (2, 2)):
                for light in ([], ["--speed-of-light"]):
                    self.run_it(path, "--gpu", "h200-sxm", "--pipeline-parallel-size", stages,
                                "--data-parallel-size", ranks, "--replicas", 1, *light)
        self.assertEqual(self.rows("SELECT count(*), sum(gpus) FROM pool"), [(12, 48)])
        self.assertEqual(self.rows("SELECT count(*) FROM self_check WHERE ok = 1"), [(12 * 7,)])
        self.assertEqual(self.rows("SELECT count(*) FROM pool_spend WHERE busy_gpu_hours > gpu_hours"), [(0,)])

    def test_preemption_without_progress_is_told(self):
        """Six requests of higher priority grow while a long prompt is computed: it is thrown out before
        its only token, again and again, each time the next six come."""
        rows = [(1.5 * i, 2, 150, "fast") for i in range(6) for _ in range(6)]
        path = self.scenario(
            rows[:6] + [(0.001, 1490, 1, "slow")] + rows[6:],
            classes=[{"name": "slow", "priority": 9}, {"name": "fast", "priority": 0}],
            pools=[{"gpu": GPU, "engine": {
                "num_gpu_blocks": 100, "max_num_batched_tokens": 16, "max_num_seqs": 8,
                "prefix_caching": False, "async_scheduling": False, "queue_order": "priority",
                "aging_s": 9e6, "watermark": 0}}])
        run = self.run_it(path)
        preemptions, stalled, requests = self.rows(
            "SELECT preemptions, stalled_preemptions, stalled_requests FROM run")[0]
        self.assertGreaterEqual(preemptions, 3)
        self.assertEqual((stalled, requests), (preemptions - 1, 1))
        self.assertIn(f"Preemptions without progress:            {stalled}\n", run.stdout)
        self.assertIn(f"warning: preemption without progress: {stalled} in vain, of 1 request(s)", run.stderr)


if __name__ == "__main__":
    run_case.main()
