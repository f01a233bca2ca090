#!/usr/bin/env python3
"""The rules of tools/accuracy: what a regression is, and what the page says. With cases made here;
the real ones need ../shared and are a stage of .ci/run. Standard library only.
"""
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "accuracy"


def load():
    loader = importlib.machinery.SourceFileLoader("accuracy", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("accuracy", loader))
    loader.exec_module(module)
    return module


accuracy = load()
Row, Section = accuracy.accuracy_cases.Row, accuracy.accuracy_cases.Section


def sections(*rows):
    return [Section("A title", "Some text.", list(rows))]


class Rule(unittest.TestCase):
    def bad(self, row, accepted=None, complete=True):
        return accuracy.regressions(sections(row), accepted or {}, complete)

    def test_a_goal_may_be_passed_by_a_fifth(self):
        for error in (0, 4.9, -5, 5.9, -6):
            self.assertEqual(self.bad(Row("c", "m", 1, 1, error, 5)), [], error)
        for error in (6.1, -6.1, None):
            self.assertEqual(len(self.bad(Row("c", "m", 1, 1, error, 5))), 1, error)

    def test_what_is_bad_already_may_not_get_worse_by_a_fifth_of_the_goal(self):
        accepted = {"c | m": 40.0}
        self.assertEqual(self.bad(Row("c", "m", 1, 1, 40.9, 5), accepted), [])
        self.assertEqual(self.bad(Row("c", "m", 1, 1, -3.0, 5), accepted), [])
        self.assertEqual(len(self.bad(Row("c", "m", 1, 1, -41.1, 5), accepted)), 1)

    def test_an_accepted_error_within_the_goal_leaves_the_goal(self):
        self.assertEqual(self.bad(Row("c", "m", 1, 1, 5.9, 5), {"c | m": 0.1}), [])

    def test_ranges(self):
        self.assertEqual(self.bad(Row("c", "m", "", 3, ok=True)), [])
        self.assertEqual(len(self.bad(Row("c", "m", "", 3, ok=False))), 1)
        self.assertEqual(self.bad(Row("c", "m", "", 3, ok=False), {"c | m": 1}), [])

    def test_rows_without_a_goal_and_rows_that_disappear(self):
        self.assertEqual(self.bad(Row("c", "m", 1, 9, 800.0)), [])
        row = Row("c", "m", 1, 1, 0, 5)
        self.assertEqual(self.bad(row, {"gone | m": 1.0}), ["gone | m: was compared, is no longer"])
        self.assertEqual(self.bad(row, {"gone | m": 1.0}, complete=False), [])

    def test_what_is_accepted(self):
        rows = sections(Row("c", "m", 1, 1, -7.123, 5), Row("d", "m", 1, 9, 800.0),
                        Row("e", "m", "", 3, ok=False))
        self.assertEqual(accuracy.accepted_errors(rows), {"c | m": 7.12, "e | m": 1})


class Page(unittest.TestCase):
    def test_the_tables(self):
        text = accuracy.document(sections(Row("good", "m", 10.0, 10.4, 4.0, 5, headline=True),
                                          Row("bad", "m", 12345.6, 10.0, -99.9, 5),
                                          Row("no goal", "m", None, "x", 1.25, signed=False)))
        self.assertIn("1 of 2 goals are met", text)
        self.assertEqual(text.count("| good | m | 10 | 10.4 | +4.0 | 5 | ok |"), 2)
        self.assertEqual(text.count("| bad | m | 12346 | 10 | -99.9 | 5 | miss |"), 1)
        self.assertIn("| no goal | m |  | x | 1.2 |  |  |", text)
        self.assertIn("## A title\n\nSome text.\n", text)

    def test_the_order_of_pairs(self):
        row = accuracy.accuracy_cases.order_row(
            "c", [[(1, 10), (2, 20), (3, 5)], [(1, 1), (1.01, 0)]], "order", goal=95)
        self.assertEqual((row.real, row.ours, row.ok), ("3 pairs", "1 right, 33.3 %", False))


class Operators(unittest.TestCase):
    """What the tests under tests/cost print is read line by line."""

    def test_whole_layers(self):
        found = accuracy.accuracy_cases.LAYER_LINE.match(
            "GEMMs of a layer, a40 (vidur)          2079 points, median   3.8 %, p90  12.2 % (bound 12 %)")
        self.assertEqual(found.groups(), ("GEMMs of a layer, a40 (vidur)", "2079", "3.8", "12.2"))

    def test_left_out(self):
        match = accuracy.accuracy_cases.LEFT_OUT_LINE.match
        line = ("gemm h100 vllm       714 rows, 16 groups | catalogue   8.9  25.2 | out of sample   5.1  12.9 %"
                " | GPU left out   7.1  17.5 %")
        numbers = ("gemm h100 vllm", "714", "16", "8.9", "25.2", "5.1", "12.9", "7.1", "17.5")
        self.assertEqual(match(line).groups(), (*numbers, None))
        self.assertEqual(match(line + " | goal 7 %: MISSED").groups(), (*numbers, "7"))


class CommandLine(unittest.TestCase):
    def test_without_data_it_is_skipped(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run([sys.executable, TOOL, "--check", "--shared", folder + "/none"],
                                 capture_output=True, text=True)
        self.assertEqual(run.returncode, 77)
        self.assertIn("SKIPPED", run.stdout)

    def test_a_missing_executable_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "published").mkdir()
            run = subprocess.run([sys.executable, TOOL, "--shared", folder, "--rooftrace", folder],
                                 capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn("no rooftrace", run.stderr)


if __name__ == "__main__":
    unittest.main()
