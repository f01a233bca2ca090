#!/usr/bin/env python3
"""schemas/sweep.schema.json and the C reader say yes and no to the same plans.

Each plan goes to the schema and to `rooftrace sweep --check`. What only the C reader can know (low <
high, a path varied twice, what the scenario has) is listed apart and must pass the schema. Exit code
77 (skipped) without the module jsonschema.
"""
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
SCHEMA = json.loads((ROOT / "schemas/sweep.schema.json").read_text())
SCENARIO = {"workload": {"trace": str(ROOT / "traces/sample.csv")}, "model": "llama-3.1-8b",
            "pools": [{"gpu": "h100-sxm"}]}
WRONG = (None, True, 1, 1.5, "x", [], {}, [5], {"x": 5}, [None], -1)


def plan(**more):
    return {"scenario": SCENARIO, **more}


def drawn(distribution, **more):
    return plan(random={"count": 2, "keys": {"slo.ttft_s": distribution}, **more})


def good():
    yield plan()
    yield plan(**{"$schema": "x", "$comment": [1]})
    yield plan(list=[{}])
    yield plan(list=[{"seed": 4, "$why": 1}, {"pools[0].replicas": 2}, {"slo": None}])
    yield plan(grid={})
    yield plan(grid={"$note": 5, "seed": [1, 2], "pools[0].gpu": ["h100-sxm", {"base": "l40s"}]})
    yield plan(grid={"workload.window_s": [[0, 10], [0, 20]], "workload.window_s[1]": [30]})
    yield plan(repeats=3)
    yield plan(seeds=[0, 9007199254740992])
    yield plan(seeds=[2.0])
    yield drawn({"uniform": [0.5, 2]})
    yield drawn({"uniform": [0.5, 2], "$note": 1}, seed=0)
    yield drawn({"log_uniform": [0.5, 2]}, seed=7, **{"$note": 1})
    yield drawn({"integer": [1, 1]})
    yield drawn({"integer": [1.0, 8]})
    yield drawn({"choice": [0.5]})
    yield plan(random={"count": 1, "keys": {}})
    yield plan(random={"count": 1, "keys": {"$note": 1}})
    yield plan(list=[{}], grid={"slo.ttft_s": [1]}, seeds=[1],
               random={"count": 1, "keys": {"slo.tpot_s": {"choice": [1, 2]}}})


def bad():
    yield {}
    yield from (wrong for wrong in WRONG if wrong != {})
    yield plan(gird={})
    for wrong in (None, True, 1, []):
        yield {"scenario": wrong}
    for wrong in WRONG:
        if wrong != {}:
            yield plan(grid=wrong)
            yield plan(grid={"seed": wrong}) if wrong not in ([5], [None], [-1]) else plan(grid=5)
        yield plan(random=wrong)
        yield drawn(wrong)
        yield plan(random={"count": 1, "keys": wrong}) if wrong != {} else plan(random={"count": 1})
        if wrong != 1:
            yield plan(repeats=wrong)
            yield plan(random={"count": wrong, "keys": {}})
            yield drawn({"choice": [1]}, seed=wrong)
        if wrong not in ([5],):
            yield plan(seeds=wrong)
        yield plan(list=wrong)
        if wrong not in ([5], [None], [-1]):
            yield drawn({"choice": wrong})
        for kind in ("uniform", "log_uniform", "integer"):
            yield drawn({kind: wrong})
            if wrong not in (1, 1.5, -1):
                yield drawn({kind: [1, wrong]})
                yield drawn({kind: [wrong, 2]})
    for path in ("", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[-1]", "a]", "[0]", "a b", "a[0]b",
                 "a" * 64, "a[1234567]", "a" + ".a" * 16):
        yield plan(grid={path: [1]})
        yield plan(list=[{path: 1}])
        yield plan(random={"count": 1, "keys": {path: {"choice": [1]}}})
    yield plan(repeats=1, seeds=[1])
    yield plan(repeats=100001)
    yield plan(random={"count": 100001, "keys": {}})
    yield drawn({})
    yield drawn({"uniform": [1, 2], "choice": [1]})
    yield drawn({"normal": [1, 2]})
    yield drawn({"log_uniform": [0, 1]})
    yield drawn({"integer": [1, 1.5]})
    yield drawn({"integer": [1, 9007199254740994]})
    yield drawn({"uniform": [1, 2, 3]})


def only_c_knows():
    yield plan(grid={"seed": [1]}, list=[{"seed": 1}])
    yield plan(grid={"seed": [1]}, repeats=2)
    yield plan(grid={"sed": [1]})
    yield plan(grid={"pools[3].replicas": [1]})
    yield plan(repeats=1000, grid={"slo.ttft_s": [1] * 101})
    yield drawn({"uniform": [2, 1]})
    yield drawn({"uniform": [1, 1]})
    yield drawn({"integer": [2, 1]})
    yield {"scenario": "none.json"}
    yield {"scenario": {}}


def accepts(document, folder):
    path = folder / "plan.json"
    path.write_text(json.dumps(document))
    done = subprocess.run([ROOFTRACE, "sweep", path, "--check"], text=True, capture_output=True,
                          timeout=600)
    if done.returncode not in (0, 1, 2):
        sys.exit(f"exit status {done.returncode} on {document}: {done.stderr}")
    return done.returncode == 0, done.stderr


def main():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    wrong, count = 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for cases, by_schema, by_c in ((good, True, True), (bad, False, False),
                                       (only_c_knows, True, False)):
            for document in cases():
                count += 1
                c, message = accepts(document, folder)
                schema = validator.is_valid(document)
                if (schema, c) != (by_schema, by_c):
                    wrong += 1
                    print(f"{cases.__name__}: schema {schema}, C {c}: {json.dumps(document)[:300]}\n"
                          f"    {message}")
        example = ROOT / "traces/sample.sweep.json"
        if not validator.is_valid(json.loads(example.read_text())):
            wrong += 1
            print(f"{example} does not pass")
    if wrong:
        sys.exit(f"{wrong} of {count} plans are judged differently")
    print(f"{count} plans: schema and C agree")


if __name__ == "__main__":
    main()
