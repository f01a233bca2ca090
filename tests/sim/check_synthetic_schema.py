#!/usr/bin/env python3
"""schemas/synthetic.schema.json and the C reader of workload.synthetic say yes and no to the same.

Sections are made at random from the keys that each kind takes (seed printed), half of them then
spoilt in one place (a key taken away, added or renamed, a value of another type or range), and fed
to the schema and to `rooftrace run --check`, which only reads them. A section that is taken is printed
by --check; reading that again prints the same. What only the C reader can know is listed apart.
Exit code 77 (skipped) without the module jsonschema.
"""
import copy
import json
import random
import sys
import tempfile

import check_scenario_schema as scenario

TOKENS, SECONDS = 1 << 40, 9e9
KINDS = {  # required, optional, one of each
    "fixed": (["value"], [], []),
    "uniform": (["min", "max"], [], []),
    "zipf": (["exponent", "min", "max"], [], []),
    "normal": (["mean"], ["min", "max"], [["sd", "cv"]]),
    "lognormal": ([], ["min", "max"], [["mean", "median"], ["sigma", "cv"]]),
    "exponential": (["mean"], ["min", "max"], []),
    "empirical": (["trace"], ["format", "min", "max"], []),
}
ARRIVALS = {
    "at_once": ([], [], []),
    "constant": (["rate_per_s"], [], []),
    "poisson": (["rate_per_s"], [], []),
    "gamma": (["rate_per_s"], [], [["cv", "burstiness"]]),
    "weibull": (["rate_per_s", "shape"], [], []),
    "on_off": (["rate_per_s", "on_s", "off_s"], ["off_share", "burstiness"], []),
    "diurnal": (["rate_per_s", "amplitude"], ["period_s", "peak_s", "burstiness"], []),
}
RANGES = {"exponent": (0, 20), "sigma": (0, 10), "cv": (0.001, 30), "rate_per_s": (1e-9, 1e9),
          "burstiness": (0.001, 1e6), "shape": (0.1, 1e6), "on_s": (1, 9e9), "off_s": (1e6, 9e9),
          "off_share": (0, 1), "amplitude": (0, 1), "period_s": (0.001, 9e9), "peak_s": (0, 9e9),
          "mean": (0, TOKENS), "median": (1e-9, TOKENS), "sd": (0, TOKENS)}


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def number(self, low, high, whole=False):
        pick = self.r.random()
        value = low if pick < 0.15 else high if pick < 0.3 else self.r.uniform(low, min(high, 5000))
        value = min(max(value, low), high)
        return int(value) if whole else value

    def keys(self, kinds, kind, value_of):
        required, optional, one_of = kinds[kind]
        names = required + [k for k in optional if self.r.random() < 0.4]
        names += [self.r.choice(choice) for choice in one_of]
        return {"kind": kind, **{name: value_of(name) for name in names}}

    def distribution(self, low, high, whole, empirical):
        if self.r.random() < 0.3:
            return self.number(low, high, whole)
        kinds = [k for k in KINDS if empirical or k != "empirical"]

        def value(name):
            if name == "trace":
                return "some.csv"
            if name == "format":
                return "auto"
            if name in ("value", "min", "max"):
                return self.number(low, high, whole)
            return self.number(*RANGES[name])
        made = self.keys(KINDS, self.r.choice(kinds), value)
        if "min" in made and "max" in made:
            made["min"], made["max"] = sorted((made["min"], made["max"]))
        return made

    def tokens(self, empirical=True):
        return self.distribution(1, TOKENS, True, empirical)

    def arrivals(self):
        return self.keys(ARRIVALS, self.r.choice(list(ARRIVALS)),
                         lambda name: self.number(*RANGES[name]) if name != "rate_per_s"
                         else self.number(1e-6, 1e9))

    def some(self, **makers):
        return {key: make() for key, make in makers.items() if self.r.random() < 0.4}

    def prefixes(self):
        return {"count": self.number(1, 1000000, True), "tokens": self.tokens(False),
                **self.some(zipf=lambda: self.number(0, 20), share=lambda: self.number(0, 1))}

    def sessions(self):
        return {"turns": self.distribution(1, 10000, True, False),
                **self.some(turn_tokens=self.tokens,
                            think_s=lambda: self.distribution(0, SECONDS, False, False),
                            answer_s_per_token=lambda: self.number(0, 1000),
                            max_prompt_tokens=lambda: self.number(1, TOKENS, True))}

    def lengths(self):
        if self.r.random() < 0.2:
            return {"lengths": {"trace": "some.csv"}}
        return {"prompt_tokens": self.tokens(), "output_tokens": self.tokens()}

    def one_class(self, i):
        return {"name": f"class {i}", **self.some(
            share=lambda: self.number(1e-9, 1e9), priority=lambda: self.r.randint(-9, 9),
            deadline_s=lambda: self.number(0, 9223372036), prefixes=self.prefixes,
            sessions=self.sessions), **(self.lengths() if self.r.random() < 0.5 else {})}

    def section(self):
        if self.r.random() < 0.05:
            return {"requests": 5, "like": {"trace": "some.csv", "format": "csv"}}
        made = {"requests": self.number(1, 1 << 53, True), **self.lengths(),
                **self.some(arrivals=self.arrivals, prefixes=self.prefixes, sessions=self.sessions)}
        if self.r.random() < 0.3:
            made["classes"] = [self.one_class(i) for i in range(self.r.randint(1, 3))]
        return made

    def spoil(self, section):
        """One place of a copy changed; it may still be right."""
        spoilt = copy.deepcopy(section)
        objects = []

        def walk(node):
            if isinstance(node, dict):
                objects.append(node)
            for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
                walk(child)
        walk(spoilt)
        at = self.r.choice(objects)
        how = self.r.randrange(4)
        key = self.r.choice(list(at)) if at else None
        if how == 0 or key is None:
            at[self.r.choice(["x", "mean", "kind", "trace", "cv", "value", "min"])] = \
                self.r.choice([1, "auto", "fixed", {}])
        elif how == 1:
            del at[key]
        elif how == 2:
            at[key] = self.r.choice([None, True, "text", [], {}, -1, 0, 0.5, 1e300, 3, ""])
        else:
            at[key + "s"] = at.pop(key)
        return spoilt


