"""The reference's golden cases through `rooftrace run`: every row equal to the nanosecond.

Each case becomes a scenario file; rows of table `request` are compared with requests.csv and the
number of engine steps with the summary, coasting and stepping one by one. A case that needs a
feature this build rejects is listed as "not yet", unless --all says that there is none.

usage: golden_test.py [--all]
"""
import argparse
import csv
import json
import os
import sys
import tempfile

import reference_case as rc


def expected_rows(folder):
    with open(os.path.join(folder, "requests.csv"), newline="") as f:
        rows = list(csv.reader(f))[1:]
    return [(*map(int, row[:6]), row[6]) for row in rows]


def check(name, folder, case, work):
    """Problems of one case; None: cannot run yet."""
    path = os.path.join(work, name + ".json")
    rc.write_scenario(case["parameters"], os.path.join(folder, case["trace"]), path)
    missing = rc.not_yet(path, case["parameters"])
    if missing:
        print("%-46s not yet: %s" % (name, missing))
        return None
    want, problems = expected_rows(folder), []
    for options in ([], ["--no-coast"]):
        rows, steps = rc.run(path, os.path.join(work, name + ".db"), *options)
        how = " ".join(options) or "coasting"
        wrong = rc.difference(rows, want)
        if wrong:
            problems.append("%s, %s: %s" % (name, how, wrong))
        if steps != case["summary"]["iterations"]:
            problems.append("%s, %s: %s steps, expected %d" %
                            (name, how, steps, case["summary"]["iterations"]))
    print("%-46s %s" % (name, "DIFFERS" if problems else "equal, %d requests" % len(want)))
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true", help="every case must run")
    args = parser.parse_args()
    golden = os.path.join(rc.reference_folder(), "golden")
    problems, ran = [], []
    with tempfile.TemporaryDirectory() as work:
        for name in sorted(os.listdir(golden)):
            folder = os.path.join(golden, name)
            with open(os.path.join(folder, "case.json")) as f:
                case = json.load(f)
            found = check(name, folder, case, work)
            if found is not None:
                ran.append(name)
                problems += found
            elif args.all:
                problems.append("%s: must run" % name)
    print("%d cases ran" % len(ran))
    for problem in problems:
        print("FAILED: " + problem)
    return 1 if problems or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
