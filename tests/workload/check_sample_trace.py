#!/usr/bin/env python3
"""traces/sample.csv is what tools/make_sample_trace.py writes, byte for byte, and looks as described."""

import csv
import io
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main():
    tool = os.path.join(ROOT, "tools", "make_sample_trace.py")
    made = subprocess.run([sys.executable, tool, "--output", "-"], check=True, stdout=subprocess.PIPE).stdout
    with open(os.path.join(ROOT, "traces", "sample.csv"), "rb") as file:
        kept = file.read()
    if made != kept:
        sys.exit("traces/sample.csv is not what tools/make_sample_trace.py writes now")
    rows = list(csv.DictReader(io.StringIO(kept.decode("ascii"))))
    arrivals = [float(row["arrival_s"]) for row in rows]
    assert arrivals == sorted(arrivals) and 0 <= arrivals[0] and 590 < arrivals[-1] < 600
    assert 1900 <= len(rows) <= 2100, len(rows)
    assert {row["class"] for row in rows} == {"chat", "document"}
    assert all(int(row["prompt_tokens"]) > 0 and int(row["output_tokens"]) > 0 for row in rows)
    print(f"{len(rows)} rows, {len(kept)} bytes, as made")


if __name__ == "__main__":
    main()