def document(section, **more):
    made = copy.deepcopy(scenario.BASE)
    made["workload"] = {"synthetic": section, **more}
    return made


ONLY_C = [
    ("no lengths", {"requests": 1}),
    ("no output", {"requests": 1, "prompt_tokens": 5}),
    ("a class without lengths", {"requests": 1, "prompt_tokens": 5, "classes": [{"name": "a"}]}),
    ("two classes of a name", {"requests": 1, "prompt_tokens": 5, "output_tokens": 5,
                               "classes": [{"name": "a"}, {"name": "a"}]}),
    ("min above max", {"requests": 1, "output_tokens": 5,
                       "prompt_tokens": {"kind": "uniform", "min": 6, "max": 5}}),
    ("caps crossed", {"requests": 1, "output_tokens": 5, "prompt_tokens": {
        "kind": "exponential", "mean": 7, "min": 6, "max": 5}}),
    ("phases too short", {"requests": 1, "prompt_tokens": 5, "output_tokens": 5, "arrivals": {
        "kind": "on_off", "rate_per_s": 1e-6, "on_s": 1, "off_s": 1}}),
]
FIXED = {"requests": 4, "prompt_tokens": 5, "output_tokens": 6}


def known_cases(checker):
    checker.check("fixed", document(FIXED), True, True)
    for key, value in (("trace", "t.csv"), ("format", "auto"), ("repeat", 2), ("window_s", [0, 1])):
        checker.check(f"beside {key}", document(FIXED, **{key: value}), False, False)
    for key, value in (("rate_scale", 2), ("max_requests", 3), ("block_size", 64)):
        checker.check(f"with {key}", document(FIXED, **{key: value}), True, True)
    for wrong in (None, 5, "x", [], {}, {"requests": 4, "like": "x.csv"},
                  {"requests": 4, "like": {"trace": "x.csv"}, "prompt_tokens": 5},
                  {"requests": 4, "lengths": {"trace": "-"}}, {"like": {"trace": "x.csv"}},
                  {**FIXED, "classes": []}, {**FIXED, "classes": [{"name": ""}]},
                  {**FIXED, "classes": [{"name": "n" * 257}]}):
        checker.check(f"{wrong}", document(wrong), False, False)
    for name, section in ONLY_C:
        checker.check(name, document(section), True, False)


def random_cases(checker, count, seed):
    maker = Maker(seed)
    valid = 0
    for i in range(count):
        section = maker.section()
        if i % 2 == 1:
            section = maker.spoil(section)
        made = document(section)
        says, out, message = checker.c_says(made)
        schema = checker.schema.is_valid(made)
        checker.cases += 1
        valid += says
        only_c = any(text in message for text in (
            "expected prompt_tokens and output_tokens", "expected min <= max", "two classes",
            "a thousandth of the mean gap"))
        if says != schema and not (schema and only_c):
            checker.fail(f"case {i}: C says {says}, the schema {schema}: {json.dumps(section)} {message}")
        if says:
            again = checker.c_says(None, out)
            if again[1] != out:
                checker.fail(f"case {i}: printed again, it differs: {json.dumps(section)} {again[2]}")
    if not count / 4 < valid < count:
        checker.fail(f"{valid} of {count} random sections were right")


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 20260
    with tempfile.TemporaryDirectory() as folder:
        checker = scenario.Checker(folder)
        known_cases(checker)
        random_cases(checker, 600, seed)
        print(f"seed {seed}: {checker.cases} sections, {checker.failures} disagreements")
    return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main())
