#!/usr/bin/env python3
"""The built-in catalogue against independent tables of facts: every GPU and model is there, with
these figures; KV bytes a token, parameters and weights are what `rooftrace estimate` derives.

A figure that was not sure is left out of the catalogue rather than guessed (LEFT_OUT); one that is
there must agree. Skips, 77, where the reference data is absent.
"""
import csv
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FACTS = ROOT.parent / "shared" / "catalog"
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")

GPU_FIGURES = {
    "mem_gb": "mem_gb", "mem_bw_gbs": "mem_bw_gb_per_s", "sm_or_cu": "sm_count", "tdp_w": "tdp_w",
    "link_gbs_per_gpu_per_dir": "link_gb_per_s", "pcie_gbs_per_dir": "pcie_gb_per_s",
    "price_usd_per_h": "price_usd_per_h",
}
RATES = {"fp16_bf16_tflops_dense_fp32acc": ("fp16", "bf16"), "fp8_tflops_dense": ("fp8",),
         "int8_tops_dense": ("int8",), "fp4_tflops_dense": ("fp4",)}
LEFT_OUT = {
    "a10g": {"tdp_w"}, "gh200-96gb": {"tdp_w"}, "gh200-144gb": {"tdp_w"},
    "b300-sxm": {"sm_count", "fp4"}, "gb200": {"price_usd_per_h"},
    "gb300": {"sm_count", "price_usd_per_h"}, "mi250x": {"link_gb_per_s"}, "mi350x": {"fp4"},
    "mi355x": {"fp4"}, "gaudi2": {"fp8"}, "tpu-v5e": {"pcie_gb_per_s", "fp16"},
    "tpu-v5p": {"link_gb_per_s", "pcie_gb_per_s", "fp16", "int8"}, "tpu-v6e": {"fp16"},
}
MODEL_FIGURES = ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocab", "max_ctx")
PARTS = {"moe": ("experts", "experts_per_token", "expert_ffn", "shared_ffn", "dense_layers"),
         "mla": ("q_lora", "kv_lora", "qk_nope", "qk_rope", "v_head")}


def rows(name):
    with open(FACTS / name, newline="") as f:
        return list(csv.DictReader(f))


def ask(*args):
    run = subprocess.run([ROOFTRACE, *args, "--json"], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def fold(name):
    return name.lower().replace(" ", "-").replace("_", "-")


class Check:
    def __init__(self):
        self.compared, self.wrong = 0, []

    def near(self, what, ours, theirs):
        """Within 0.01 %: tables differ in which norms and biases they count."""
        self.same(what, ours if abs(ours - theirs) > 1e-4 * theirs else theirs, theirs)

    def same(self, what, ours, theirs):
        self.compared += 1
        if ours != theirs:
            self.wrong.append(f"{what}: the catalogue says {ours}, the table {theirs}")


def check_gpu(check, fact):
    record = ask("catalog", "show", fact["name"])
    name = record["name"]
    check.same(f"{fact['name']}, name", name, fold(fact["name"]))
    check.same(f"{name}, accuracy", bool(record.get("accuracy")), True)
    figures = {key: (fact[column], record.get(key)) for column, key in GPU_FIGURES.items()}
    for column, dtypes in RATES.items():
        for dtype in dtypes:
            figures[dtype] = (fact[column], record["tflops"].get(dtype))
    for key, (theirs, ours) in figures.items():
        if key in LEFT_OUT.get(name, ()):
            check.same(f"{name}, {key}", ours, None)
        else:
            check.same(f"{name}, {key}", ours, float(theirs) if theirs else None)


def check_model(check, fact):
    record = ask("catalog", "show", fact["name"])
    name = record["name"]
    check.same(f"{fact['name']}, name", name, fold(fact["name"]))
    for column in MODEL_FIGURES:
        key = "max_context" if column == "max_ctx" else column
        check.same(f"{name}, {key}", record.get(key), int(fact[column]))
    for part, keys in PARTS.items():
        for key in keys:
            check.same(f"{name}, {part}.{key}", record.get(part, {}).get(key, 0), int(fact[key]))
    check.same(f"{name}, window", record.get("window", {}).get("tokens", 0), int(fact["window"]))
    check.same(f"{name}, tied", record.get("tied", False), fact["tied"] == "1")
    # weights of one GPU that holds everything, in 16 bit
    e = ask("estimate", "--model", name, "--gpu", "b200-sxm", "--dtype", "bf16")
    check.near(f"{name}, parameters", e["params"], int(fact["params_total"]))
    check.near(f"{name}, active", e["params_active"], int(fact["params_active"]))
    check.near(f"{name}, in a decode", e["params_decode"],
               int(fact["params_active_no_input_embedding"]))
    check.same(f"{name}, KV bytes a token", e["kv_bytes_per_token"],
               int(fact["kv_bytes_per_token_16bit"]))
    weights = e["memory_per_gpu"]["weights_bytes"]
    check.near(f"{name}, weights", weights, 2 * int(fact["params_total"]))


def main():
    if not FACTS.is_dir():
        print(f"skipped: no reference data in {FACTS}")
        return 77
    check = Check()
    gpus, models = rows("gpus.csv"), rows("models.csv")
    names = {"gpus": {fold(r["name"]) for r in gpus}, "models": {fold(r["name"]) for r in models}}
    listed = ask("catalog", "list")
    for kind, facts in names.items():
        missing = facts - {r["name"] for r in listed[kind]}
        if missing:
            check.wrong.append(f"{kind} missing: {', '.join(sorted(missing))}")
    if not check.wrong:
        for fact in gpus:
            check_gpu(check, fact)
        for fact in models:
            check_model(check, fact)
    print(f"{len(gpus)} GPUs, {len(models)} models: {check.compared} figures compared, "
          f"{len(check.wrong)} wrong")
    print("\n".join(check.wrong))
    return 1 if check.wrong or check.compared < 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
