#!/usr/bin/env python3
"""schemas/profile.schema.json and the C reader say yes and no to the same tables.

Each document goes to the schema and to `rooftrace estimate --profile`. Exit code 77 (skipped) without
the module jsonschema.
"""
import copy
import json
import os
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
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SCHEMA = json.loads((ROOT / "schemas" / "profile.schema.json").read_text())
HEADS = {"heads": 32, "kv_heads": 8, "head_dim": 128}
ROWS = [
    {"op": "gemm", "m": 1, "n": 2, "k": 3},
    {"op": "prefill", "q": 64, "held": 0, **HEADS},
    {"op": "decode", "batch": 1, "context": 64, **HEADS},
    {"op": "mixed", "q": 64, "held": 0, "batch": 1, "context": 64, **HEADS},
    {"op": "moe", "m": 1, "hidden": 64, "ffn": 64, "experts": 8, "topk": 2},
    {"op": "all_reduce", "bytes": 1024, "gpus": 2},
    {"op": "elementwise", "m": 1, "hidden": 64, "ffn": 64, **HEADS},
    {"op": "sampler", "m": 1, "vocab": 100},
]


def documents():
    """(document, is it good?)"""
    for row in ROWS:
        row = {**row, "us": 5}
        yield {"rows": [row]}, True
        yield {"rows": [row, row], "gpu": "RTX 4090", "date": "x", "source": "x", "software": "x",
               "note": "x", "$comment": 1}, True
        for key in row:
            yield {"rows": [{k: v for k, v in row.items() if k != key}]}, key == "held"
            if key == "op":
                continue
            for value in (-1, "1", None, 2e12, [1]):
                yield {"rows": [{**row, key: value}]}, False
            yield {"rows": [{**row, key: 0}]}, key == "held"
            yield {"rows": [{**row, key: 1.5}]}, key == "us"
        yield {"rows": [{**row, "gpus": 2, "vocab": 3}]}, True
        yield {"rows": [{**row, "oops": 1}]}, False
        yield {"rows": [{**row, "dtype": "fp8", "activation": "bf16", "model": "m",
                         "gpu": "rtx-4090"}]}, True
        yield {"rows": [{**row, "dtype": "fp9"}]}, False
        yield {"rows": [{**row, "model": 3}]}, False
    yield {"rows": []}, False
    yield {}, False
    yield {"rows": [{**ROWS[0], "us": 5}], "gpus": "x"}, False
    yield {"rows": [{**ROWS[0], "us": 5}], "date": 5}, False
    yield [], False


def main():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "t.json"
        for document, good in documents():
            path.write_text(json.dumps(document))
            by_schema = validator.is_valid(document)
            answer = subprocess.run([ROOFTRACE, "estimate", "--model", "llama-3.1-8b", "--gpu",
                                     "rtx-4090", "--profile", str(path)], capture_output=True,
                                    text=True, check=False)
            by_reader = answer.returncode == 0
            if by_schema != good or by_reader != good:
                print(f"{json.dumps(document)}: expected {good}, schema {by_schema}, "
                      f"reader {by_reader} {answer.stderr}")
                return 1
            if not good and (answer.returncode not in (1, 2) or answer.stderr.count("\n") != 1):
                print(f"{json.dumps(document)}: {answer.returncode} {answer.stderr}")
                return 1
            count += 1
    print(f"{count} tables")
    return 0


if __name__ == "__main__":
    sys.exit(main())
