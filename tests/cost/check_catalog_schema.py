#!/usr/bin/env python3
"""The schemas of GPUs and models, and the C reader, say yes and no to the same files.

usage: check_catalog_schema.py CATALOG_PROBE

Checks the two built-in catalogue files, good and bad records, and for every number of the schemas
its ends, just beyond them and other types. Exit code 77 (skipped) without the module jsonschema.
"""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("skipped: the Python module jsonschema is not installed (Debian: python3-jsonschema)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
GPU_SCHEMA = json.loads((ROOT / "schemas/gpu.schema.json").read_text())
MODEL_SCHEMA = json.loads((ROOT / "schemas/model.schema.json").read_text())
GPUS = json.loads((ROOT / "src/cost/catalog/gpus.json").read_text())
MODELS = json.loads((ROOT / "src/cost/catalog/models.json").read_text())

GPU = {"name": "Mine", "mem_gb": 24, "mem_bw_gb_per_s": 1000, "tflops": {"bf16": 100}}
MODEL = {"name": "Mine", "layers": 2, "hidden": 64, "heads": 8, "kv_heads": 2, "head_dim": 8,
         "vocab": 100, "ffn": 128}
MOE = {"experts": 8, "experts_per_token": 2, "expert_ffn": 32}
RECORD = {**GPU, "name": "mine", "sources": {"*": "a page"}}
MODEL_RECORD = {**MODEL, "name": "mine", "sources": {"*": "a page"}}


def validator(schema, part=None):
    """A validator of a schema file, or of one of its definitions."""
    whole = schema
    if part is not None:
        whole = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/" + part}
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


VALIDATORS = {
    "gpu": validator(GPU_SCHEMA),
    "model": validator(MODEL_SCHEMA),
    "gpus": validator(GPU_SCHEMA, "catalogue"),
    "models": validator(MODEL_SCHEMA, "catalogue"),
}


def with_(record, **changes):
    return {**record, **changes}


def without(record, key):
    return {k: v for k, v in record.items() if k != key}


def gpus(*records):
    return {"defaults": GPUS["defaults"], "gpus": list(records)}


def written_cases():
    """(kind, expected verdict, document)"""
    for good in (GPU, with_(GPU, **{"$comment": 5}), {"base": "rtx-4090"},
                 {"base": "H100", "mem_gb": 96, "constants": {"gemm_eff_compute": 0.7}},
                 with_(GPU, constants={"mixed_as_tiles": True}, uncertain=["tflops"],
                       sources={"tflops": "x"}, price_range_usd_per_h=[1, 2], price_usd_per_h=0,
                       link_kind="fabric", aliases=["a b"], note=""),
                 with_(GPU, tflops={"fp16": 1})):
        yield "gpu", True, good
    for bad in (5, [], None, {}, without(GPU, "name"), without(GPU, "mem_gb"),
                without(GPU, "mem_bw_gb_per_s"), without(GPU, "tflops"), with_(GPU, tflops={}),
                with_(GPU, tflops={"fp8": 3}), with_(GPU, tflops={"bf17": 3}),
                with_(GPU, tflops=[1]), with_(GPU, name=""), with_(GPU, name="x" * 64),
                with_(GPU, name="t\tb"), with_(GPU, name="\u00e9"), with_(GPU, name=None),
                with_(GPU, colour="red"), with_(GPU, link_kind="wire"), with_(GPU, accuracy="x" * 256),
                with_(GPU, aliases="x"), with_(GPU, aliases=[""]), with_(GPU, aliases=[3]),
                with_(GPU, uncertain=["colour"]), with_(GPU, uncertain="tflops"),
                with_(GPU, sources={"colour": "x"}), with_(GPU, sources={"tdp_w": ""}),
                with_(GPU, sources={"tdp_w": 3}), with_(GPU, sources=[]), with_(GPU, note=3),
                with_(GPU, price_range_usd_per_h=[1]), with_(GPU, price_range_usd_per_h=[1, "2"]),
                with_(GPU, price_range_usd_per_h=[1, 2, 3]), with_(GPU, price_range_usd_per_h=2),
                with_(GPU, price_range_usd_per_h=[-1, 2]), with_(GPU, constants=[]),
                with_(GPU, constants={"gemm": 1}), with_(GPU, constants={"mixed_as_tiles": 1}),
                {"base": 3}, {"base": "l4", "name": ""}):
        yield "gpu", False, bad
    for good in (MODEL, with_(without(MODEL, "ffn"), moe=MOE), {"base": "llama-3.1-8b"},
                 {"base": "deepseek-v3", "moe": {"experts": 64}}, with_(MODEL, layers=2.0),
                 with_(MODEL, window={"tokens": 16, "layers": 1}, dtype="fp8", gated=False),
                 with_(MODEL, window={"tokens": 16, "global_every": 2}),
                 {"base": "gemma-3-27b", "window": {"global_every": 4}},
                 with_(MODEL, mla={"kv_lora": 8, "qk_nope": 8, "qk_rope": 4, "v_head": 8})):
        yield "model", True, good
    for bad in (7, {}, with_(MODEL, colour=1), with_(MODEL, gated=1), with_(MODEL, dtype="fp32"),
                without(MODEL, "ffn"), without(MODEL, "vocab"), without(MODEL, "name"),
                with_(MODEL, moe={}), with_(MODEL, moe=3), with_(MODEL, moe=without(MOE, "experts")),
                with_(MODEL, moe=with_(MOE, shared_experts=1)), with_(MODEL, moe=with_(MOE, x=1)),
                with_(MODEL, moe=with_(MOE, shared_ffn=8)), with_(MODEL, mla={"kv_lora": 8}),
                with_(MODEL, window={"tokens": 16}), with_(MODEL, window=16),
                with_(MODEL, window={"tokens": 16, "layers": 1, "global_every": 2}),
                with_(MODEL, window={"global_every": 2}),
                with_(MODEL, sources={"x": "y"}), with_(MODEL, uncertain=["name"])):
        yield "model", False, bad
    yield "model", True, {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
                          "num_attention_heads": 8, "intermediate_size": 128, "vocab_size": 100}
    price = {"*": "x", "price_usd_per_h": "a shop, 2026-05"}
    for good in (RECORD, with_(RECORD, price_usd_per_h=2, sources=price),
                 with_(RECORD, mem_bytes=25e9, sources={"*": "x", "mem_bytes": "y"}),
                 with_(RECORD, constants={"host_us_per_seq": 4}, sources={"*": "x", "host": "y"})):
        yield "gpus", True, gpus(good)
    for bad in (GPU, without(RECORD, "sources"), with_(RECORD, name="Mine"),
                with_(RECORD, name="-mine"), with_(RECORD, base="l4"),
                with_(RECORD, sources={"tflops": "x"}), with_(RECORD, price_usd_per_h=2),
                with_(RECORD, price_usd_per_h=2, sources=with_(price, price_usd_per_h="a shop")),
                with_(RECORD, mem_bytes=25e9), with_(RECORD, constants={"host_us_per_seq": 4}),
                with_(RECORD, constants={"mixed_as_tiles": True}), 3):
        yield "gpus", False, gpus(bad)
    yield "gpus", False, {"gpus": []}
    yield "gpus", False, {"defaults": GPUS["defaults"]}
    yield "gpus", False, with_(gpus(), more=1)
    yield "models", True, {"models": [MODEL_RECORD]}
    for bad in (MODEL, without(MODEL_RECORD, "sources"), with_(MODEL_RECORD, sources={}),
                with_(MODEL_RECORD, base="phi-4"), without(MODEL_RECORD, "heads")):
        yield "models", False, {"models": [bad]}
    yield "models", False, {}


def default_cases():
    """Every key of the defaults is needed, and so is every source."""
    for path in (("constants",), ("sources",), ("links",), ("links", "fabric"),
                 ("links", "host"), ()):
        place = GPUS["defaults"]
        for step in path:
            place = place[step]
        for key in place:
            broken = copy.deepcopy(gpus())
            target = broken["defaults"]
            for step in path:
                target = target[step]
            del target[key]
            yield "gpus", False, broken


def number_cases():
    """The ends of every range, just beyond them, and other types."""
    def put(record, path, value):
        record = copy.deepcopy(record)
        place = record
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = value
        return record

    def around(kind, base, path, rule, ends_fit):
        low, high = rule["minimum"], rule["maximum"]
        for value in (low, high) if ends_fit else ():
            yield kind, True, put(base, path, value)
        for value in (low - max(1e-3, abs(low) / 2), high * 1.5, "1", None, True, [], {}):
            yield kind, False, put(base, path, value)
        if rule["type"] == "integer":
            yield kind, False, put(base, path, low + 0.5)

    fields = GPU_SCHEMA["$defs"]["fields"]["properties"]
    for key, rule in fields.items():
        if rule.get("type") == "number":
            yield from around("gpu", GPU, (key,), rule, True)
    for key, rule in fields["tflops"]["properties"].items():
        yield from around("gpu", GPU, ("tflops", key), rule, True)
    for key, rule in GPU_SCHEMA["$defs"]["constants"]["properties"].items():
        if rule["type"] == "number":
            yield from around("gpu", GPU, ("constants", key), rule, True)
    whole = with_(MODEL, moe=with_(MOE, shared_experts=1, shared_ffn=8), window={"tokens": 8,
                  "layers": 1}, mla={"kv_lora": 8, "qk_nope": 8, "qk_rope": 4, "v_head": 8})
    fields = MODEL_SCHEMA["$defs"]["fields"]["properties"]
    for key, rule in fields.items():
        if rule.get("type") == "integer":
            yield from around("model", whole, (key,), rule, False)
        if rule.get("type") == "object" and key != "sources":
            for inner, inner_rule in rule["properties"].items():
                base = whole
                if inner == "global_every":
                    base = with_(whole, window={"tokens": 8})
                yield from around("model", base, (key, inner), inner_rule, False)


def probe_line(kind, document, place):
    """Writes the document, returns what to ask the probe."""
    if kind in ("gpu", "model"):
        path = place.with_suffix(".json")
        path.write_text(json.dumps(document))
        return f"{kind} {path}"
    place.mkdir()
    (place / "gpus.json").write_text(json.dumps(document if kind == "gpus" else gpus()))
    (place / "models.json").write_text(
        json.dumps(document if kind == "models" else {"models": []}))
    return f"folder {place}"


def main():
    cases = [("gpus", True, GPUS), ("models", True, MODELS)]
    cases += [*written_cases(), *default_cases(), *number_cases()]
    with tempfile.TemporaryDirectory() as folder:
        lines = [probe_line(kind, document, pathlib.Path(folder) / str(i))
                 for i, (kind, _, document) in enumerate(cases)]
        run = subprocess.run([sys.argv[1]], input="\n".join(lines) + "\n", text=True,
                             stdout=subprocess.PIPE, check=True)
    answers = run.stdout.splitlines()
    assert len(answers) == len(cases), f"{len(cases)} questions, {len(answers)} answers"
    wrong = 0
    for (kind, expected, document), answer in zip(cases, answers):
        schema_says = VALIDATORS[kind].is_valid(document)
        if schema_says != expected or (answer == "ok") != expected:
            wrong += 1
            errors = [e.message[:120] for e in VALIDATORS[kind].iter_errors(document)]
            print(f"{kind}: expected {'yes' if expected else 'no'}, schema {errors[:2] or 'ok'}, "
                  f"C: {answer[:200]}\n  {json.dumps(document)[:300]}")
    print(f"{len(cases)} documents, {wrong} disagreements")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
