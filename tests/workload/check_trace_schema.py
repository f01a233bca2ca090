#!/usr/bin/env python3
"""schemas/trace.schema.json and the C reader agree on every row below: both take it or both refuse it,
and each as it should be. Usage: check_trace_schema.py TRACE_CHECK (the test executable of that name).
Exit 77 (skipped) without the Python package jsonschema."""

import json
import os
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    if os.path.realpath(sys.executable) != os.path.realpath("/usr/bin/python3") and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    print("skipped: the Python package jsonschema is not installed")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASE = '"arrival_s": 1, "prompt_tokens": 2, "output_tokens": 3'

GOOD = [
    "{%s}" % BASE,
    '{"timestamp": 1, "input_length": 2, "output_length": 3}',
    '{"timestamp": 1, "prompt_tokens": 2, "output_length": 3, "hash_ids": [0, 1]}',
    '{"arrival_s": 0, "prompt_tokens": 0, "output_tokens": 0}',
    '{"arrival_s": 9223372036, "prompt_tokens": 1099511627776, "output_tokens": 1}',
    '{"timestamp": 9223372036000, "input_length": 2, "output_length": 3}',
    '{"arrival_s": 1.5e3, "prompt_tokens": 2.0, "output_tokens": 3e2}',
    '{"arrival_s": -0.0, "prompt_tokens": -0, "output_tokens": 1}',
    '{"arrival_s": 1e-400, "prompt_tokens": 2, "output_tokens": 3}',
]
BAD = [
    "{}", "[]", "5", "null", '"a"', "true", "[1, 2]",
    '{"arrival_s": 1, "prompt_tokens": 2}',
    '{"arrival_s": 1, "output_tokens": 2}',
    '{"prompt_tokens": 1, "output_tokens": 2}',
    '{"arrival_s": 1, "timestamp": 1, "prompt_tokens": 2, "output_tokens": 3}',
    '{%s, "input_length": 2}' % BASE,
    '{%s, "output_length": 2}' % BASE,
    '{"arrival_s": -1e-9, "prompt_tokens": 2, "output_tokens": 3}',
    '{"arrival_s": 9223372036.1, "prompt_tokens": 2, "output_tokens": 3}',
    '{"arrival_s": 1e400, "prompt_tokens": 2, "output_tokens": 3}',
    '{"arrival_s": NaN, "prompt_tokens": 2, "output_tokens": 3}',
    '{"arrival_s": Infinity, "prompt_tokens": 2, "output_tokens": 3}',
    '{"timestamp": 9223372036001, "input_length": 2, "output_length": 3}',
    '{"timestamp": "5", "input_length": 2, "output_length": 3}',
    '{"arrival_s": 1, "prompt_tokens": -1, "output_tokens": 3}',
    '{"arrival_s": 1, "prompt_tokens": 1.5, "output_tokens": 3}',
    '{"arrival_s": 1, "prompt_tokens": "7", "output_tokens": 3}',
    '{"arrival_s": 1, "prompt_tokens": null, "output_tokens": 3}',
    '{"arrival_s": 1, "prompt_tokens": true, "output_tokens": 3}',
    '{"arrival_s": 1, "prompt_tokens": 1, "output_tokens": 1099511627777}',
    '{"arrival_s": 1, "prompt_tokens": 1, "output_tokens": 1e30}',
    '{%s, "Class": "a"}' % BASE,
    '{%s, "delay": 5}' % BASE,
    '{%s, "": 5}' % BASE,
    "{%s} {%s}" % (BASE, BASE),
    "{%s" % BASE,
    "{%s}}" % BASE,
]
# Values of one optional key: good ones, bad ones.
VALUES = {
    "hash_ids": (["[]", "[0]", "[18446744073709551615, 9007199254740993]", "[1.0]", "[1e3, 1]"],
                 ["5", '"1"', "null", "{}", "[-1]", "[18446744073709551616]", "[1.5]", '["1"]', "[[1]]",
                  "[null]", "[true]", "[1e20]"]),
    "class": (['"chat"', '""', '"\\u00e9 \\ud83d\\ude00"', json.dumps("x" * 256), json.dumps("é" * 256, ensure_ascii=False)],
              ["5", "null", "true", "[]", "{}", '"a\\u0000b"', json.dumps("x" * 257),
               json.dumps("é" * 257, ensure_ascii=False)]),
    "model": (['"llama"'], ["1", "null", '"\\u0000"']),
    "tenant": (['"acme"'], ["1.5", "false"]),
    "session_id": (['"a"', '""', "0", "-0", "-5", "5.0", "18446744073709551615", "-9223372036854775808"],
                   ["null", "true", "1.5", "[]", "18446744073709551616", "-9223372036854775809",
                    '"\\u0000"', json.dumps("y" * 257)]),
    "think_s": (["0", "1.5", "9223372036"], ["-1", '"1"', "null", "9223372036.5", "1e999"]),
    "deadline_s": (["0", "0.001"], ["-0.001", '"soon"', "null", "[1]"]),
    "priority": (["0", "-2147483648", "2147483647", "1e3", "4.0"],
                 ["2147483648", "-2147483649", "0.5", '"1"', "null"]),
    "$comment": (["null", "[1, [2, {}]]", '"x"', "1e999"], []),
    "$": (["{}"], []),
}


def refuse_constant(name):
    raise ValueError(name)


def schema_takes(validator, row):
    try:
        value = json.loads(row, parse_constant=refuse_constant)
    except ValueError:
        return False
    return validator.is_valid(value)


def main():
    with open(os.path.join(ROOT, "schemas", "trace.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    rows = [(row, True) for row in GOOD] + [(row, False) for row in BAD]
    for key, (good, bad) in VALUES.items():
        rows += [('{%s, "%s": %s}' % (BASE, key, value), True) for value in good]
        rows += [('{%s, "%s": %s}' % (BASE, key, value), False) for value in bad]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, (row, _) in enumerate(rows):
            paths.append(os.path.join(folder, f"{number}.jsonl"))
            with open(paths[-1], "w", encoding="utf-8", newline="") as file:
                file.write(row + "\n")
        done = subprocess.run([sys.argv[1]] + paths, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    answers = done.stdout.splitlines()
    if len(answers) != len(rows):
        sys.exit(f"{len(rows)} rows, {len(answers)} answers")
    wrong = 0
    for (row, good), answer in zip(rows, answers):
        by_schema, by_reader = schema_takes(validator, row), answer == "good"
        if by_schema != good or by_reader != good:
            wrong += 1
            print(f"{row[:120]}\n    should be {'good' if good else 'bad'}; "
                  f"schema: {'good' if by_schema else 'bad'}; reader: {answer}")
    print(f"{len(rows)} rows, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
