#!/usr/bin/env python3
"""Writes traces/sample.csv, the small trace that comes with rooftrace: ten minutes of an invented chat
service, about 2,000 requests, in rooftrace's own CSV format.

    tools/make_sample_trace.py                 writes traces/sample.csv
    tools/make_sample_trace.py --output FILE   writes somewhere else ("-": standard output)

Nothing here was measured; the numbers below are choices that look like published traces:
  arrivals   a Poisson process whose rate swings once over the ten minutes (a day in small) and is
             three times as high during seven short bursts: coefficient of variation of the gaps 1.24,
             busiest minute one and a half times the mean
  class      chat (4 of 5) or document (1 of 5: long prompts with a text to answer from)
  lengths    lognormal, median and sigma below, clamped
Mean 3.3 requests a second: well within what one H100 serves with an 8-billion-parameter model.

The same seed gives the same bytes, and a test compares them with the file in traces/. Only
random.random() is drawn (Mersenne Twister, the same in every Python 3); log, exp, sin and cos come
from the C library, whose last bits vanish when times are rounded to microseconds and lengths to tokens.
"""

import argparse
import math
import os
import random
import sys

SEED = 20240601
DURATION_S = 600.0
BASE_RPS = 2.75  # mean rate outside bursts
SWING = 0.45  # the rate's swing around its mean, trough at the start
BURST_FACTOR = 3.0
BURSTS = 7
BURST_S = (6.0, 14.0)  # length, uniform
DOCUMENT_SHARE = 0.2
#          median prompt, sigma, min, max,  median output, sigma, min, max
LENGTHS = {
    "chat": (420, 1.0, 8, 8000, 190, 0.75, 4, 1500),
    "document": (2600, 0.6, 400, 16000, 120, 0.6, 8, 800),
}


def normal(draw):
    """Mean 0, variance 1 (Box and Muller)."""
    return math.sqrt(-2.0 * math.log(1.0 - draw())) * math.cos(2.0 * math.pi * draw())


def bursts(draw):
    """Start and end of each burst; one somewhere in each seventh of the time."""
    stretch = DURATION_S / BURSTS
    for n in range(BURSTS):
        length = BURST_S[0] + (BURST_S[1] - BURST_S[0]) * draw()
        start = n * stretch + (stretch - length) * draw()
        yield start, start + length


def rate_at(t, busy):
    rate = BASE_RPS * (1.0 - SWING * math.cos(2.0 * math.pi * t / DURATION_S))
    return rate * BURST_FACTOR if any(a <= t < b for a, b in busy) else rate


def arrivals(draw):
    """Thinning: candidates at the highest rate there can be, kept with probability rate / highest."""
    busy = list(bursts(draw))
    highest = BASE_RPS * (1.0 + SWING) * BURST_FACTOR
    t = 0.0
    while True:
        t += -math.log(1.0 - draw()) / highest
        if t >= DURATION_S:
            return
        if draw() * highest < rate_at(t, busy):
            yield t


def length(draw, median, sigma, low, high):
    return min(high, max(low, round(median * math.exp(sigma * normal(draw)))))


def rows():
    draw = random.Random(SEED).random
    yield "arrival_s,prompt_tokens,output_tokens,class"
    for t in arrivals(draw):
        kind = "document" if draw() < DOCUMENT_SHARE else "chat"
        shape = LENGTHS[kind]
        yield f"{t:.6f},{length(draw, *shape[:4])},{length(draw, *shape[4:])},{kind}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--output", default=os.path.join(root, "traces", "sample.csv"))
    path = parser.parse_args().output
    data = "".join(row + "\n" for row in rows()).encode("ascii")
    if path == "-":
        sys.stdout.buffer.write(data)
        return
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main()
