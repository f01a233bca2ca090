#!/usr/bin/env python3
"""schemas/scenario.schema.json and the C reader say yes and no to the same files.

Feeds each document to the schema and to `rooftrace run --check`: the shipped scenarios, what --check
itself prints, hand-made good and bad ones, and for every number of the schema its ends, just beyond
them and other types. What only the C reader can know (names of the catalogue, sums over pools, from <
to) is listed apart and must pass the schema. Exit code 77 (skipped) without the module jsonschema.
"""
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("skipped: the Python module jsonschema is not installed (Debian: python3-jsonschema)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SCHEMAS = {p.name: json.loads(p.read_text()) for p in (ROOT / "schemas").glob("*.schema.json")}
SCENARIO = SCHEMAS["scenario.schema.json"]

# Linear cost and given blocks: every number of the engine can be tried without asking what fits.
BASE = {
    "workload": {"trace": "t.csv"},
    "model": "llama-3.1-8b",
    "cost": {"kind": "linear", "coefficients_s": [0.01, 0, 0, 0, 0]},
    "pools": [{"gpu": "rtx-4090", "engine": {"num_gpu_blocks": 1000}}],
}
GPU = {"name": "Mine", "mem_gb": 24, "mem_bw_gb_per_s": 1000, "tflops": {"bf16": 100}}
MODEL = {"name": "Mine", "layers": 2, "hidden": 64, "heads": 8, "kv_heads": 2, "head_dim": 8,
         "vocab": 100, "ffn": 128}


def validator():
    jsonschema.Draft202012Validator.check_schema(SCENARIO)
    store = {schema["$id"]: schema for schema in SCHEMAS.values() if "$id" in schema}
    resolver = jsonschema.RefResolver(base_uri="", referrer=SCENARIO, store=store)
    return jsonschema.Draft202012Validator(SCENARIO, resolver=resolver)


def changed(path, value):
    """BASE with one value set: "pools.0.engine.max_num_seqs"."""
    document = copy.deepcopy(BASE)
    at = document
    *parents, last = path.split(".")
    for key in parents:
        key = int(key) if isinstance(at, list) else key
        if isinstance(at, dict):
            at = at.setdefault(key, {})
        else:
            at = at[key]
    if isinstance(at, list):
        at[int(last)] = value
    else:
        at[last] = value
    return document


def roles(prefill=None, decode=None, second="decode", extra=(), **keys):
    """A prefill and a decode pool."""
    return {**BASE, **keys, "pools": [
        {"gpu": "h100-sxm", "role": "prefill", "engine": prefill or {"num_gpu_blocks": 1000}},
        {"gpu": "h100-sxm", "role": second, "engine": decode or {"num_gpu_blocks": 1000}}, *extra]}


def without(path):
    document = changed(path, None)
    at = document
    *parents, last = path.split(".")
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    del at[last]
    return document


def numbers(definition, path):
    """(path, schema) of every number below a definition of the schema."""
    for key, schema in definition["properties"].items():
        if "$ref" in schema and schema["$ref"].endswith("/seconds"):
            schema = SCENARIO["$defs"]["seconds"]
        if schema.get("type") in ("integer", "number"):
            yield f"{path}{key}", schema


def all_numbers():
    defs = SCENARIO["$defs"]
    yield from numbers(SCENARIO, "")
    yield from numbers(defs["workload"], "workload.")
    yield from numbers(defs["pool"], "pools.0.")
    yield from numbers(defs["pool"]["properties"]["node"], "pools.0.node.")
    yield from numbers(defs["engine"], "pools.0.engine.")
    yield from numbers(defs["slo"], "slo.")
    yield from numbers(SCENARIO["properties"]["retry"], "retry.")
    startup = defs["pool"]["properties"]["startup"]
    yield from numbers(startup, "pools.0.startup.")


# Ends that the C reader refuses for a further reason, or that cost memory in proportion.
SKIP_MAXIMUM = {"pools.0.engine.num_gpu_blocks", "pools.0.replicas", "pools.0.expert_parallel",
                "pools.0.tensor_parallel", "workload.prefix_roots"}


def number_cases():
    for path, schema in all_numbers():
        low, high = schema["minimum"], schema["maximum"]
        step = 1 if schema["type"] == "integer" else max(abs(low), 1) * 1e-3
        yield f"{path} = minimum", changed(path, low), True
        if path not in SKIP_MAXIMUM:
            yield f"{path} = maximum", changed(path, high), True
        yield f"{path} below minimum", changed(path, low - step), False
        yield f"{path} above maximum", changed(path, high * 1.001 + 1), False
        for wrong in ("1", None, [1], {}, True):
            yield f"{path} = {wrong!r}", changed(path, wrong), False
        if schema["type"] == "integer":
            yield f"{path} = {low}.5", changed(path, low + 0.5), False
            yield f"{path} = {low}.0", changed(path, float(low)), True


def pools(*more):
    return {**copy.deepcopy(BASE), "pools": [*copy.deepcopy(BASE["pools"]), *more]}


def loads():
    """(section `workload`, good) for the keys of load.c that are no plain numbers."""
    for rate in (8.5, 1e-9, 1e9, "inf"):
        yield {"request_rate": rate}, True
        yield {"request_rate": rate, "burstiness": 0.5}, True
    for burstiness in (0.001, 1e9, 1, "inf"):
        yield {"request_rate": 1, "burstiness": burstiness}, True
    for mode in ("open", "trace", "think"):
        yield {"sessions": mode, "max_concurrency": 1}, True
    for profile in ({"shape": "steps", "points": [[0, 1]]},
                    {"shape": "steps", "points": [[0, 0], [9e9, 1e9]], "$note": 1},
                    {"shape": "steps", "points": [[0, 5], [10, 0]], "period_s": 10.5},
                    {"shape": "linear", "points": [[0, 1], [600, 20], [700, 0.5]]},
                    {"shape": "on_off", "rate": 20, "on_s": 10, "off_s": 50},
                    {"shape": "on_off", "rate": 20, "on_s": 10, "off_s": 50, "off_rate": 0.5},
                    {"shape": "diurnal", "rate": 5, "amplitude": 1},
                    {"shape": "diurnal", "rate": 5, "amplitude": 0, "period_s": 60, "peak_s": 30}):
        yield {"rate_profile": profile}, True
        yield {"rate_profile": profile, "burstiness": 2, "sessions": "think"}, True
        yield {"rate_profile": profile, "request_rate": 1}, False
    for rate in (0, -1, 1e-10, 1.1e9, "1", "Inf", "infinity", "", None, True, [1], {}):
        yield {"request_rate": rate}, False
        yield {"request_rate": 1, "burstiness": rate}, False
    yield {"burstiness": 1}, False
    for mode in ("", "closed", "Open", None, 1, True):
        yield {"sessions": mode}, False
    for profile in (None, 5, "steps", [[0, 1]], {}, {"shape": "steps"}, {"points": [[0, 1]]},
                    {"shape": "stairs", "points": [[0, 1]]}, {"shape": "steps", "points": []},
                    {"shape": "steps", "points": [[0]]}, {"shape": "steps", "points": [[0, 1, 2]]},
                    {"shape": "steps", "points": [0, 1]}, {"shape": "steps", "points": [[0, "1"]]},
                    {"shape": "steps", "points": [[0, -1]]}, {"shape": "steps", "points": {"0": 1}},
                    {"shape": "steps", "points": [[0, 1]], "rate": 1},
                    {"shape": "steps", "points": [[0, 1]] * 4097},
                    {"shape": "steps", "points": [[0, 1]], "period_s": 0},
                    {"shape": "on_off", "rate": 20, "on_s": 10},
                    {"shape": "on_off", "rate": 0, "on_s": 10, "off_s": 1},
                    {"shape": "on_off", "rate": 1, "on_s": 0, "off_s": 1},
                    {"shape": "on_off", "rate": 1, "on_s": 1, "off_s": 1, "points": [[0, 1]]},
                    {"shape": "diurnal", "rate": 5}, {"shape": "diurnal", "amplitude": 0.5},
                    {"shape": "diurnal", "rate": 5, "amplitude": 1.01},
                    {"shape": "diurnal", "rate": 5, "amplitude": 1, "period_s": 0},
                    {"shape": "diurnal", "rate": 5, "amplitude": 1, "peak_s": -1}):
        yield {"rate_profile": profile}, False


def load_cases(wanted):
    for load, good in loads():
        if good == wanted:
            yield f"load {str(load)[:120]}", changed("workload", {"trace": "t.csv", **load})


TRANSFORMS = {"time_scale": 2, "spread_s": 3, "superpose": {"copies": 4, "shift_s": 0.5}, "prefix_roots": 4,
              "keep_share": 0.5, "resample": 9, "max_gap_s": 60, "prompt_scale": 2, "output_scale": 0.5,
              "min_prompt_tokens": 2, "max_prompt_tokens": 9, "min_output_tokens": 2,
              "max_output_tokens": 9, "max_context_tokens": 10, "over_context": "drop"}


def transforms():
    """(section `workload`, good) for transform_spec.c and workload_mix.c."""
    trace = {"trace": "t.csv"}
    yield {**trace, **TRANSFORMS}, True
    for over in ("cut", "drop", "error"):
        yield {**trace, "max_context_tokens": 2, "over_context": over}, True
        yield {**trace, "over_context": over}, over == "cut"
    for over in ("reject", "", None, 1):
        yield {**trace, "max_context_tokens": 2, "over_context": over}, False
    yield {**trace, "rate_scale": 2, "time_scale": 0.5}, False
    yield {**trace, "superpose": {"copies": 64, "shift_s": 0, "$note": 1}}, True
    for superpose in (None, 4, "4:1", [4, 1], {}, {"copies": 2}, {"shift_s": 1},
                      {"copies": 0, "shift_s": 0}, {"copies": 65, "shift_s": 0},
                      {"copies": 2, "shift_s": -1}, {"copies": 2, "shift_s": 1, "shift": 1}):
        yield {**trace, "superpose": superpose}, False
    yield {"mix": [trace]}, True
    yield {"mix": [{**trace, **TRANSFORMS, "class": "a", "start_s": 1.5, "repeat": 2, "window_s": [0, 1],
                    "max_requests": 1, "block_size": 16, "failed": "drop", "format": "csv"},
                   {"synthetic": {"requests": 1, "prompt_tokens": 1, "output_tokens": 1}}],
           "keep_share": 0.5, "rate_scale": 2, "max_requests": 9, "sessions": "think"}, True
    yield {"mix": [trace] * 64, "request_rate": 1}, True
    for mix in (None, {}, [], "t.csv", [None], [{}], [trace] * 65, [{**trace, "mix": [trace]}],
                [{**trace, "request_rate": 1}], [{**trace, "class": ""}], [{**trace, "class": "x" * 257}],
                [{**trace, "start_s": -1}], [{**trace, "weight": 1}], [{**trace, "over_context": "drop"}],
                [{**trace, "rate_scale": 2, "time_scale": 2}], [{**trace, "keep_share": 0}],
                [{**trace, "synthetic": {"requests": 1, "prompt_tokens": 1, "output_tokens": 1}}]):
        yield {"mix": mix}, False
    for key, value in (("trace", "t.csv"), ("format", "csv"), ("repeat", 2), ("window_s", [0, 1]),
                       ("spread_s", 1), ("columns", "arrival=a,prompt=b,output=c"), ("block_size", 16),
                       ("failed", "drop"), ("class", "a"), ("start_s", 1),
                       ("synthetic", {"requests": 1, "prompt_tokens": 1, "output_tokens": 1})):
        yield {"mix": [trace], key: value}, False


def transform_cases(wanted):
    for workload, good in transforms():
        if good == wanted:
            yield f"transform {str(workload)[:120]}", changed("workload", workload)


def good_cases():
    yield "base", BASE
    yield from load_cases(True)
    yield from transform_cases(True)
    yield "roofline", without("cost")
    yield "empty cost", changed("cost", {})
    yield "profile", changed("cost", {
        "kind": "profile", "file": str(ROOT / "tests" / "cost" / "operators.csv")})
    yield "skewed profile", changed("cost", {
        "kind": "profile", "file": str(ROOT / "tests" / "cost" / "operators.csv"),
        "expert_skew": 0.4})
    yield "speed of light", changed("cost", {"kind": "roofline", "speed_of_light": True})
    yield "$ keys", {**BASE, "$schema": "x", "$comment": ["anything"]}
    yield "$ keys deep", changed("pools.0.engine.$note", 1)
    yield "$ in workload", changed("workload.$note", 1)
    yield "$ in cost", changed("cost.$note", 1)
    yield "$ in slo", changed("slo.$note", 1)
    yield "gpu in capitals", changed("pools.0.gpu", "RTX-4090")
    yield "gpu object", changed("pools.0.gpu", GPU)
    yield "gpu changed", changed("pools.0.gpu", {"base": "rtx-4090", "mem_gb": 48})
    yield "model object", changed("model", MODEL)
    yield "model of a pool only", {**without("model"), "pools": [
        {**BASE["pools"][0], "model": "llama-3.1-8b"}]}
    yield "empty slo", changed("slo", {})
    yield "whole slo", changed("slo", {"ttft_s": 0.5, "tpot_s": 0.05, "e2e_s": 9})
    yield "measure", changed("measure_s", [0, 9e9])
    yield "window", changed("workload.window_s", [0, 600])
    yield "two pools", pools({"gpu": "h100-sxm", "engine": {"num_gpu_blocks": 9}})
    yield "named pool", changed("pools.0.name", "A.b_c-9")
    yield "longest name", changed("pools.0.name", "n" * 63)
    yield "mixed", changed("pools.0.role", "mixed")
    yield "roles", roles()
    yield "three pools with roles", roles(extra=[{"gpu": "h100-sxm", "engine": {"num_gpu_blocks": 9}}])
    yield "decode router", roles(decode_router="least_kv")
    for transfer in ({}, {"gb_per_s": 1e-6}, {"gb_per_s": 1e9, "latency_us": 0}, {"latency_us": 1e12},
                     {"layerwise": True, "first_token": "decode"}, {"first_token": "prefill", "$why": 1}):
        yield f"kv_transfer {transfer}", roles(kv_transfer=transfer)
    for policy in ("chunked", "sarathi", "prefill_first"):
        yield f"{policy} decodes", roles(decode={"num_gpu_blocks": 9, "policy": policy})
    for policy in ("static", "continuous"):
        yield f"{policy} prefills", roles(prefill={"num_gpu_blocks": 9, "policy": policy})
    yield "orca that is chunked decodes", roles(decode={"num_gpu_blocks": 9, "preset": "orca", "policy": "chunked"})
    yield "empty engine object", changed("pools.0.engine", {"num_gpu_blocks": 1})
    for on in (True, False):
        yield f"async {on}", changed("pools.0.engine.async_scheduling", on)
        yield f"overlap {on}", changed("pools.0.engine.host_overlap", on)
        yield f"graphs {on}", changed("pools.0.engine.cuda_graphs", on)
        yield f"cache {on}", changed("pools.0.engine.prefix_caching", on)
    for backend in ("triton", "deep_gemm"):
        yield f"experts by {backend}", changed("pools.0.engine.moe_backend", backend)
    for degree in ("pipeline_parallel", "expert_parallel", "data_parallel"):
        yield f"{degree} 1", changed(f"pools.0.{degree}", 1)
    for degree in ("pipeline_parallel", "data_parallel"):
        for count in (2, 1024):
            yield f"{degree} {count}", changed(f"pools.0.{degree}", count)
    yield "one box", changed("pools.0.node", {})
    for skew in (0, 0.5, 10):
        yield f"skew {skew}", changed("cost", {"kind": "roofline", "expert_skew": skew})
    for dtype in SCENARIO["$defs"]["dtype"]["enum"]:
        yield f"weights {dtype}", changed("pools.0.weight_dtype", dtype)
        yield f"experts {dtype}", changed("pools.0.expert_dtype", dtype)
        yield f"head {dtype}", changed("pools.0.head_dtype", dtype)
        yield f"KV {dtype}", changed("pools.0.kv_dtype", dtype)
        yield f"activations {dtype}", changed("pools.0.activation_dtype", dtype)
    for name in SCENARIO["$defs"]["engine"]["properties"]["preset"]["enum"]:
        yield f"preset {name}", changed("pools.0.engine.preset", name)
        yield f"preset {name} changed", changed("pools.0.engine", {
            "preset": name, "policy": "chunked", "prefix_caching": True, "max_num_seqs": 3,
            "num_gpu_blocks": 9})
    for name in SCENARIO["$defs"]["engine"]["properties"]["policy"]["enum"]:
        yield f"policy {name}", changed("pools.0.engine.policy", name)
    for name in SCENARIO["$defs"]["engine"]["properties"]["queue_order"]["enum"]:
        yield f"queue order {name}", changed("pools.0.engine.queue_order", name)
    for name in ("recompute", "swap"):
        yield f"preemption {name}", changed("pools.0.engine.preemption", name)
    yield "swap without cache", changed("pools.0.engine", {
        "num_gpu_blocks": 9, "preemption": "swap", "prefix_caching": False})
    for more in ({}, {"policy": "chunked"}, {"prefix_caching": True}, {"preemption": "recompute"}):
        yield f"offload {more}", changed("pools.0.engine", {
            "num_gpu_blocks": 9, "offload_bytes": 1 << 40, **more})
    yield "nothing offloaded", changed("pools.0.engine", {
        "num_gpu_blocks": 9, "offload_bytes": 0, "policy": "static"})
    for more in ({}, {"draft_s_per_token": 0.001}, {"acceptance": [0, 1]}, {"$note": 1}):
        for policy in ("chunked", "continuous", "static"):
            yield f"drafts {policy} {more}", changed("pools.0.engine", {
                "policy": policy, "num_gpu_blocks": 9,
                "speculative": {"draft_tokens": 2, "acceptance": 0.5, **more}})
    yield "draft model", {**changed("pools.0.engine.speculative", {
        "draft_tokens": 2, "acceptance": 0.5, "draft_model": "llama-3.2-1b"}),
        "cost": {"kind": "roofline"}}
    yield "drafts of a preset", changed("pools.0.engine", {
        "preset": "vllm-0.19", "speculative": {"draft_tokens": 2, "acceptance": 1}})
    for pricing in ("on_demand", "spot", "reserved"):
        for bound in ("typical", "low", "high"):
            yield f"price {pricing} {bound}", {**BASE, "pools": [{
                "gpu": "h100-sxm", "engine": {"num_gpu_blocks": 9}, "pricing": pricing,
                "price_bound": bound}]}
    yield "a price of a GPU object", {**BASE, "pools": [{
        "gpu": {**GPU, "spot_price_usd_per_h": 1, "spot_price_range_usd_per_h": [0.5, 2], "idle_w": 9},
        "engine": {"num_gpu_blocks": 9}, "pricing": "spot", "price_bound": "high"}]}
    for price in (0, 2.345678901234567, 1e6):
        yield f"own price {price}", changed("pools.0.price_usd_per_gpu_hour", price)
    for power in ({}, {"idle_w": 0.001}, {"busy_w": 1e6}, {"idle_w": 100, "busy_w": 100}, {"$note": 1}):
        yield f"power of a pool {power}", changed("pools.0.power", power)
        yield f"power {power}", changed("power", {**power, "pue": 1.234567890123, "gco2_per_kwh": 0})
    for pue in (1, 10):
        yield f"pue {pue}", changed("power", {"pue": pue, "gco2_per_kwh": 1e5})
    yield "no classes", changed("classes", [])
    yield "classes", changed("classes", [{"name": "a", "priority": -5}, {"name": "b", "priority": 0}])
    for name in SCENARIO["properties"]["router"]["enum"]:
        yield f"router {name}", changed("router", name)
    yield from routing_cases(True)
    yield from supply_cases(True)
    for name in SCENARIO["$defs"]["workload"]["properties"]["format"]["enum"]:
        yield f"format {name}", changed("workload.format", name)
    for columns in ("arrival=ts:ms,prompt=in,output=out", "output=o,arrival=a.b:iso,prompt=p,session=s"):
        yield f"columns {columns}", changed("workload.columns", columns)
    for name in ("keep", "drop"):
        yield f"failed {name}", changed("workload.failed", name)


def supply_cases(good):
    """Autoscaling and failures."""
    def pool(**keys):
        return {**BASE, "pools": [{**copy.deepcopy(BASE["pools"][0]), **keys}]}

    ticks = {"interval_s": 5, "scale_up_window_s": 0, "scale_down_window_s": 60, "tolerance": 0}
    steps = [{"at_s": 0, "replicas": 2}, {"at_s": 60, "replicas": 0, "$note": 1}]
    scalings = [
        {"policy": "fixed"}, {"policy": "fixed", "max_replicas": 9, "$note": 1},
        {"policy": "schedule", "max_replicas": 2, "steps": steps},
        {"policy": "schedule", "max_replicas": 2, "steps": steps, "period_s": 61},
        {"policy": "queue_depth", "max_replicas": 4, "target_requests": 0.001},
        {"policy": "queue_depth", "target_requests": 1e6, **ticks},
        {"policy": "utilisation", "min_replicas": 0, "target_share": 1, **ticks},
        {"policy": "kv_use", "max_replicas": 65536, "target_share": 0.5},
        {"policy": "predictive", "requests_per_s": 1e-9},
        {"policy": "predictive", "requests_per_s": 2, "season_s": 3600, **ticks}]
    wrong_scalings = [
        {}, {"policy": "magic"}, {"policy": "queue_depth"}, {"policy": "kv_use"},
        {"policy": "predictive"}, {"policy": "schedule"}, {"policy": "fixed", "target_requests": 5},
        {"policy": "queue_depth", "target_share": 0.5}, {"policy": "fixed", "steps": steps},
        {"policy": "schedule", "max_replicas": 2, "steps": []},
        {"policy": "schedule", "max_replicas": 2, "steps": [{"at_s": 1}]},
        {"policy": "schedule", "max_replicas": 2, "steps": [{"at_s": 1, "replicas": -1}]},
        {"policy": "schedule", "max_replicas": 2, "steps": {"at_s": 1, "replicas": 1}},
        {"policy": "queue_depth", "target_requests": 0}, {"policy": "utilisation", "target_share": 1.1},
        {"policy": "queue_depth", "target_requests": 5, "interval_s": 0},
        {"policy": "queue_depth", "target_requests": 5, "tolerance": 2},
        {"policy": "fixed", "max_replicas": 0}, {"policy": "fixed", "max_replicas": 65537},
        {"policy": "fixed", "min_replicas": -1}, {"policy": 1}, [], None, "fixed"]
    for scaling in scalings if good else wrong_scalings:
        yield f"scaling {scaling!r}", pool(scaling=scaling)
    if good:
        yield "nothing at first", pool(replicas=0, scaling={
            "policy": "queue_depth", "min_replicas": 0, "target_requests": 5})
        for n in (1, 65536):
            yield f"{n} replicas", pool(replicas=n)
        yield "one of two is down", pool(replicas=2, failures={"down": 1})
    else:
        for n in (0, -1, 65537, 1.5, "1", None):
            yield f"{n!r} replicas", pool(replicas=n)
    failures = [
        {}, {"down": 0, "$note": 1},
        {"time_to_crash": {"mean_s": 90, "weibull_shape": 0.1}, "time_to_repair": {"mean_s": 0.001}},
        {"outages": []}, {"outages": [{"at_s": 0, "replica": 0}]},
        {"outages": [{"at_s": 9, "replica": 0, "for_s": 1, "notice_s": 9}]},
        {"maintenance": {"start_s": 0, "down_s": 1}},
        {"maintenance": {"start_s": 9e9, "down_s": 1e-9, "every_s": 1, "at_once": 65536}},
        {"spot": {"mean_s": 100, "back_s": 1}}, {"spot": {"mean_s": 9e9, "notice_s": 0, "back_s": 1}}]
    wrong_failures = [
        {"time_to_crash": {"mean_s": 90}}, {"time_to_repair": {"mean_s": 90}}, {"down": -1},
        {"time_to_crash": {"mean_s": 0}, "time_to_repair": {"mean_s": 1}}, {"crashes": []},
        {"time_to_crash": {"weibull_shape": 1}, "time_to_repair": {"mean_s": 1}},
        {"time_to_crash": {"mean_s": 90, "weibull_shape": 0}, "time_to_repair": {"mean_s": 1}},
        {"time_to_crash": 90, "time_to_repair": 1}, {"outages": [{"at_s": 1}]}, {"outages": {}},
        {"outages": [{"replica": 0}]}, {"outages": [{"at_s": -1, "replica": 0}]},
        {"outages": [{"at_s": 1, "replica": 0, "for_s": 0}]},
        {"maintenance": {"start_s": 0}}, {"maintenance": {"down_s": 1}},
        {"maintenance": {"start_s": 0, "down_s": 1, "at_once": 0}},
        {"maintenance": {"start_s": 0, "down_s": 1, "every_s": 0}},
        {"spot": {"mean_s": 100}}, {"spot": {"back_s": 1}}, {"spot": {"mean_s": 100, "back_s": 1, "x": 1}},
        [], None]
    for failure in failures if good else wrong_failures:
        yield f"failures {failure!r}", pool(failures=failure)
    startups = [{}, {"provision_s": 60, "load_s": 0}, {"load_gb_per_s": 2}]
    wrong_startups = [{"load_s": 1, "load_gb_per_s": 1}, {"load": 1}, [], 5]
    for startup in startups if good else wrong_startups:
        yield f"startup {startup!r}", pool(startup=startup)
    retries = [{}, {"mode": "fail"}, {"mode": "restart"}, {"mode": "resume", "max_retries": 0}]
    wrong_retries = [{"mode": "again"}, {"mode": 1}, {"retries": 1}, [], "fail"]
    for retry in retries if good else wrong_retries:
        yield f"retry {retry!r}", changed("retry", retry)


def routing_cases(good):
    """Routing, admission and clients."""
    weights = [{"outstanding": 1}, {"kv": 1e6, "prefix": 0}, {"waiting": 0.5, "tokens": 2, "$n": 1}]
    wrong_weights = [{}, {"kv": 0}, {"kv": -1}, {"kv": 1.1e6}, {"load": 1}, {"kv": "1"}, [], 1]
    for w in weights if good else wrong_weights:
        yield f"weights {w!r}", changed("router_weights", w)
    admissions = [{}, {"requests_per_s": 0.5}, {"requests_per_s": 5, "burst_requests": 1},
                  {"prompt_tokens_per_s": 1e9, "burst_prompt_tokens": 1e9}, {"queue_limit": 1},
                  {"shed_late": True}, {"$note": 1, "shed_late": False}]
    wrong_admissions = [{"burst_requests": 5}, {"burst_prompt_tokens": 5}, {"requests_per_s": 0},
                        {"requests_per_s": 5, "burst_requests": 0.5}, {"queue_limit": 0},
                        {"queue_limit": 1.5}, {"shed_late": 1}, {"limit": 1}, [], 5, "x"]
    for a in admissions if good else wrong_admissions:
        yield f"admission {a!r}", changed("admission", a)
    cancels = [{"share": 0, "mean_s": 1}, {"share": 1, "mean_s": 9e9, "$n": 0}]
    wrong_cancels = [{}, {"share": 1}, {"mean_s": 1}, {"share": 1.1, "mean_s": 1},
                     {"share": 0.1, "mean_s": 0}, {"share": 0.1, "mean_s": 1, "x": 1}, 0.1]
    for c in cancels if good else wrong_cancels:
        yield f"cancel {c!r}", changed("cancel", c)
        yield f"cancel of a class {c!r}", changed("classes", [{"name": "a", "cancel": c}])
    classes = [{"name": "a"}, {"name": "a", "deadline_s": 5, "timeout_s": 1e-9},
               {"name": "a", "slo": {"ttft_s": 1}, "priority": 1}, {"name": "a", "slo": {}}]
    wrong_classes = [{"priority": 1}, {"name": "a", "deadline_s": 0}, {"name": "a", "timeout_s": 0},
                     {"name": "a", "slo": {"ttft": 1}}, {"name": "a", "slo": 1}]
    for c in classes if good else wrong_classes:
        yield f"class {c!r}", changed("classes", [c])
    served = [[], ["a"], ["gpt-4", "x" * 63], ["a"] * 8]
    wrong_served = [[""], ["x" * 64], ["a"] * 9, [1], "a", {}]
    for names in served if good else wrong_served:
        yield f"served {names!r}", changed("pools.0.served_models", names)
    for path, values, wrong in (
            ("router_view_interval_s", (0, 1e-6, 86400), (-1, 1e-7, 86401, "0", None)),
            ("timeout_s", (1e-9, 9e9), (0, 1e10, "1", None)),
            ("pools.0.max_prompt_tokens", (1, 1 << 40), (0, (1 << 40) + 1, 1.5, None))):
        for value in values if good else wrong:
            yield f"{path} = {value!r}", changed(path, value)


def bad_cases():
    yield from load_cases(False)
    yield from routing_cases(False)
    yield from supply_cases(False)
    yield from transform_cases(False)
    for wrong in ([], 5, "x", None, True):
        yield f"document {wrong!r}", wrong
    for path in ("workload", "workload.trace", "model", "pools", "pools.0.gpu"):
        yield f"no {path}", without(path)
    for path in ("workload", "pools", "cost", "slo", "pools.0", "pools.0.engine"):
        for wrong in (5, "x", None, True):
            yield f"{path} = {wrong!r}", changed(path, wrong)
    for path in ("x", "workload.x", "cost.x", "slo.x", "pools.0.x", "pools.0.engine.x", "Model",
                 "coast"):
        yield f"unknown key {path}", changed(path, 1)
    for path in ("model", "pools.0.gpu", "pools.0.model"):
        for wrong in (5, None, [], True, "", {}):
            yield f"{path} = {wrong!r}", changed(path, wrong)
    for wrong in ("", "arrival", "when=ts,prompt=in,output=out", "arrival=,prompt=in,output=out", 5, None):
        yield f"columns {wrong!r}", changed("workload.columns", wrong)
    for path in ("router", "workload.format", "workload.failed", "pools.0.role", "pools.0.weight_dtype",
                 "pools.0.kv_dtype", "pools.0.activation_dtype", "pools.0.expert_dtype", "pools.0.head_dtype", "pools.0.engine.policy",
                 "pools.0.engine.preset", "pools.0.engine.moe_backend",
                 "pools.0.engine.queue_order", "pools.0.engine.preemption"):
        for wrong in ("nothing", "", 1, None, "CHUNKED"):
            yield f"{path} = {wrong!r}", changed(path, wrong)
    for path in ("pools.0.engine.async_scheduling", "pools.0.engine.prefix_caching",
                 "pools.0.engine.host_overlap", "pools.0.engine.cuda_graphs"):
        for wrong in (0, "false", None):
            yield f"{path} = {wrong!r}", changed(path, wrong)
    for switch in ("async_scheduling", "prefix_caching"):
        yield f"{switch} of static", changed("pools.0.engine", {"policy": "static", switch: True})
        for preset in ("vllm-0.6", "vllm-0.6-chunked", "sarathi", "orca", "static"):
            yield f"{switch} of {preset}", changed("pools.0.engine", {"preset": preset, switch: True})
    for path in ("pools.0.pipeline_parallel", "pools.0.data_parallel"):
        for wrong in (0, 1025, 1.5, "1", None, True):
            yield f"{path} = {wrong!r}", changed(path, wrong)
    for wrong in (-0.1, 10.1, "1", None, True):
        yield f"skew {wrong!r}", changed("cost", {"kind": "roofline", "expert_skew": wrong})
    yield "skew of linear", changed("cost.expert_skew", 1)
    for wrong in (8, [], None, {"gpu": 8}):
        yield f"node {wrong!r}", changed("pools.0.node", wrong)
    yield "no pools", changed("pools", [])
    yield "one pool without model", {**pools({"gpu": "h100-sxm"}), "model": None}
    bare = pools({"gpu": "h100-sxm", "model": "llama-3.1-8b"})
    del bare["model"]
    yield "a model for one pool of two", bare
    for role in ("prefill", "decode"):
        yield f"role {role} alone", changed("pools.0.role", role)
    yield "two prefill pools", roles(second="prefill")
    yield "kv_transfer without roles", changed("kv_transfer", {})
    yield "decode_router without roles", changed("decode_router", "random")
    for wrong in (5, None, [], "x", {"gb_per_s": 0}, {"gb_per_s": "1"}, {"gb_per_s": 1.1e9}, {"latency_us": -1},
                  {"latency_us": 2e12}, {"layerwise": 1}, {"first_token": "both"}, {"first_token": None}, {"x": 1}):
        yield f"kv_transfer {wrong!r}", roles(kv_transfer=wrong)
    for wrong in ("nothing", 1, None):
        yield f"decode_router {wrong!r}", roles(decode_router=wrong)
    for engine in ({"policy": "static"}, {"policy": "continuous"}, {"preset": "orca"}, {"preset": "static"}):
        yield f"{engine} decodes", roles(decode={"num_gpu_blocks": 9, **engine})
    drafts = {"num_gpu_blocks": 9, "prefix_caching": False, "speculative": {"draft_tokens": 1, "acceptance": 0.5}}
    yield "drafts of prefills", roles(prefill=drafts)
    yield "drafts of decodes", roles(decode=drafts)
    for name in ("", "a b", "-a", "n" * 64, "a/b", 5, None, "ä"):
        yield f"name {name!r}", changed("pools.0.name", name)
    for wrong in ({"kind": "profile"}, {"kind": "profile", "file": ""},
                  {"kind": "profile", "file": 1},
                  {"kind": "profile", "file": "x.csv", "speed_of_light": True},
                  {"kind": "profile", "file": "x.csv", "expert_skew": 11},
                  {"kind": "roofline", "file": "x.csv"}, {"kind": "linear"}, {"kind": 1},
                  {"kind": "linear", "coefficients_s": [1, 2, 3, 4]},
                  {"kind": "linear", "coefficients_s": [1, 2, 3, 4, 5, 6]},
                  {"kind": "linear", "coefficients_s": [1, 2, 3, 4, "5"]},
                  {"kind": "linear", "coefficients_s": [1, 2, 3, 4, 2e6]},
                  {"kind": "linear", "coefficients_s": 1},
                  {"kind": "linear", "coefficients_s": [0] * 5, "speed_of_light": True},
                  {"kind": "roofline", "coefficients_s": [0] * 5},
                  {"speed_of_light": 1}):
        yield f"cost {wrong}", changed("cost", wrong)
    for path in ("measure_s", "workload.window_s"):
        for wrong in (5, "0:1", [], [1], [1, 2, 3], [-1, 2], [0, "x"], [0, None], [0, 1e10], {}):
            yield f"{path} = {wrong!r}", changed(path, wrong)
    for wrong in (5, {}, "a", None, ["a"], [{"priority": 1}],
                  [{"name": "", "priority": 1}], [{"name": "a", "priority": 1.5}],
                  [{"name": "a", "priority": 1 << 31}], [{"name": "a", "priority": 1, "x": 1}]):
        yield f"classes {wrong}", changed("classes", wrong)
    for more in ({"policy": "static"}, {"prefix_caching": False}, {"preemption": "swap"}):
        yield f"offload {more}", changed("pools.0.engine", {"offload_bytes": 1, **more})
    for more in ({"draft_tokens": 0}, {"draft_tokens": 65}, {"draft_tokens": None}, {"x": 1},
                 {"acceptance": 2}, {"acceptance": [2, 0]}, {"acceptance": "1"}, {"acceptance": []},
                 {"draft_s_per_token": -1}, {"draft_model": 5},
                 {"draft_model": "llama-3.2-1b", "draft_s_per_token": 0}):
        yield f"drafts {more}", changed("pools.0.engine.speculative", {
            "draft_tokens": 2, "acceptance": 0.5, **more})
    for wrong in (5, None, [], {}, {"draft_tokens": 2}, {"acceptance": 0.5}):
        yield f"drafts {wrong}", changed("pools.0.engine.speculative", wrong)
    for more in ({"policy": "sarathi"}, {"policy": "prefill_first"}, {"preset": "vllm-0.6"},
                 {"prefix_caching": True}, {"preemption": "swap"}, {"offload_bytes": 1}):
        yield f"drafts with {more}", changed("pools.0.engine", {
            "speculative": {"draft_tokens": 2, "acceptance": 0.5}, **more})
    yield "swap with cache", changed("pools.0.engine", {"preemption": "swap", "prefix_caching": True})
    for wrong in ({"price_usd_per_gpu_hour": -1}, {"price_usd_per_gpu_hour": 1.1e6},
                  {"price_usd_per_gpu_hour": "1"}, {"price_usd_per_gpu_hour": None},
                  {"price_usd_per_gpu_hour": 1, "pricing": "spot"},
                  {"price_usd_per_gpu_hour": 1, "price_bound": "low"}, {"pricing": "Spot"},
                  {"pricing": None}, {"pricing": 1}, {"price_bound": "mid"}, {"price_bound": 0},
                  {"power": 5}, {"power": None}, {"power": {"pue": 1}}, {"power": {"idle_w": 0}},
                  {"power": {"busy_w": 1.1e6}}, {"power": {"idle_w": "5"}}):
        yield f"price {wrong}", {**BASE, "pools": [{
            "gpu": "h100-sxm", "engine": {"num_gpu_blocks": 9}, **wrong}]}
    for wrong in (5, None, [], {"x": 1}, {"pue": 0.9}, {"pue": 11}, {"gco2_per_kwh": -1},
                  {"gco2_per_kwh": 2e5}, {"idle_w": 0}, {"busy_w": "1"}, {"pue": None}):
        yield f"power {wrong}", changed("power", wrong)
    yield "trace empty", changed("workload.trace", "")
    yield "trace 5", changed("workload.trace", 5)
    yield "gpu without bandwidth", changed("pools.0.gpu", {"name": "x", "mem_gb": 1})
    yield "model without layers", changed("model", {"name": "x"})


def only_c_cases():
    """The schema cannot say these: it accepts them, the C reader does not."""
    for points, more in (([[1, 1]], {}), ([[0, 0]], {}), ([[0, 1], [5, 0]], {}),
                         ([[0, 1], [5, 1], [5, 2]], {}), ([[0, 1], [5, 2]], {"period_s": 5})):
        for shape in ("steps", "linear"):
            yield f"profile {points} {more}", changed("workload.rate_profile", {
                "shape": shape, "points": points, **more})
    for more in ({"prefix_roots": 2}, {"min_prompt_tokens": 3, "max_prompt_tokens": 2},
                 {"min_output_tokens": 3, "max_output_tokens": 2}, {"request_rate": 1, "max_gap_s": 1},
                 {"request_rate": 1, "time_scale": 2}):
        yield f"transform {more}", changed("workload", {"trace": "t.csv", **more})
    yield "a rate scaled", changed("workload", {
        "trace": "t.csv", "request_rate": 1, "rate_scale": 2})
    for pool in ({"pricing": "on_demand"}, {"price_bound": "low"}, {"power": {"idle_w": 500}}):
        yield f"not of an RTX 4090: {pool}", {**BASE, "pools": [{**BASE["pools"][0], **pool}]}
    yield "busy below idle", changed("power", {"idle_w": 2, "busy_w": 1})
    other = roles()
    other["pools"][1]["model"] = "qwen3-32b"
    yield "roles of two models", other
    other = roles()
    other["pools"][1]["kv_dtype"] = "fp8"
    yield "KV of two types", other
    yield "unknown gpu", changed("pools.0.gpu", "rtx-4091")
    yield "unknown model", changed("model", "llama-9")
    yield "draft model with linear cost", changed("pools.0.engine.speculative", {
        "draft_tokens": 2, "acceptance": 0.5, "draft_model": "llama-3.2-1b"})
    yield "drafts beyond the budget", changed("pools.0.engine", {
        "max_num_batched_tokens": 5, "max_num_seqs": 2,
        "speculative": {"draft_tokens": 2, "acceptance": 0.5}})
    yield "acceptance of another number", changed("pools.0.engine.speculative", {
        "draft_tokens": 2, "acceptance": [0.5]})
    schedule = {"policy": "schedule", "max_replicas": 2, "steps": [{"at_s": 5, "replicas": 1}]}
    for scaling in ({**schedule, "steps": [{"at_s": 5, "replicas": 3}]},
                    {**schedule, "steps": schedule["steps"] * 2}, {**schedule, "period_s": 5},
                    {"policy": "fixed", "min_replicas": 2}, {"policy": "fixed", "min_replicas": 2,
                                                             "max_replicas": 3},
                    {"policy": "queue_depth", "target_requests": 1, "interval_s": 0.001,
                     "scale_down_window_s": 101}):
        yield f"scaling {scaling!r}", changed("pools.0.scaling", scaling)
    for failures in ({"outages": [{"at_s": 5, "replica": 1}]},
                     {"outages": [{"at_s": 5, "replica": 0}, {"at_s": 6, "replica": 0}]},
                     {"time_to_crash": {"mean_s": 1}, "time_to_repair": {"mean_s": 1}},
                     {"spot": {"mean_s": 1, "back_s": 1}}):
        yield f"failures {failures!r}", changed("pools.0.failures", failures)
    yield "measure reversed", changed("measure_s", [2, 1])
    yield "window empty", changed("workload.window_s", [1, 1])
    yield "2^40 blocks of 16", changed("pools.0.engine.num_gpu_blocks", 2**40)
    yield "two names", {**BASE, "pools": [{**BASE["pools"][0], "name": "x"}] * 2}
    yield "too many replicas", pools({**BASE["pools"][0], "replicas": 65536})
    big = without("cost")
    big["model"] = "llama-3.1-70b"
    del big["pools"][0]["engine"]
    yield "does not fit", big


class Checker:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.schema = validator()
        self.failures = 0
        self.cases = 0

    def c_says(self, document, text=None):
        path = self.folder / "scenario.json"
        path.write_text(text if text is not None else json.dumps(document))
        run = subprocess.run([ROOFTRACE, "run", "--check", str(path)], capture_output=True,
                             text=True, cwd=ROOT)
        if run.returncode not in (0, 2):
            self.fail(f"exit status {run.returncode}: {run.stderr}")
        if run.returncode == 2 and len(run.stderr.splitlines()) != 1:
            self.fail(f"not one line: {run.stderr!r}")
        return run.returncode == 0, run.stdout, run.stderr.strip()

    def fail(self, text):
        self.failures += 1
        print("FAILED:", text)

    def check(self, name, document, schema, c):
        self.cases += 1
        said, out, message = self.c_says(document)
        if said != c:
            self.fail(f"{name}: C says {said}, expected {c} {message}")
        if self.schema.is_valid(document) != schema:
            self.fail(f"{name}: the schema says {not schema}, expected {schema}; {message}")
        return out if said else None


def check_names(checker):
    """The names in the schema are those the program lists."""
    text = subprocess.run([ROOFTRACE, "run", "--help"], capture_output=True, text=True,
                          check=True).stdout
    engine = SCENARIO["$defs"]["engine"]["properties"]["policy"]["enum"]
    presets = SCENARIO["$defs"]["engine"]["properties"]["preset"]["enum"]
    formats = SCENARIO["$defs"]["workload"]["properties"]["format"]["enum"]
    for title, names in (("trace formats", [n for n in formats if n != "auto"]),
                         ("presets", presets), ("policies", engine), ("routers", SCENARIO["properties"]["router"]["enum"])):
        block = re.search(rf"^{title}:\n((?:  .*\n)+)", text, re.M).group(1)
        listed = [line.split()[0] for line in block.splitlines() if not line.startswith("   ")]
        if sorted(listed) != sorted(names):
            checker.fail(f"{title}: the schema has {names}, the program {listed}")


def check_shipped(checker):
    shipped = sorted((ROOT / "docs/examples").glob("*.json")) + sorted(
        (ROOT / "traces").glob("*.scenario.json"))
    if not shipped:
        checker.fail("no scenario is shipped")
    for path in shipped:
        if "scenario.schema.json" not in json.loads(path.read_text()).get("$schema", ""):
            continue # a plan, which has a schema and a test of its own
        printed = checker.check(path.name, json.loads(path.read_text()), True, True)
        if printed is None:
            continue
        again = checker.check(f"{path.name} as printed", json.loads(printed), True, True)
        if again is not None and json.loads(again)["pools"] != json.loads(printed)["pools"]:
            checker.fail(f"{path.name}: --check of what --check printed says something else")


def main():
    with tempfile.TemporaryDirectory() as folder:
        checker = Checker(folder)
        check_names(checker)
        check_shipped(checker)
        for name, document in good_cases():
            checker.check(name, document, True, True)
        for name, document in bad_cases():
            checker.check(name, document, False, False)
        for name, document in only_c_cases():
            checker.check(name, document, True, False)
        for name, document, good in number_cases():
            checker.check(name, document, good, good)
        print(f"{checker.cases} documents, {checker.failures} disagreements")
    return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main())
