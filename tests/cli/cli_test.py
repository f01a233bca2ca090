#!/usr/bin/env python3
"""The command line as users meet it: help, results, bad input, interruptions.

Environment: ROOFTRACE = the executable. Standard library only. Every failure of the program must be
one line on stderr that begins with "rooftrace: ", with the documented exit status, and must leave
files alone that it has not begun to write.
"""
import contextlib
import gzip
import json
import os
import pathlib
import pty
import re
import resource
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SAMPLE = ROOT / "traces/sample.csv"
FLEET = ["--model", "llama-3.1-8b", "--gpu", "h100-sxm"]
# A step of 10 ms whatever is in it, and many KV blocks: runs as long as it is told to.
SLOW = [*FLEET, "--cost-coefficients", "0.01,0,0,0,0", "--num-gpu-blocks-override", "100000"]
HEADER = "arrival_s,prompt_tokens,output_tokens\n"
SORT_WINDOW = 65536


def rooftrace(*args, **more):
    return subprocess.run([ROOFTRACE, *map(str, args)], capture_output=True, text=True,
                          timeout=1800, **more)


@contextlib.contextmanager
def database(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield db


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.db = self.folder / "out.db"

    def file(self, name, content):
        path = self.folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)
        return path

    def ok(self, *args, **more):
        run = rooftrace(*args, **more)
        self.assertEqual(run.returncode, 0, f"{args}: {run.stderr}")
        return run.stdout

    def fails(self, status, text, *args, **more):
        """The command fails with this status and one line that contains `text`."""
        run = rooftrace(*args, **more)
        self.assertEqual(run.returncode, status, f"{args}: {run.stdout}{run.stderr}")
        lines = run.stderr.splitlines()
        self.assertEqual(len(lines), 1, f"{args}: {run.stderr!r}")
        self.assertTrue(lines[0].startswith("rooftrace: "), lines[0])
        self.assertIn(text, lines[0], args)
        self.assertEqual(run.stdout, "", args)
        return lines[0]

    def run_fails(self, status, text, *args, **more):
        """As `fails`, for a run, which must not touch its output."""
        line = self.fails(status, text, "run", *args, "-o", self.db, **more)
        self.assertFalse(self.db.exists(), "the output was touched")
        return line

    def rows(self, sql, path=None):
        with database(path or self.db) as db:
            return db.execute(sql).fetchall()


class Help(Case):
    OPTIONS = {
        "run": ["--trace", "--format", "--rate-scale", "--repeat", "--window-s", "--max-requests",
                "--columns", "--failed", "--max-concurrency", "--request-rate", "--burstiness", "--rate-profile", "--sessions",
                "--model", "--gpu", "--replicas", "--tensor-parallel-size", "--dtype",
                "--weight-dtype", "--kv-dtype", "--preset", "vllm-0.19",
                "--engine-args", "--policy", "--router", "--max-num-seqs",
                "--max-num-batched-tokens", "--block-size", "--gpu-memory-utilization",
                "--num-gpu-blocks-override", "--max-model-len", "--cost", "--cost-coefficients",
                "--speed-of-light", "--slo", "--goodput", "--sample-interval-s", "--measure-s",
                "--seed", "--label", "--catalog", "--no-coast", "--no-progress", "--check",
                "--no-requests", "--sample-requests", "--steps", "--price", "--pue", "--gco2-per-kwh",
                "--no-self-check", "--json", "-o, --output", "chunked", "round_robin", "azure"],
        "estimate": ["--model", "--gpu", "--prompt", "--output", "--batch", "--speed-of-light",
                     "--tensor-parallel-size", "--weight-dtype", "--json", "--explain"],
        "catalog": ["list", "show", "--json", "--catalog", "config.json"],
        "trace": ["stat", "--format", "--json", "azure", "jsonl", "export", "--perfetto", "--run",
                  "--from-s", "--to-s", "--replica", "convert", "--columns", "--failed",
                  "--trace-block-size", "--svg", "--memory-mib", "--to", "-o, --output", "weka"],
        "query": ["--json", "--csv", "SELECT"],
        "compare": ["--run", "--with", "--by", "--columns", "--json", "ttft_ms", "request_id", "vLLM"],
    }

    def test_each_command_tells_its_options_and_examples(self):
        for command, words in self.OPTIONS.items():
            for args in ([command, "--help"], [command, "-h"], ["help", command]):
                text = self.ok(*args)
                self.assertIn("usage: rooftrace " + command, text)
                self.assertRegex(text, r"\nexamples:\n  rooftrace " + command)
                for word in words:
                    self.assertIn(word, text, args)
                self.assertLessEqual(max(map(len, text.splitlines())), 120)

    def test_overview_names_every_command(self):
        for args in (["--help"], ["-h"], ["help"]):
            text = self.ok(*args)
            for command in [*self.OPTIONS, "version"]:
                self.assertRegex(text, rf"\n  {command} ")

    def test_version(self):
        for args in (["version"], ["--version"]):
            self.assertRegex(self.ok(*args), r"^rooftrace \d+\.\d+\.\d+\n$")

    def test_examples_of_the_help_work(self):
        """Every example that needs no file of the user's own runs as it stands."""
        for command in ("run", "estimate", "catalog", "trace"):
            text = self.ok(command, "--help").split("\nexamples:\n")[1].replace("\\\n", " ")
            for line in text.splitlines():
                if re.search(r"path/to|conversations|log\.csv|^\s*$", line):
                    continue
                words = line.split()
                self.assertEqual(words[0], "rooftrace")
                folder = os.path.dirname(self.db)  # what is written stays out of the checkout
                words = [self.db if w == "sample.db" else
                         os.path.join(folder, w) if before == "-o" else w
                         for before, w in zip(words, words[1:])]
                self.ok(*words, cwd=ROOT)


class Usage(Case):
    def test_wrong_command_lines(self):
        cases = [
            ([], "expected a command"),
            (["rnu"], 'unknown command "rnu", did you mean "run"?'),
            (["help", "estimat"], 'did you mean "estimate"?'),
            (["run", "--trase", "x"], "--trase: unknown option, did you mean --trace?"),
            (["run", "--frob"], "--frob: unknown option, see rooftrace run --help"),
            (["run"], "--trace is missing"),
            (["run", "--trace", "x", "--model", "m"], "--gpu is missing"),
            (["run", "a.json", "b.json"], 'read also "b.json"'),
            (["run", "--replicas", "0"], '--replicas: expected an integer from 1 to 65536, read "0"'),
            (["run", "--rate-scale", "nan"], '--rate-scale: expected a number'),
            (["run", "--max-num-seqs"], "--max-num-seqs: expected a value (N)"),
            (["estimate"], "--model is missing"),
            (["estimate", "--model", "llama-3.1-8b"], "--gpu is missing"),
            (["estimate", *FLEET, "--weight-dtype", "fp32"], '--weight-dtype: unknown type "fp32"'),
            (["estimate", *FLEET, "--prompt", "0"], "--prompt: expected an integer from 1"),
            (["estimate", *FLEET, "word"], "expected options only"),
            (["catalog", "lst"], 'expected list or show, read "lst"'),
            (["catalog", "list", "cars"], 'expected models or gpus, read "cars"'),
            (["catalog", "show"], "expected catalog show NAME|FILE"),
            (["catalog", "show", "h100-smx"], 'did you mean "h100-sxm"?'),
            (["trace"], "expected trace stat FILE"),
            (["trace", "stats", "x"], 'unknown "stats"'),
            (["trace", "stat", "x", "--perfetto", "o"], "--perfetto is an option of trace export"),
            (["trace", "export", "x", "--format", "csv"], "--format is an option of trace stat"),
            (["trace", "convert", "x", "--json"], "--json is an option of trace stat"),
            (["trace", "convert", "x", "--to", "csv"], 'unknown form of a trace "csv"'),
            (["trace", "stat", "x", "--failed", "maybe"], "--failed: expected keep or drop"),
            (["trace", "export", "x.db"], "--perfetto is missing"),
            (["trace", "export", "x.db", "--perfetto"], "--perfetto: expected a value (OUT.json)"),
            (["trace", "export", "x.db", "--perfetto", "o", "--run", "0"], "--run: expected an integer"),
            (["trace", "export", "x.db", "--perfetto", "o", "--from-s", "-1"], "--from-s"),
            (["trace", "export", "x.db", "--perfetto", "o", "--from-s", "nan"], "--from-s: expected a"),
            (["trace", "export", "x.db", "--perfetto", "o", "--from-s", "5", "--to-s", "5"],
             "--to-s: expected more than --from-s, 5, read 5"),
            (["trace", "export", "x.db", "--perfetto", "o", "--replica", "65536"],
             "--replica: expected an integer from 0 to 65535"),
            (["query", "x.db"], "expected a database and SQL in quotes"),
        ]
        for args, text in cases:
            self.fails(2, text, *args)

    def test_options_of_a_run_that_are_wrong_in_value(self):
        base = ["--trace", SAMPLE]
        cases = [
            ([*base, "--model", "llama-3.1-9b", "--gpu", "h100-sxm"], 'did you mean "llama-3.1-8b"?'),
            ([*base, "--model", "llama-3.1-8b", "--gpu", "h100-sxn"], 'did you mean "h100-sxm"?'),
            ([*base, *FLEET, "--policy", "chuncked"], 'did you mean "chunked"?'),
            ([*base, *FLEET, "--preset", "vllm-0.18"], 'did you mean "vllm-0.19"?'),
            ([*base, *FLEET, "--engine-args", "vllm serve 'x"], "the quote ' at character 12"),
            ([*base, *FLEET, "--engine-args", "vllm serve --max-num-seqs many --port 1"],
             '--engine-args: --max-num-seqs: expected an integer from 1 to 1048576, read "many"'),
            ([*base, "--gpu", "h100-sxm", "--engine-args", "vllm serve meta-llama/Llama-3.1-9B -q x"],
             'did you mean "meta-llama/Llama-3.1-8B"?'),
            ([*base, "--gpu", "h100-sxm", "--engine-args=--max-num-seqs 5"], "--model is missing"),
            ([*base, *FLEET, "--router", "round-robin"], 'did you mean "round_robin"?'),
            ([*base, *FLEET, "--format", "azur"], 'did you mean "azure"?'),
            ([*base, *FLEET, "--kv-dtype", "fp9"], "kv_dtype"),
            ([*base, *FLEET, "--window-s", "5"], "--window-s: expected FROM:TO in seconds"),
            ([*base, *FLEET, "--window-s", "5:1"], "--window-s: expected FROM:TO"),
            ([*base, *FLEET, "--window-s=-5:1"], "window_s"),
            ([*base, *FLEET, "--measure-s", "a:b"], "--measure-s: expected FROM:TO"),
            ([*base, *FLEET, "--goodput", "ttft:fast"], '--goodput: expected ttft:MS'),
            ([*base, *FLEET, "--slo", "tftt:5"], '--slo: expected ttft:MS'),
            *(([*base, *FLEET, "--slo", f"ttft:{limit}"], '--slo: expected ttft:MS')
              for limit in ("5m", "5mss", "ms", "5sm", "0s", "nan", "5 s", "1e400s", "9" * 70)),
            ([*base, *FLEET, "--cost", "linear"], "coefficients_s"),
            ([*base, *FLEET, "--cost", "roof"], "cost.kind"),
            ([*base, *FLEET, "--cost-coefficients", "1,2,3"], "--cost-coefficients: expected b0"),
            ([*base, *FLEET, "--cost-coefficients", "1,2,3,4,x"], "--cost-coefficients: expected"),
            ([*base, *FLEET, "--tensor-parallel-size", "3"], "tensor_parallel"),
            ([*base, *FLEET, "--catalog", self.folder / "none"], "none"),
            ([*base, *FLEET, "--sample-requests", "0"], "--sample-requests: expected a number from 1e-09"),
            ([*base, *FLEET, "--sample-requests", "1.5"], "--sample-requests: expected a number"),
            ([*base, *FLEET, "--sample-requests", "nan"], "--sample-requests: expected a number"),
            ([*base, *FLEET, "--sample-requests", "x"], "--sample-requests: expected a number"),
            ([*base, *FLEET, "--no-requests=1"], "--no-requests: takes no value"),
            ([*base, *FLEET, "--steps=1"], "--steps: takes no value"),
            ([*base, *FLEET, "--no-requests", "--sample-requests", "0.5"], "expected one of them"),
        ]
        for args, text in cases:
            with self.subTest(args=args):
                run = rooftrace("run", *args, "-o", self.db)
                self.assertIn(run.returncode, (1, 2) if "--catalog" in args else (2,), run.stderr)
                self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
                self.assertIn(text, run.stderr)
                self.assertFalse(self.db.exists())

    def test_wrong_scenario_files(self):
        good = json.loads((ROOT / "traces/sample.scenario.json").read_text())
        cases = [
            ("{", "s.json:1:"),
            ('{"workload": {"trace": "t.csv"}, "workload": 1}', "workload"),
            (json.dumps({**good, "modle": 1}), 'unknown key "modle", did you mean "model"?'),
            (json.dumps({**good, "router": "x"}), "$.router"),
            (json.dumps({**good, "seed": -1}), "$.seed: expected an integer from 0"),
        ]
        for text, message in cases:
            path = self.file("s.json", text)
            self.assertIn(str(path), self.run_fails(2, message, path))
        self.run_fails(1, "nowhere.json", self.folder / "nowhere.json")

    def test_unknown_names_with_control_characters_stay_one_line(self):
        self.run_fails(2, "unknown GPU", "--trace", SAMPLE, "--model", "llama-3.1-8b", "--gpu",
                       "a\nb\x1b[31m")


class BadTraces(Case):
    def bad(self, text, content, *more, name="t.csv"):
        path = self.file(name, content)
        line = self.run_fails(1, text, "--trace", path, *FLEET, *more)
        self.assertIn(str(path), line)
        self.fails(1, text, "trace", "stat", path, *more)

    def test_missing(self):
        self.run_fails(1, "nowhere.csv", "--trace", self.folder / "nowhere.csv", *FLEET)
        self.run_fails(1, str(self.folder), "--trace", self.folder, *FLEET)

    def test_empty_or_not_a_trace(self):
        self.bad("t.csv", "")
        self.bad("t.csv", "\n\n")
        self.bad("t.csv", HEADER)
        self.bad("t.csv", bytes(range(256)) * 50)
        self.bad("t.csv", "when,what\n1,2\n")
        self.bad("t.csv.gz", gzip.compress(b""), name="t.csv.gz")
        self.bad("t.csv.gz", gzip.compress(bytes(range(256)) * 50), name="t.csv.gz")
        self.bad("prompt_tokens", "arrival_s,prompt_token,output_tokens\n1,2,3\n", "--format", "csv")

    def test_fields(self):
        rows = HEADER + "0.5,10,10\n"
        for row, text in [("1,2\n", ":3:4: expected 3 fields"), ("1,,2\n", ":3:3: prompt_tokens"),
                          (",2,2\n", ":3:1: arrival_s"), ("1,2,\n", ":3:5: output_tokens"),
                          ("1,2,3,4\n", ":3:7: expected 3 fields"),
                          ("1,-2,3\n", ":3:3: prompt_tokens"), ("1,2,x\n", ":3:5: output_tokens"),
                          ("1,nan,3\n", ":3:3: prompt_tokens"), ("nan,2,3\n", ":3:1: arrival_s"),
                          ("inf,2,3\n", ":3:1"), ("-1,2,3\n", ":3:1"), ("1e300,2,3\n", ":3:1"),
                          ("1,99999999999999999999,3\n", ":3:3"), ("1,1099511627777,3\n", ":3:3"),
                          ("1,2.5,3\n", ":3:3")]:
            self.bad(text, rows + row)

    def test_azure_fields(self):
        stamp = "2023-11-16 18:01:51.7447600"
        rows = f"TIMESTAMP,ContextTokens,GeneratedTokens\n{stamp},1,1\n"
        for row, text in [("yesterday,1,1\n", ":3:1: TIMESTAMP"), (f"{stamp},1\n", ":3:30: expected 3"),
                          (",1,1\n", ":3:1: TIMESTAMP"), (f"{stamp},,1\n", ":3:29: ContextTokens"),
                          ("2023-13-16 18:01:51,1,1\n", ":3:1: TIMESTAMP"),
                          (f"{stamp},nan,1\n", ":3:29: ContextTokens"),
                          (f"{stamp},1,-1\n", ":3:31: GeneratedTokens"),
                          (f"{stamp},1,1e400\n", ":3:31: GeneratedTokens")]:
            self.bad("t.csv" + text, rows + row)

    def test_json_fields(self):
        good = '{"arrival_s": 0.5, "prompt_tokens": 1, "output_tokens": 1}\n'
        for row, text in (
                ('{"arrival_s": 1, "prompt_tokens": 1}', '2:1: expected the key "output_tokens"'),
                ('{"arrival_s": 1', "2:16: expected the whole object on one line"), ("[]", "2:1: "),
                ('{"arrival_s": 1, "prompt_tokens": -1, "output_tokens": 1}', "2:35: prompt_tokens"),
                ('{"arrival_s": 1, "prompt_tokens": 1e99, "output_tokens": 1}', "2:35: prompt_tokens"),
                ('{"arrival_s": NaN, "prompt_tokens": 1, "output_tokens": 1}', "2:15: "),
                ('{"arrival_s": 1e300, "prompt_tokens": 1, "output_tokens": 1}', "2:15: arrival_s"),
                ('{"arrival_s": "x", "prompt_tokens": 1, "output_tokens": 1}', "2:15: arrival_s")):
            self.bad("t.jsonl:" + text, good + row + "\n", name="t.jsonl")
        for ids, text in (("[-1]", "2:70: hash_ids"), ('[1, "a"]', "2:73: hash_ids")):
            row = f'{{"timestamp": 1, "input_length": 9, "output_length": 9, "hash_ids": {ids}}}\n'
            self.bad("t.jsonl:" + text, row.replace(ids, "[1]") + row, name="t.jsonl")

    def test_truncated_compression(self):
        """Where the end is missing before a row has finished, nothing is touched."""
        plain = (HEADER + "".join(f"{i / 1000},{i % 97 + 1},5\n" for i in range(8))).encode()
        for name, packed in packed_both_ways(plain):
            self.ok("trace", "stat", self.file(name, packed))
            for cut in (1, 5, len(packed) // 2):
                path = self.file(name, packed[:len(packed) - cut])
                self.fails(1, "cut off", "trace", "stat", path)
                line = self.run_fails(1, "cut off", "--trace", path, *SLOW)
                self.assertIn(f"{path}:", line)

    def test_truncated_compression_of_a_long_trace(self):
        """Rows that had finished before the data ends are kept, the run is marked failed."""
        plain = (HEADER + "".join(f"{i},1,1\n" for i in range(3 * SORT_WINDOW))).encode()
        for name, packed in packed_both_ways(plain):
            path = self.file(name, packed[:len(packed) - 100])
            line = self.fails(1, "cut off", "run", "--trace", path, *SLOW, "-o", self.db)
            self.assertIn(f"{path}:", line)
            self.assertEqual(self.rows("SELECT status FROM run"), [("failed",)])
            rows = dict(self.rows("SELECT status, count(*) FROM request GROUP BY status"))
            self.assertGreater(rows["ok"], SORT_WINDOW)
            self.db.unlink()

    def test_time_going_back_beyond_the_window(self):
        """The row that comes too late is named, and what was served before it is kept."""
        rows = [f"{i},1,1\n" for i in range(10, 2 * SORT_WINDOW)] + ["1,1,1\n"]
        path = self.file("t.csv", HEADER + "".join(rows))
        line = self.fails(1, "sort", "run", "--trace", path, *SLOW, "-o", self.db)
        self.assertIn(f"{path}:{len(rows) + 1}:1: ", line)
        self.assertEqual(self.rows("SELECT status FROM run"), [("failed",)])
        self.assertGreater(self.rows("SELECT count(*) FROM request WHERE status = 'ok'")[0][0], 1000)

    def test_rows_out_of_order_within_the_window_are_sorted_and_told(self):
        path = self.file("t.csv", HEADER + "2,1,1\n1,0,1\n3,1,0\n")
        run = rooftrace("run", "--trace", path, *SLOW, "-o", self.db)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("1 prompts and 1 outputs of 0 tokens taken as 1", run.stderr)
        self.assertIn("1 rows came out of time order", run.stderr)
        self.assertEqual(self.rows("SELECT request_id FROM request ORDER BY arrival_ns"),
                         [(1,), (0,), (2,)])

    def test_a_workload_without_requests(self):
        self.run_fails(1, "no request", "--trace", SAMPLE, *SLOW, "--window-s", "100000:100001")

    def test_an_error_far_into_the_trace_keeps_the_rows_before_it(self):
        good = 2 * SORT_WINDOW
        text = HEADER + "".join(f"{i / 100},1,1\n" for i in range(good)) + "oops,1,1\n"
        path = self.file("t.csv", text)
        line = self.fails(1, f"t.csv:{good + 2}:1", "run", "--trace", path, *SLOW, "-o", self.db)
        status, message, requests = self.rows("SELECT status, message, requests FROM run")[0]
        self.assertEqual(status, "failed")
        self.assertIn(message, line)
        self.assertIn(f"(the rows before it are in {self.db}, run 1)", line)
        rows = self.rows("SELECT status, count(*) FROM request GROUP BY status")
        self.assertGreater(dict(rows)["ok"], 1000)
        self.assertEqual(sum(n for _, n in rows), requests)


class BadOutputs(Case):
    def setUp(self):
        super().setUp()
        self.args = ["run", "--trace", SAMPLE, *SLOW, "--max-requests", "50", "-o"]

    def test_not_a_database(self):
        for content in ("hello, this is my diary\n" * 100, b"SQLite format 3\0" + bytes(100)):
            path = self.file("diary.txt", content)
            before = path.read_bytes()
            self.fails(1, str(path), *self.args, path)
            self.assertEqual(path.read_bytes(), before)

    def test_somebody_elses_database(self):
        with database(self.db) as db:
            db.execute("CREATE TABLE mine (x)")
            db.commit()
        before = self.db.read_bytes()
        self.fails(1, str(self.db), *self.args, self.db)
        self.assertEqual(self.db.read_bytes(), before)

    def test_another_schema_version(self):
        self.ok(*self.args, self.db)
        with database(self.db) as db:
            db.execute("PRAGMA user_version = 99")
            db.commit()
        before = self.db.read_bytes()
        self.fails(1, "99", *self.args, self.db)
        self.assertEqual(self.db.read_bytes(), before)
        self.fails(1, "99", "query", self.db, "SELECT 1")

    def test_locked(self):
        self.ok(*self.args, self.db)
        with database(self.db) as db:
            db.execute("BEGIN EXCLUSIVE")
            self.fails(1, "locked", *self.args, self.db)
        self.assertEqual(self.rows("SELECT count(*) FROM run"), [(1,)])

    def test_unwritable(self):
        self.fails(1, "nowhere", *self.args, self.folder / "nowhere" / "out.db")
        self.fails(1, str(self.folder), *self.args, self.folder)
        self.fails(1, "/dev/full", *self.args, "/dev/full")

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_unwritable_by_permission(self):
        self.folder.chmod(0o500)
        self.addCleanup(self.folder.chmod, 0o700)
        self.fails(1, str(self.db), *self.args, self.db)

    def test_a_full_disk(self):
        """A limit on the size of files stands for the disk: writing fails in the middle of the run."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

        line = self.fails(1, str(self.db), "run", "--trace", SAMPLE, *SLOW, "--repeat", "20", "-o",
                          self.db, preexec_fn=limit)
        self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])
        status, message = self.rows("SELECT status, message FROM run")[0]
        self.assertEqual(status, "failed")
        self.assertIn(message, line)

    def test_standard_output_that_is_full(self):
        with open("/dev/full", "w") as full:
            for args in (["catalog"], ["--help"], ["trace", "stat", SAMPLE], ["version"]):
                run = subprocess.run([ROOFTRACE, *map(str, args)], stdout=full, text=True,
                                     stderr=subprocess.PIPE)
                self.assertEqual(run.returncode, 1, args)
                self.assertEqual(run.stderr, "rooftrace: cannot write to standard output\n")


class Runs(Case):
    def test_what_does_not_fit_says_what_would(self):
        line = self.run_fails(2, "does not fit", "--trace", SAMPLE, "--model", "llama-3.1-70b",
                              "--gpu", "h100-sxm")
        self.assertRegex(line, r"GB missing.*tensor_parallel \d+ is the smallest that fits")

    def test_a_request_that_can_never_fit_is_rejected_and_the_run_goes_on(self):
        path = self.file("t.csv", HEADER + "0,10,5\n1,1000,5\n2,10,5\n")
        self.ok("run", "--trace", path, *FLEET, "--num-gpu-blocks-override", "4", "-o", self.db)
        rows = self.rows("SELECT status, reason FROM request ORDER BY request_id")
        self.assertEqual(rows, [("ok", None), ("rejected", "kv"), ("ok", None)])

    def test_the_pool_tells_its_number_formats(self):
        path = self.file("t.csv", HEADER + "0,10,5\n")
        for model, formats in (("gpt-oss-20b", ("bf16", "mxfp4", "bf16")), ("llama-3.1-8b", ("bf16",) * 3)):
            self.ok("run", "--trace", path, "--model", model, "--gpu", "h100-sxm", "-o", self.db)
            self.assertEqual(self.rows("SELECT weight_dtype, expert_dtype, kv_dtype FROM pool "
                                       "ORDER BY run_id DESC LIMIT 1"), [formats])

    def test_the_table_and_the_last_line(self):
        run = rooftrace("run", "--trace", SAMPLE, *FLEET, "-o", self.db)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("Serving Benchmark Result", run.stdout)
        self.assertIn("Mean TTFT (ms):", run.stdout)
        format_note = f"rooftrace: {SAMPLE}: format csv, told by its first bytes\n"
        self.assertEqual(run.stderr, f"{format_note}rooftrace: {self.db}, run 1\n")  # no progress
        run = rooftrace("run", "--trace", SAMPLE, *FLEET, "-o", self.db, "--label", "again")
        self.assertEqual(run.stderr, f"{format_note}rooftrace: {self.db}, run 2\n")
        self.assertEqual(self.rows("SELECT label FROM run"), [(None,), ("again",)])

    def test_the_default_output(self):
        self.ok("run", "--trace", SAMPLE, *SLOW, "--max-requests", "5", cwd=self.folder)
        self.assertTrue((self.folder / "rooftrace.db").exists())

    def test_json_has_vllms_keys(self):
        result = json.loads(self.ok("run", "--trace", SAMPLE, *FLEET, "--goodput", "ttft:500",
                                    "tpot:50", "--json", "-o", self.db))
        for key in ("duration", "completed", "total_input_tokens", "total_output_tokens",
                    "request_throughput", "output_throughput", "mean_ttft_ms", "p99_tpot_ms"):
            self.assertIsInstance(result[key], (int, float), key)
        self.assertEqual(self.rows("SELECT slo_ttft_s, slo_tpot_s, slo_e2e_s FROM run"),
                         [(0.5, 0.05, None)])

    def test_units_of_objectives(self):
        for text in ("ttft:1500", "ttft:1500ms", "ttft:1.5s", "ttft:15e-1s"):
            slo = json.loads(self.ok("run", "--check", "--trace", SAMPLE, *FLEET, "--slo", text))["slo"]
            self.assertEqual(slo["ttft_s"], 1.5, text)

    def test_drafts_reach_the_scenario(self):
        def printed(*options):
            return json.loads(self.ok("run", "--check", "--trace", SAMPLE, "--model", "llama-3.1-8b",
                                      "--gpu", "h100-sxm", *options))["pools"][0]["engine"]
        engine = printed("--speculative-tokens", "3", "--speculative-acceptance", "0.8,0.5,0.25",
                         "--speculative-model", "llama-3.2-1b")
        self.assertEqual(engine["speculative"]["draft_model"]["name"], "llama-3.2-1b")
        self.assertEqual(engine["speculative"]["acceptance"], [0.8, 0.5, 0.25])
        self.assertIs(engine["prefix_caching"], False)
        engine = printed("--speculative-tokens", "2", "--speculative-acceptance", "0.8",
                         "--draft-s-per-token", "0.001")
        self.assertEqual(engine["speculative"], {
            "draft_tokens": 2, "acceptance": [0.8, 0.8], "draft_s_per_token": 0.001})

    def test_routing_options_reach_the_scenario(self):
        printed = json.loads(self.ok(
            "run", "--check", "--trace", SAMPLE, "--model", "llama-3.1-8b", "--gpu", "h100-sxm",
            "--router", "weighted", "--router-weights", "kv=2,prefix=0.5",
            "--router-view-interval-s", "0.25", "--admit-requests-per-s", "5",
            "--admit-burst-requests", "7", "--admit-prompt-tokens-per-s", "900",
            "--queue-limit", "11", "--shed-late", "--timeout-s", "30", "--cancel-share", "0.1",
            "--cancel-mean-s", "4"))
        self.assertEqual((printed["router"], printed["router_view_interval_s"]), ("weighted", 0.25))
        self.assertEqual(printed["router_weights"], {
            "outstanding": 0, "waiting": 0, "tokens": 0, "kv": 2, "prefix": 0.5})
        self.assertEqual(printed["admission"], {
            "requests_per_s": 5, "burst_requests": 7, "prompt_tokens_per_s": 900,
            "burst_prompt_tokens": 900, "queue_limit": 11, "shed_late": True})
        self.assertEqual((printed["timeout_s"], printed["cancel"]),
                         (30, {"share": 0.1, "mean_s": 4}))

    def test_weights_mean_the_router_that_has_them(self):
        weights = ["--trace", SAMPLE, "--model", "llama-3.1-8b", "--gpu", "h100-sxm", "--router-weights", "kv=2"]
        self.assertEqual(json.loads(self.ok("run", "--check", *weights))["router"], "weighted")
        self.run_fails(2, '--router-weights: expected router weighted, read "round_robin"', *weights,
                       "--router", "round_robin")

    def test_who_leaves_and_who_is_turned_away_is_counted(self):
        trace = self.folder / "models.csv"
        trace.write_text("arrival_s,prompt_tokens,output_tokens,model,class\n" + "".join(
            f"{i * 0.01},{200 + i},{50 + i},{model},{name}\n" for i, (model, name) in enumerate(
                [("small", "chat"), ("llama-3.1-70b", "batch"), ("", "chat"), ("nobody", "chat")] * 25)))
        scenario = self.folder / "fleet.json"
        pool = {"gpu": "h100-sxm", "tensor_parallel": 4}
        scenario.write_text(json.dumps({
            "workload": {"trace": "models.csv"}, "router": "power_of_two", "timeout_s": 1.2,
            "cancel": {"share": 0.3, "mean_s": 0.5}, "admission": {"queue_limit": 3},
            "slo": {"ttft_s": 0.2}, "classes": [{"name": "batch", "slo": {"ttft_s": 5}}],
            "pools": [{**pool, "name": "small", "model": "llama-3.1-8b", "served_models": ["small"],
                       "engine": {"max_num_seqs": 4}},
                      {**pool, "name": "big", "model": "llama-3.1-70b"}]}))
        self.ok("run", scenario, "-o", self.db)
        counts = dict(self.rows("SELECT coalesce(reason, status), count(*) FROM request GROUP BY 1"))
        self.assertEqual(counts["model"], 25)
        self.assertEqual(sum(counts.values()), 100)
        self.assertTrue(all(counts.get(name, 0) > 0 for name in
                            ("ok", "timeout", "cancelled", "admission", "model")), counts)
        self.assertEqual(self.rows("SELECT completed, rejected, timed_out, cancelled FROM summary"), [
            (counts["ok"], 25 + counts["admission"], counts["timeout"], counts["cancelled"])])
        self.assertEqual(self.rows("SELECT DISTINCT pool FROM request WHERE class = 'batch'"),
                         [("big",)])
        self.assertEqual(self.rows("SELECT count(*) FROM request WHERE pool IS NULL"), [(25,)])
        self.assertEqual(self.rows("SELECT class, slo_ttft_s FROM slo ORDER BY class"),
                         [(None, 0.2), ("batch", 5.0), ("chat", 0.2)])

    def test_every_option_reaches_the_scenario(self):
        printed = json.loads(self.ok(
            "run", "--check", "--trace", SAMPLE, "--format", "csv", "--rate-scale", "2.5",
            "--repeat", "3", "--window-s", "1:500.5", "--max-requests", "7", "--trace-block-size",
            "512", "--failed", "drop", "--max-concurrency", "64", "--sessions", "trace",
            "--model", "llama-3.1-70b", "--gpu", "h100-sxm", "--replicas", "2",
            "--tensor-parallel-size", "4", "--dtype", "fp16", "--weight-dtype", "fp8",
            "--kv-dtype", "fp8", "--router", "round_robin", "--policy", "static",
            "--max-num-seqs", "33", "--max-num-batched-tokens", "4096", "--block-size", "32",
            "--gpu-memory-utilization", "0.85", "--num-gpu-blocks-override", "999",
            "--max-model-len", "5000", "--queue-order", "shortest_prompt", "--aging-s", "7.5",
            "--offload-bytes", "0", "--preemption", "swap", "--cpu-kv-bytes", "123456789", "--num-cpu-blocks", "55",
            "--slo", "ttft:500", "--goodput", "tpot:50", "e2el:9000",
            "--measure-s", "10,20", "--sample-interval-s", "0.25", "--frontend-s", "0.001",
            "--seed", "42"))
        pool = printed["pools"][0]
        self.assertEqual(printed["workload"], {
            "trace": str(SAMPLE), "format": "csv", "rate_scale": 2.5, "repeat": 3,
            "window_s": [1, 500.5], "max_requests": 7, "block_size": 512,
            "failed": "drop", "max_concurrency": 64, "sessions": "trace"})
        self.assertEqual((pool["gpu"]["name"], pool["model"]["name"]), ("h100-sxm", "llama-3.1-70b"))
        self.assertEqual((pool["replicas"], pool["tensor_parallel"]), (2, 4))
        self.assertEqual((pool["weight_dtype"], pool["activation_dtype"], pool["kv_dtype"]),
                         ("fp8", "fp16", "fp8"))
        engine = {key: pool["engine"][key] for key in (
            "policy", "max_num_seqs", "max_num_batched_tokens", "block_size",
            "gpu_memory_utilization", "num_gpu_blocks", "max_model_len", "queue_order", "aging_s",
            "preemption", "cpu_kv_bytes", "num_cpu_blocks", "offload_bytes")}
        self.assertEqual(engine, {
            "policy": "static", "max_num_seqs": 33, "max_num_batched_tokens": 4096,
            "block_size": 32, "gpu_memory_utilization": 0.85, "num_gpu_blocks": 999,
            "max_model_len": 5000, "queue_order": "shortest_prompt", "aging_s": 7.5,
            "preemption": "swap", "cpu_kv_bytes": 123456789, "num_cpu_blocks": 55,
            "offload_bytes": 0})
        self.assertEqual(printed["slo"], {"ttft_s": 0.5, "tpot_s": 0.05, "e2e_s": 9})
        self.assertEqual((printed["router"], printed["measure_s"], printed["sample_interval_s"],
                          printed["frontend_s"], printed["seed"]),
                         ("round_robin", [10, 20], 0.25, 0.001, 42))

    def test_loads_reach_the_scenario(self):
        def load(*options):
            printed = json.loads(self.ok("run", "--check", "--trace", SAMPLE, *FLEET, *options))
            path = self.file("again.json", json.dumps(printed))
            again = json.loads(self.ok("run", "--check", path))
            self.assertEqual(again["workload"], printed["workload"])
            keep = ("request_rate", "burstiness", "rate_profile", "max_concurrency")
            return {k: v for k, v in printed["workload"].items() if k in keep}

        self.assertEqual(load(), {})
        self.assertEqual(load("--request-rate", "0.1", "--max-concurrency", "3"),
                         {"request_rate": 0.1, "burstiness": 1, "max_concurrency": 3})
        self.assertEqual(load("--request-rate", "inf"), {"request_rate": "inf", "burstiness": 1})
        self.assertEqual(load("--request-rate", "2", "--burstiness", "inf"),
                         {"request_rate": 2, "burstiness": "inf"})
        for text, profile in (
                ("steps:0=2,60=8.5", {"shape": "steps", "points": [[0, 2], [60, 8.5]]}),
                ("linear:0=0,6e1=8,period_s=90.5",
                 {"shape": "linear", "points": [[0, 0], [60, 8]], "period_s": 90.5}),
                ("on_off:rate=20,on_s=10,off_s=50",
                 {"shape": "on_off", "rate": 20, "off_rate": 0, "on_s": 10, "off_s": 50}),
                ("diurnal:rate=5,amplitude=0.8",
                 {"shape": "diurnal", "rate": 5, "amplitude": 0.8, "period_s": 86400, "peak_s": 0})):
            self.assertEqual(load("--rate-profile", text), {"rate_profile": profile, "burstiness": 1})

    def test_transformations_reach_the_scenario(self):
        def workload(*options):
            printed = json.loads(self.ok("run", "--check", "--trace", SAMPLE, *FLEET, *options))
            again = json.loads(self.ok("run", "--check", self.file("again.json", json.dumps(printed))))
            self.assertEqual(again["workload"], printed["workload"])
            plain = ("trace", "format", "repeat", "failed", "sessions")
            return {k: v for k, v in printed["workload"].items() if k not in plain}

        self.assertEqual(workload(), {"rate_scale": 1})
        self.assertEqual(workload("--time-scale", "4"), {"rate_scale": 0.25})
        self.assertEqual(workload("--head", "7"), {"rate_scale": 1, "max_requests": 7})
        self.assertEqual(workload(
            "--spread-s", "0.1", "--superpose", "4:2.5", "--prefix-roots", "3", "--keep-share", "0.1",
            "--resample", "99", "--max-gap-s", "60", "--prompt-scale", "1.5", "--output-scale", "0.5",
            "--min-prompt-tokens", "2", "--max-prompt-tokens", "9", "--min-output-tokens", "3",
            "--max-output-tokens", "8", "--max-context-tokens", "12", "--over-context", "drop"), {
                "rate_scale": 1, "spread_s": 0.1, "superpose": {"copies": 4, "shift_s": 2.5},
                "prefix_roots": 3, "keep_share": 0.1, "resample": 99, "max_gap_s": 60,
                "prompt_scale": 1.5, "output_scale": 0.5, "min_prompt_tokens": 2,
                "max_prompt_tokens": 9, "min_output_tokens": 3, "max_output_tokens": 8,
                "max_context_tokens": 12, "over_context": "drop"})
        file = self.file("s.json", json.dumps({
            "workload": {"trace": str(SAMPLE), "time_scale": 2}, "model": "llama-3.1-8b",
            "pools": [{"gpu": "h100-sxm"}]}))
        printed = json.loads(self.ok("run", "--check", file, "--rate-scale", "3"))
        self.assertEqual(printed["workload"]["rate_scale"], 3)  # in the place of the file's inverse

    def test_wrong_transformations(self):
        for options, text in (
                (["--rate-scale", "2", "--time-scale", "2"], "--rate-scale and --time-scale: expected one"),
                (["--head", "2", "--max-requests", "2"], "--max-requests and --head: expected one"),
                (["--superpose", "4"], '--superpose: expected N:SHIFT_S, copies and seconds between their beginnings, read "4"'),
                (["--superpose", "x:1"], "$.workload.superpose.copies"),
                (["--superpose", "65:1"], "$.workload.superpose.copies"),
                (["--superpose", "2:-1"], "$.workload.superpose.shift_s"),
                (["--keep-share", "1.5"], "--keep-share"),
                (["--prefix-roots", "2"], "$.workload.prefix_roots: expected copies"),
                (["--over-context", "drop"], "expected max_context_tokens beside it"),
                (["--over-context", "dorp", "--max-context-tokens", "9"], 'did you mean "drop"'),
                (["--request-rate", "1", "--max-gap-s", "2"], "$.workload.max_gap_s: has no meaning"),
                (["--request-rate", "1", "--time-scale", "2"], "time_scale: has no meaning")):
            self.run_fails(2, text, "--trace", SAMPLE, *FLEET, *options)
        self.run_fails(2, "-: expected a file that can be read 2 times", "--trace", "-", *FLEET,
                       "--superpose", "2:1", input=SAMPLE.read_text())

    def test_mixed_and_cut(self):
        """Two traces with classes of their own, and what the limits did, in one line each."""
        rows = HEADER + "".join(f"{i},{100 + i},10\n" for i in range(20))
        scenario = {"workload": {"mix": [
            {"trace": str(self.file("a.csv", rows)), "class": "chat", "superpose": {"copies": 2, "shift_s": 0.5}},
            {"trace": str(self.file("b.csv", rows)), "class": "code", "start_s": 3.25, "max_requests": 5}],
            "max_context_tokens": 125}, "model": "llama-3.1-8b", "pools": [{"gpu": "h100-sxm"}]}
        path = self.file("s.json", json.dumps(scenario))
        run = rooftrace("run", path, "-o", self.db)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("8 requests were cut to max_context_tokens", run.stderr)
        with database(self.db) as db:
            self.assertEqual(db.execute(
                "SELECT class, count(*), min(arrival_s), max(prompt_tokens) FROM requests GROUP BY 1 ORDER BY 1"
            ).fetchall(), [("chat", 40, 0, 115), ("code", 5, 3.25, 104)])
            stored, form = db.execute("SELECT scenario, trace_format FROM run").fetchone()
        self.assertEqual(form, "mix")
        again = self.folder / "again.db"
        self.ok("run", self.file("stored.json", stored), "-o", again)
        with database(self.db) as one, database(again) as two:
            rows = "SELECT * FROM request ORDER BY 1, 2"
            self.assertEqual(one.execute(rows).fetchall(), two.execute(rows).fetchall())

    def test_wrong_loads(self):
        for options, text in (
                (["--max-concurrency", "0"], "--max-concurrency"),
                (["--request-rate", "fast"], 'expected a number or "inf", read "fast"'),
                (["--request-rate", "0"], "$.workload.request_rate: expected a number from"),
                (["--request-rate", "nan"], "request_rate"),
                (["--burstiness", "2"], "expected request_rate or rate_profile beside it"),
                (["--request-rate", "1", "--burstiness", "-1"], "$.workload.burstiness"),
                (["--request-rate", "1", "--rate-profile", "steps:0=1"], "either request_rate or"),
                (["--request-rate", "1", "--rate-scale", "2"], "rate_scale"),
                (["--rate-profile", "steps"], '$.workload.rate_profile: expected an object, read "steps"'),
                (["--rate-profile", "stairs:0=1"], 'unknown name "stairs", one of steps'),
                (["--rate-profile", "steps:0=1,5"], 'unknown key "5"'),
                (["--rate-profile", "steps:0=1,x=5"], 'unknown key "x"'),
                (["--rate-profile", "steps:1=1"], "points: expected the first at 0 s, read 1"),
                (["--rate-profile", "steps:0=1,5=0"], "a last rate above 0 without period_s"),
                (["--rate-profile", "steps:0=1,5=fast"], "$.workload.rate_profile.points[1][1]"),
                (["--rate-profile", "steps:" + "0=1," * 5000], "rate_profile: expected an object"),
                (["--rate-profile", "on_off:rate=1,on_s=5"], 'missing key "off_s"'),
                (["--sessions", "thnk"], 'did you mean "think"')):
            self.run_fails(2, text, "--trace", SAMPLE, *FLEET, *options)

    def test_options_win_over_the_file_for_every_pool(self):
        scenario = {"workload": {"trace": "t.csv", "rate_scale": 0.1}, "model": "llama-3.1-8b",
                    "pools": [{"gpu": "h100-sxm", "name": "a"}, {"gpu": "a100-sxm-80gb"}],
                    "cost": {"kind": "linear", "coefficients_s": [0.1, 0.2, 0.3, 1e-9, 0.7]}}
        path = self.file("s.json", json.dumps(scenario))
        printed = json.loads(self.ok("run", path, "--check", "--replicas", "3", "--max-num-seqs", "5"))
        self.assertEqual([p["replicas"] for p in printed["pools"]], [3, 3])
        self.assertEqual([p["engine"]["max_num_seqs"] for p in printed["pools"]], [5, 5])
        self.assertEqual([p["gpu"]["name"] for p in printed["pools"]], ["h100-sxm", "a100-sxm-80gb"])
        self.assertEqual(printed["workload"]["rate_scale"], 0.1)  # every bit of the file's numbers
        self.assertEqual(printed["cost"], scenario["cost"])
        printed = json.loads(self.ok("run", path, "--check", "--speed-of-light"))
        self.assertEqual(printed["cost"],
                         {"kind": "roofline", "speed_of_light": True, "expert_skew": 0})

    def engines(self, *args):
        """Engine sections as --check prints them, and what stderr says."""
        run = rooftrace("run", "--check", *args)
        self.assertEqual(run.returncode, 0, f"{args}: {run.stderr}")
        pools = json.loads(run.stdout)["pools"]
        return [pool["engine"] for pool in pools], pools, run.stderr

    def test_a_preset_gives_way_to_everything(self):
        """Options > --engine-args > keys of the file > preset."""
        engine = {"max_num_seqs": 11, "block_size": 32, "gpu_memory_utilization": 0.8}
        path = self.file("s.json", json.dumps({
            "workload": {"trace": "t.csv"}, "model": "llama-3.1-8b",
            "pools": [{"gpu": "h100-sxm", "engine": engine}, {"gpu": "l40s"}]}))
        (one, two), _, said = self.engines(path, "--preset", "vllm-0.19")
        self.assertEqual((one["preset"], one["max_num_seqs"], one["block_size"]), ("vllm-0.19", 11, 32))
        self.assertEqual((one["max_num_batched_tokens"], two["max_num_batched_tokens"]), (8192, 2048))
        self.assertEqual((two["max_num_seqs"], two["block_size"]), (256, 16))
        self.assertEqual(said, "rooftrace: --preset vllm-0.19: the scenario file's own keys win: "
                               "max_num_seqs, block_size, gpu_memory_utilization\n")
        (one, two), _, said = self.engines(
            path, "--preset", "vllm-0.8", "--max-num-seqs", "5", "--engine-args",
            "vllm serve meta-llama/Llama-3.1-8B --max-num-seqs 7 --block-size 8 --api-key k1 --port=1")
        for each in (one, two):
            self.assertEqual((each["max_num_seqs"], each["block_size"]), (5, 8))
            self.assertFalse(each["async_scheduling"])
        self.assertEqual((one["gpu_memory_utilization"], two["gpu_memory_utilization"]), (0.8, 0.9))
        self.assertEqual(said.splitlines()[1], "rooftrace: --engine-args: ignored: --api-key, --port")

    def test_what_is_printed_of_a_preset_repeats_it(self):
        args = ["--trace", SAMPLE, *FLEET, "--preset", "vllm-0.6"]
        (engine,), _, said = self.engines(*args)
        self.assertEqual(said, "")
        self.assertEqual((engine["policy"], engine["max_num_batched_tokens"]), ("prefill_first", 131072))
        path = self.file("printed.json", self.ok("run", "--check", *args))
        self.assertEqual(self.engines(path)[0], [engine])
        self.assertEqual(self.engines(path, "--preset", "vllm-0.6")[2], "")  # nothing stands against it

    def test_engine_args_make_a_fleet(self):
        line = ("HF_TOKEN=hf_secret vllm serve \\\n  meta-llama/Llama-3.1-8B-Instruct -tp 2 --max-model-len "
                "32K \\\n  --kv_cache_dtype=fp8 --quantization fp8 --no-enable-prefix-caching --port 8000")
        base = ["--trace", SAMPLE, "--engine-args", line]
        (engine,), (pool,), said = self.engines(*base, "--gpu", "h100-sxm")
        self.assertEqual(pool["model"]["name"], "llama-3.1-8b")
        self.assertEqual((pool["tensor_parallel"], engine["max_model_len"]), (2, 32768))
        self.assertFalse(engine["prefix_caching"])
        self.assertEqual([pool[k] for k in ("weight_dtype", "activation_dtype", "kv_dtype")], ["fp8"] * 3)
        self.assertEqual(said, "rooftrace: --engine-args: ignored: HF_TOKEN, --port\n")
        _, (pool,), _ = self.engines(*base, "--gpu", "a100-sxm-80gb")  # has no fp8 unit
        self.assertEqual((pool["weight_dtype"], pool["activation_dtype"]), ("fp8", "bf16"))
        _, (pool,), _ = self.engines(*base, "--gpu", "h100-sxm", "--activation-dtype", "fp16")
        self.assertEqual(pool["activation_dtype"], "fp16")

    def test_chunked_prefill_of_a_pasted_line(self):
        base = ["--trace", SAMPLE, *FLEET]
        for preset, option, want in (
                ([], "--enable-chunked-prefill", (None, "chunked", 8192)),
                ([], "--no-enable-chunked-prefill", (None, "prefill_first", 8192)),
                (["--preset", "vllm-0.6"], "--enable-chunked-prefill",
                 ("vllm-0.6-chunked", "sarathi", 512)),
                (["--preset", "vllm-0.6-chunked"], "--enable-chunked-prefill=False",
                 ("vllm-0.6", "prefill_first", 131072)),
                (["--preset", "vllm-0.19"], "--no-enable-chunked-prefill",
                 ("vllm-0.19", "prefill_first", 8192))):
            (engine,), _, _ = self.engines(*base, *preset, f"--engine-args={option}")
            self.assertEqual((engine.get("preset"), engine["policy"], engine["max_num_batched_tokens"]),
                             want)

    def test_a_folder_with_a_config_is_a_model(self):
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
                  "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
                  "num_hidden_layers": 30, "num_key_value_heads": 8, "vocab_size": 128256,
                  "max_position_embeddings": 131072, "torch_dtype": "bfloat16"}
        (self.folder / "mine").mkdir()
        self.file("mine/config.json", json.dumps(config))
        _, (pool,), _ = self.engines("--trace", SAMPLE, "--gpu", "h100-sxm", "--engine-args",
                                     f"vllm serve '{self.folder}/mine'")
        self.assertEqual(pool["model"]["layers"], 30)

    def test_a_model_of_the_hub_beside_a_scenario_elsewhere(self):
        self.ok("run", "--check", ROOT / "traces/sample.scenario.json", "--model",
                "meta-llama/Llama-3.1-8B-Instruct", cwd=self.folder)

    def test_paths_are_seen_from_where_they_are_written(self):
        (self.folder / "sub").mkdir()
        self.file("sub/t.csv", HEADER + "0,10,5\n")
        self.file("u.csv", HEADER + "0,11,5\n")
        scenario = {"workload": {"trace": "t.csv"}, "model": "llama-3.1-8b",
                    "pools": [{"gpu": "h100-sxm"}]}
        self.file("sub/s.json", json.dumps(scenario))
        for args, prompt in (([], 10), (["--seed", "2"], 10), (["--trace", "u.csv"], 11)):
            self.ok("run", "sub/s.json", *args, "-o", self.db, cwd=self.folder)
            self.assertEqual(self.rows("SELECT prompt_tokens FROM request ORDER BY rowid DESC")[0],
                             (prompt,))

    def test_check_runs_nothing(self):
        self.run_fails(2, "does not fit", "--check", "--trace", SAMPLE, "--model", "llama-3.1-70b",
                       "--gpu", "rtx-4090")
        self.ok("run", "--check", "--trace", "nowhere.csv", *FLEET, "-o", self.db)
        self.assertFalse(self.db.exists())

    def test_a_run_can_be_repeated_from_the_database_alone(self):
        args = ["--measure-s", "60:500", "--goodput", "ttft:300", "--max-requests", "400"]
        self.ok("run", "--trace", SAMPLE, *FLEET, *args, "-o", self.db)
        stored = self.rows("SELECT scenario FROM run")[0][0]
        again = self.folder / "again.db"
        self.ok("run", self.file("stored.json", stored), "-o", again)
        self.assertEqual(self.rows("SELECT scenario FROM run", again), [(stored,)])
        for table in ("request", "metric", "sample", "replica"):
            self.assertEqual(self.rows(f"SELECT * FROM {table}"),
                             self.rows(f"SELECT * FROM {table}", again), table)

    def test_coasting_changes_nothing(self):
        self.ok("run", "--trace", SAMPLE, *FLEET, "--max-requests", "300", "-o", self.db)
        self.ok("run", "--trace", SAMPLE, *FLEET, "--max-requests", "300", "--no-coast", "-o", self.db)
        rows = self.rows("SELECT * FROM request ORDER BY run_id, request_id")
        half = len(rows) // 2
        self.assertEqual([r[1:] for r in rows[:half]], [r[1:] for r in rows[half:]])

    def test_a_trace_from_standard_input(self):
        with open(SAMPLE) as trace:
            self.ok("run", "--trace", "-", *SLOW, "--max-requests", "20", "-o", self.db, stdin=trace)
        self.assertEqual(self.rows("SELECT count(*) FROM request"), [(20,)])


class Loads(Case):
    """Closed loops, drawn arrivals and sessions, as their rows tell it."""

    def in_flight(self, path=None):
        """(most in flight, its time average until the last was sent)"""
        rows = self.rows("SELECT arrival_ns, coalesce(finish_ns, arrival_ns) FROM request", path)
        events = sorted([(end, -1) for _, end in rows] + [(begin, 1) for begin, _ in rows])
        last_sent = max(begin for begin, _ in rows)
        now = most = area = before = 0
        for at, change in events:
            if at <= last_sent:
                area += now * (at - before)
            before, now = at, now + change
            most = max(most, now)
        return most, area / last_sent

    def test_a_closed_loop_keeps_its_concurrency(self):
        self.ok("run", "--trace", SAMPLE, *FLEET, "--request-rate", "inf", "--max-concurrency", "16",
                "-o", self.db)
        most, mean = self.in_flight()
        self.assertEqual(most, 16)
        self.assertAlmostEqual(mean, 16, delta=1e-9)
        sent = self.rows("SELECT arrival_ns, client_wait_ns FROM request ORDER BY request_id")
        self.assertEqual(sent[:16], [(0, None)] * 16)
        self.assertTrue(all(arrival == wait > 0 for arrival, wait in sent[16:]))
        self.assertEqual(self.rows("SELECT client_wait_s FROM requests WHERE request_id IN (0, 16)"
                                   " ORDER BY request_id"), [(0.0,), (sent[16][1] / 1e9,)])
        self.assertEqual(self.rows("SELECT max_concurrent_requests FROM summary"), [(16,)])

    def test_the_client_queue_holds_back_what_comes_too_early(self):
        self.ok("run", "--trace", SAMPLE, *FLEET, "--max-concurrency", "6", "-o", self.db)
        self.ok("run", "--trace", SAMPLE, *FLEET, "-o", self.db)
        due = "SELECT arrival_ns - coalesce(client_wait_ns, 0) FROM request WHERE run_id = {}"
        self.assertEqual(self.rows(due.format(1) + " ORDER BY request_id"),
                         self.rows(due.format(2) + " ORDER BY request_id"))
        waited, not_waited = self.rows(
            "SELECT sum(client_wait_ns > 0), sum(client_wait_ns IS NULL) FROM request WHERE run_id = 1")[0]
        self.assertGreater(waited, 100)
        self.assertGreater(not_waited, 100)

    def test_drawn_arrivals_are_reproducible(self):
        def arrivals(*options, name):
            path = self.folder / name
            self.ok("run", "--trace", SAMPLE, *FLEET, *options, "-o", path)
            return [row[0] for row in self.rows(
                "SELECT arrival_ns FROM request ORDER BY request_id", path)]
        one = arrivals("--request-rate", "8", name="a.db")
        self.assertEqual(one, arrivals("--request-rate", "8", "--max-num-seqs", "4", name="b.db"))
        self.assertNotEqual(one, arrivals("--request-rate", "8", "--seed", "2", name="c.db"))
        self.assertAlmostEqual(one[-1] / 1e9, 1992 / 8, delta=5 * 1992 ** 0.5 / 8)
        even = arrivals("--request-rate", "8", "--burstiness", "inf", name="d.db")
        self.assertEqual(even, [125000000 * (i + 1) for i in range(1992)])
        steps = arrivals("--rate-profile", "steps:0=1,10=100", "--burstiness", "inf", name="e.db")
        self.assertEqual(steps[:12], [10**9 * i for i in range(1, 11)] + [10010000000, 10020000000])

    def sessions(self, *options):
        lines = []
        for turn in range(4):
            for s in range(6):
                lines.append({"arrival_s": turn * 0.5 + s * 0.01, "session_id": f"s{s}",
                              "prompt_tokens": 300 * (turn + 1), "output_tokens": 80,
                              "think_s": 0.25 * turn})
        trace = self.file("turns.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        self.ok("run", "--trace", trace, *FLEET, *options, "-o", self.db)
        return self.rows("""
            SELECT arrival_ns, lag(finish_ns) OVER turns, finish_ns, prompt_tokens, cached_tokens,
                coalesce(client_wait_ns, 0) FROM request
            WHERE run_id = (SELECT max(run_id) FROM run)
            WINDOW turns AS (PARTITION BY session_id ORDER BY prompt_tokens)""")

    def test_turns_think_to_the_nanosecond(self):
        for options in ([], ["--max-concurrency", "2"], ["--request-rate", "3"],
                        ["--request-rate", "inf", "--max-concurrency", "3"]):
            for sent, before, _, prompt, cached, waited in self.sessions("--sessions", "think", *options):
                if before is not None:
                    think = 250000000 * (prompt // 300 - 1)
                    self.assertEqual(sent - waited, before + think, options)
                    self.assertEqual(cached, (prompt - 300 + 80 - 1) // 16 * 16)

    def test_turns_wait_for_the_trace(self):
        rows = self.sessions("--sessions", "trace")
        later = [(sent, before) for sent, before, *_ in rows if before is not None]
        self.assertTrue(all(sent >= before for sent, before in later))
        self.assertTrue(any(sent == before for sent, before in later))
        rows = self.sessions()
        later = [(sent, before) for sent, before, *_ in rows if before is not None]
        self.assertTrue(any(sent < before for sent, before in later))  # open: they overlap

    def test_a_loop_that_is_stopped_keeps_what_waited(self):
        run = subprocess.Popen([ROOFTRACE, "run", "--trace", SAMPLE, *SLOW, "--repeat", "100000",
                                "--request-rate", "inf", "--max-concurrency", "5", "-o", self.db],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 600
        while not (self.db.exists() and self.db.stat().st_size > 100000):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(run.poll())
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=600)
        self.assertEqual(run.returncode, 130)
        rows = self.rows("SELECT arrival_ns, client_wait_ns FROM request WHERE status = 'unfinished'")
        self.assertLessEqual(len(rows), 5)
        self.assertGreater(len(rows), 0)
        self.assertTrue(all(arrival == wait for arrival, wait in rows))


class WhatIsWritten(Case):
    ALIKE = ["metric", "slo", "replica", "sample", "step_time", "itl_histogram"]
    # few blocks, so that requests are preempted; a measured window and objectives
    BUSY = ["--trace", SAMPLE, *FLEET, "--num-gpu-blocks-override", "900", "--replicas", "2",
            "--goodput", "ttft:500", "--measure-s", "100:900", "--json"]

    def run_with(self, *more, name="out.db"):
        path = self.folder / name
        result = json.loads(self.ok("run", *self.BUSY, *more, "-o", path))
        return {k: v for k, v in result.items() if k not in ("wall_s", "run_id")}, path

    def rounded(self, path, table):
        """Rows; sums of seconds to 12 digits: --steps adds the same seconds in smaller portions."""
        rows = self.rows(f"SELECT * FROM {table}", path)
        if table != "step_time":
            return rows
        return [(*row[:3], float(f"{row[3]:.12g}")) for row in rows]

    def test_aggregates_do_not_depend_on_the_rows_that_are_kept(self):
        whole, path = self.run_with()
        tables = [self.rounded(path, t) for t in self.ALIKE]
        columns = "request_share, requests_written, steps_recorded, requests"
        arrived = whole["num_prompts"]
        self.assertEqual(self.rows(f"SELECT {columns} FROM run", path), [(1, arrived, 0, arrived)])
        for more, share in ((["--no-requests"], 0), (["--sample-requests", "0.25"], 0.25),
                            (["--sample-requests", "1"], 1), (["--steps"], 1)):
            result, other = self.run_with(*more, name="other.db")
            self.assertEqual(result, whole, more)
            for table, rows in zip(self.ALIKE, tables):
                self.assertEqual(self.rounded(other, table), rows, (more, table))
            written = self.rows("SELECT count(*) FROM request", other)[0][0]
            self.assertEqual(self.rows(f"SELECT {columns} FROM run", other),
                             [(share, written, int(more == ["--steps"]), arrived)])
            self.assertAlmostEqual(written, share * arrived, delta=0.05 * arrived)
            all_rows = set(self.rows("SELECT * FROM request", path))
            self.assertLessEqual(set(self.rows("SELECT * FROM request", other)), all_rows)
            other.unlink()

    def test_the_sample_is_the_same_in_every_run_of_a_trace(self):
        _, a = self.run_with("--sample-requests", "0.25", name="a.db")
        _, b = self.run_with("--sample-requests", "0.25", "--no-coast", "--max-num-seqs", "4",
                             name="b.db")
        _, c = self.run_with("--sample-requests", "0.5", name="c.db")
        _, d = self.run_with("--sample-requests", "0.25", "--seed", "2", name="d.db")
        ids = "SELECT request_id FROM request ORDER BY 1"
        self.assertEqual(self.rows(ids, a), self.rows(ids, b))
        self.assertLess(set(self.rows(ids, a)), set(self.rows(ids, c)))
        self.assertNotEqual(self.rows(ids, a), self.rows(ids, d))

    def test_times_of_a_request_add_up(self):
        _, path = self.run_with()
        rows = self.rows("SELECT queue_s, prefill_s, decode_s, e2e_s, preempted_s, preemptions"
                         " FROM requests WHERE status = 'ok'", path)
        self.assertGreater(sum(r[5] for r in rows), 0)
        for queue, prefill, decode, e2e, preempted, preemptions in rows:
            self.assertAlmostEqual(queue + prefill + decode, e2e, places=8)
            self.assertEqual(preempted is None, preemptions == 0)
            self.assertLessEqual(preempted or 0, prefill + decode)

    def test_steps(self):
        def log(*more):
            path = self.run_with("--steps", *more, name="steps.db")[1]
            rows = self.rows("SELECT * FROM step ORDER BY replica, rowid", path)
            for replica, steps, busy_s, computed, output in self.rows(
                    "SELECT replica, steps, busy_s, computed_tokens, output_tokens FROM replica", path):
                mine = [r for r in rows if r[1] == replica]
                self.assertEqual([r[2] for r in mine], list(range(steps)))
                self.assertTrue(all(a[4] <= b[3] for a, b in zip(mine, mine[1:])))
                self.assertAlmostEqual(sum(r[4] - r[3] for r in mine) / 1e9, busy_s, places=6)
                self.assertEqual(sum(r[5] + r[6] for r in mine), computed)
                self.assertGreaterEqual(sum(r[7] for r in mine), output)
                terms = self.rows("SELECT term, busy_s FROM step_time WHERE replica ="
                                  f" {replica}", path)
                for k, name in enumerate(("weights", "compute", "kv", "attention", "other",
                                          "launch", "comm", "host")):
                    self.assertAlmostEqual(sum(r[11 + k] for r in mine), dict(terms)[name], places=4)
                for r in mine:
                    self.assertAlmostEqual(sum(r[11:]), (r[4] - r[3]) / 1e9, delta=1e-9)
            path.unlink()
            return rows

        for policy in ("chunked", "prefill_first"):
            args = ["--policy", policy, "--max-requests", "400"]
            coasted = log(*args)
            self.assertGreater(len(coasted), 5000)
            self.assertEqual(coasted, log(*args, "--no-coast"), policy)


class Interruptions(Case):
    def start(self, **more):
        """A run of hours, already writing rows."""
        run = subprocess.Popen(
            [ROOFTRACE, "run", "--trace", str(SAMPLE), *SLOW, "--repeat", "1000000", "-o",
             str(self.db)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.addCleanup(run.kill)
        self.addCleanup(run.stdout.close)
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            self.assertIsNone(run.poll(), "the run ended by itself")
            with contextlib.suppress(sqlite3.Error):
                if self.db.exists() and self.rows("SELECT count(*) > 0 FROM request") == [(1,)]:
                    return run
            time.sleep(0.05)
        self.fail("no row within ten minutes")

    def stop(self, number):
        run = self.start()
        run.send_signal(number)
        out, message = run.communicate(timeout=600)
        self.assertEqual(run.returncode, 130, message)
        self.assertEqual(out, "")
        self.assertRegex(message, r"^rooftrace: interrupted after \d+ requests: .*, run 1\n$")
        self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])
        status, requests = self.rows("SELECT status, requests FROM run")[0]
        self.assertEqual(status, "interrupted")
        rows = self.rows("SELECT status, count(*) FROM request GROUP BY status")
        self.assertLessEqual({s for s, _ in rows}, {"ok", "rejected", "unfinished"})
        self.assertEqual(sum(n for _, n in rows), requests)
        unique = self.rows("SELECT count(DISTINCT request_id), max(request_id) + 1 FROM request")
        self.assertEqual(unique, [(requests, requests)])  # every request that arrived, once

    def test_ctrl_c(self):
        self.stop(signal.SIGINT)

    def test_sigterm(self):
        self.stop(signal.SIGTERM)

    def test_a_killed_run_leaves_a_readable_database(self):
        run = self.start()
        run.kill()
        run.communicate()
        self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(self.rows("SELECT status FROM run"), [("running",)])
        self.assertGreater(self.rows("SELECT count(*) FROM request")[0][0], 0)

    def test_progress_on_a_terminal(self):
        try:
            ours, theirs = pty.openpty()
        except OSError as error: # a container without /dev/pts
            self.skipTest(f"no terminal to be had: {error}")
        run = subprocess.Popen([ROOFTRACE, "run", "--trace", str(SAMPLE), *SLOW, "--repeat",
                                "1000000", "-o", str(self.db)], stdout=subprocess.DEVNULL,
                               stderr=theirs)
        self.addCleanup(run.kill)
        os.close(theirs)
        seen, deadline = b"", time.monotonic() + 600
        while time.monotonic() < deadline and b"real time" not in seen:
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 4096)
        run.send_signal(signal.SIGINT)
        run.wait(600)
        os.close(ours)
        self.assertRegex(seen.decode(), r"\rrooftrace: [\d,]+ requests, [\d:]+ simulated, [\d,]+x")


class Estimates(Case):
    def estimate(self, *args):
        return json.loads(self.ok("estimate", "--json", *args))

    def test_a_batch_that_does_not_fit(self):
        """The figures stand; what an engine would do is said."""
        args = [*FLEET, "--prompt", "1000", "--output", "200"]
        blocks = self.estimate(*args)["memory_per_gpu"]["kv_blocks"]
        most = blocks // 75  # 1200 tokens
        for batch, told in ((most, False), (most + 1, True)):
            run = rooftrace("estimate", "--json", *args, "--batch", batch)
            self.assertEqual(run.returncode, 0)
            self.assertEqual(json.loads(run.stdout)["memory_per_gpu"]["kv_blocks_needed"], 75 * batch)
            self.assertEqual(f"an engine serves {most} of them at a time" in run.stderr, told, run.stderr)
        for prompt, told in ((131071, False), (131072, True)):
            run = rooftrace("estimate", *FLEET, "--prompt", prompt, "--output", 1)
            self.assertEqual("the context of llama-3.1-8b is 131072" in run.stderr, told, run.stderr)

    def test_seven_billion_parameters_on_a_4090(self):
        """14.2 GB of fp16 weights at 1008 GB/s are 14.1 ms a token; 8 bit 7.0 ms."""
        args = ["--model", "mistral-7b", "--gpu", "rtx-4090", "--prompt", "1", "--output", "2",
                "--speed-of-light"]
        wide = self.estimate(*args, "--weight-dtype", "fp16")
        self.assertAlmostEqual(wide["weight_bytes"] / 1e9, 14.2, delta=0.05)
        self.assertAlmostEqual(wide["tpot_s"] * 1e3, 14.1, delta=0.05)
        narrow = self.estimate(*args, "--weight-dtype", "int8")
        self.assertAlmostEqual(narrow["tpot_s"] * 1e3, 7.05, delta=0.05)

    def test_the_closed_form(self):
        e = self.estimate(*FLEET, "--prompt", "1000", "--output", "200", "--batch", "4")
        self.assertEqual(e["flops_prefill"], 2 * 4 * 1000 * e["params"])
        self.assertEqual(e["flops_decode"], 2 * 4 * 200 * e["params"])
        self.assertAlmostEqual(e["latency_s"], e["ttft_s"] + e["tpot_s"] * 200, places=12)
        self.assertAlmostEqual(e["tps_user"], 200 / e["latency_s"], places=9)
        self.assertAlmostEqual(e["tps_total"], 4 * 200 / e["latency_s"], places=9)
        self.assertEqual((e["k_s_per_token"], e["b_s"]), (e["tpot_s"], e["ttft_s"]))
        for phase in ("prefill", "decode"):
            whole = e["ttft_s"] if phase == "prefill" else e["tpot_s"]
            self.assertAlmostEqual(sum(e[phase + "_terms_s"].values()), whole, places=12)
        self.assertTrue(0 < e["share_of_light"] < 1)
        self.assertTrue(e["memory_per_gpu"]["fits"])

    def test_text_and_explanation(self):
        text = self.ok("estimate", *FLEET, "--prompt", "1000", "--output", "200", "--explain")
        for word in ("FLOPs prefill", "TTFT", "TPOT", "tokens/s", "y = k x + b", "speed of light",
                     "KV blocks", "2 * batch * prompt * params = 2 * 1 * 1000 *"):
            self.assertIn(word, text)

    def test_every_operator_of_a_step(self):
        args = ["--model", "deepseek-v3", "--gpu", "h200-sxm", "--prompt", "500", "--output", "50",
                "--tensor-parallel-size", "2", "--pipeline-parallel-size", "2",
                "--data-parallel-size", "8", "--enable-expert-parallel", "--batch", "100"]
        text = self.ok("estimate", *args, "--explain")
        for words in ("on 32 x h200-sxm", "tensor 2, pipeline 2, data 8, whole experts on each GPU",
                      "requests of a rank             13", "2 of at most 7 requests",
                      "slowest stage", "other micro-batches", "experts_all_to_all", "pipeline_hops",
                      "all_reduce", "lm_head", "bound by", "sum: the step"):
            self.assertIn(words, text)
        plain = self.ok("estimate", *args)
        self.assertNotIn("bound by", plain)
        e = self.estimate(*args, "--explain")
        self.assertEqual((e["gpus"], e["rank_batch"], e["micro_batches"], e["micro_batch"]),
                         (32, 13, 2, 7))
        for step, terms in (("prefill_step", "prefill_terms_s"), ("decode_step", None)):
            parts = e[step]["parts"]
            self.assertAlmostEqual(sum(p["seconds"] for p in parts), e[step]["step_s"], places=12)
            for p in parts:
                split = sum(v for k, v in p.items() if k in e["decode_terms_s"])
                self.assertAlmostEqual(split, p["seconds"], places=12)
            if terms:
                self.assertAlmostEqual(e[step]["step_s"], sum(e[terms].values()), places=12)
            self.assertLess(e[step]["stage_s"], e[step]["step_s"])
        self.assertAlmostEqual(e["tpot_s"], sum(e["decode_terms_s"].values()) + e["tpot_wait_s"])
        self.assertNotIn("decode_step", self.estimate(*args))

    def test_parallelism_that_cannot_be(self):
        for args, words in (
                (["--pipeline-parallel-size", "33"], "pipeline_parallel 33: llama-3.1-8b has only"),
                (["--enable-expert-parallel", "--data-parallel-size", "2"], "has no experts"),
                (["--data-parallel-size", "0"], "--data-parallel-size: expected"),
                (["--expert-skew", "11"], "--expert-skew: expected"),
                (["--gpus-per-node", "0"], "--gpus-per-node: expected")):
            run = rooftrace("estimate", *FLEET, *args)
            self.assertEqual(run.returncode, 2)
            self.assertIn(words, run.stderr)

    def test_slow_network_and_uneven_experts(self):
        args = ["--model", "qwen3-235b-a22b", "--gpu", "h200-sxm", "--data-parallel-size", "16",
                "--batch", "64", "--enable-expert-parallel"]
        near = self.estimate(*args)
        far = self.estimate(*args, "--node-link-gb-per-s", "5")
        one = self.estimate(*args, "--gpus-per-node", "16")
        skewed = self.estimate(*args, "--expert-skew", "0.8")
        self.assertGreater(far["decode_terms_s"]["comm"], near["decode_terms_s"]["comm"])
        self.assertLess(one["decode_terms_s"]["comm"], near["decode_terms_s"]["comm"])
        self.assertNotEqual(skewed["decode_terms_s"]["weights"], near["decode_terms_s"]["weights"])
        self.assertEqual(skewed["decode_terms_s"]["kv"], near["decode_terms_s"]["kv"])

    def test_what_does_not_fit_is_answered_with_a_note(self):
        run = rooftrace("estimate", "--model", "llama-3.1-70b", "--gpu", "rtx-4090", "--json")
        self.assertEqual(run.returncode, 0)
        self.assertGreater(json.loads(run.stdout)["memory_per_gpu"]["missing_bytes"], 1e11)
        self.assertIn("tensor_parallel", run.stderr)


class Reading(Case):
    def test_catalog(self):
        everything = json.loads(self.ok("catalog", "--json"))
        self.assertEqual(everything, json.loads(self.ok("catalog", "list", "--json")))
        text = self.ok("catalog", "list")
        for record in everything["models"] + everything["gpus"]:
            self.assertIn(record["name"], text)
            self.assertIn("sources", record)
        self.assertNotIn("h100-sxm", self.ok("catalog", "list", "models"))
        self.assertNotIn("llama", self.ok("catalog", "list", "gpus"))

    def test_catalog_show(self):
        for name in ("h100-sxm", "H100-SXM", "llama-3.1-8b"):
            record = json.loads(self.ok("catalog", "show", name, "--json"))
            self.assertEqual(record["name"], name.lower())
            text = self.ok("catalog", "show", name)
            self.assertIn("sources", text)
            self.assertIn(name.lower(), text)
        self.assertIn("accuracy", self.ok("catalog", "show", "h100-sxm"))

    def test_catalog_show_file(self):
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
                  "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
                  "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256,
                  "max_position_embeddings": 131072, "torch_dtype": "bfloat16"}
        path = self.file("config.json", json.dumps(config))
        record = json.loads(self.ok("catalog", "show", path, "--json"))
        self.assertEqual((record["layers"], record["kv_heads"], record["dtype"]), (32, 8, "bf16"))
        self.assertIn("8.03", self.ok("catalog", "show", path))
        gpu = self.file("gpu.json", json.dumps({"name": "mine", "mem_gb": 48, "mem_bw_gb_per_s": 900,
                                                "tflops": {"bf16": 200}}))
        record = json.loads(self.ok("catalog", "show", gpu, "--json"))
        self.assertEqual(record["mem_bw_gb_per_s"], 900)
        self.assertIn("gemm_eff_memory", record["constants"])

    def test_trace_stat(self):
        stat = json.loads(self.ok("trace", "stat", SAMPLE, "--json"))
        rows = [line.split(",") for line in SAMPLE.read_text().splitlines()
                if line and line[0].isdigit()]
        self.assertEqual(stat["requests"], len(rows))
        self.assertEqual(stat["input"]["sum"], sum(int(r[1]) for r in rows))
        self.assertEqual(stat["output"]["max"], max(int(r[2]) for r in rows))
        self.assertEqual(stat["format"], "csv")
        self.assertIn(str(len(rows)), self.ok("trace", "stat", SAMPLE))

    def test_query(self):
        self.ok("run", "--trace", SAMPLE, *SLOW, "--max-requests", "1500", "-o", self.db)
        sql = "SELECT request_id, class, ttft_s, reason FROM requests ORDER BY request_id"
        want = self.rows(sql)
        rows = json.loads(self.ok("query", self.db, sql, "--json"))
        self.assertEqual([tuple(row.values()) for row in rows], want)
        lines = self.ok("query", self.db, sql).splitlines()
        self.assertEqual(len(lines), len(want) + 2)
        self.assertRegex(lines[0], r"^request_id  class +ttft_s  reason")
        self.assertEqual({len(line) for line in lines[1:2]}, {len(lines[1])})
        csv = self.ok("query", self.db, "SELECT 1 AS a, 'x,\"y\"' AS b, NULL AS c", "--csv")
        self.assertEqual(csv, 'a,b,c\n1,"x,""y""",\n')
        self.assertEqual(self.ok("query", self.db, "SELECT 1 WHERE 0", "--json"), "[]\n")
        wide = self.ok("query", self.db, "SELECT * FROM summary")
        self.assertRegex(wide, r"\nmean_ttft_ms +[\d.]+\n")

    def test_query_of_several_statements(self):
        self.ok("run", "--trace", SAMPLE, *SLOW, "--max-requests", "5", "-o", self.db)
        sql = "SELECT 1 AS a; -- the first\n;; SELECT 2 AS b, 'x;y' AS c UNION SELECT 3, 'z';\n -- no more\n"
        self.assertEqual(self.ok("query", self.db, sql), "a\n-\n1\n\nb  c\n-  ---\n2  x;y\n3  z\n")
        self.assertEqual(self.ok("query", self.db, sql, "--csv"), "a\n1\n\nb,c\n2,x;y\n3,z\n")
        printed, decoder = self.ok("query", self.db, sql, "--json"), json.JSONDecoder()
        first, end = decoder.raw_decode(printed)
        self.assertEqual([first, json.loads(printed[end:])],
                         [[{"a": 1}], [{"b": 2, "c": "x;y"}, {"b": 3, "c": "z"}]])
        for second, text in (("SELEC 2", "syntax error"), ("DELETE FROM run", "SELECT"),
                             ("COMMIT", "SELECT"), ("SELECT abs(-9223372036854775808)", "overflow")):
            run = rooftrace("query", self.db, "SELECT 1 AS a; " + second)
            self.assertEqual((run.returncode, run.stdout.split("\n")[:3]), (2, ["a", "-", "1"]))
            self.assertIn(text, run.stderr)

    def test_query_that_is_wrong(self):
        self.ok("run", "--trace", SAMPLE, *SLOW, "--max-requests", "5", "-o", self.db)
        before = self.db.read_bytes()
        for sql, text in (("SELEC 1", "syntax error"), ("SELECT nothing FROM run", "nothing"),
                          ("DELETE FROM run", "SELECT"), ("DROP TABLE run", "SELECT"), ("", "SQL")):
            self.fails(2, text, "query", self.db, sql)
        self.assertEqual(self.db.read_bytes(), before)
        self.fails(1, "nowhere.db", "query", self.folder / "nowhere.db", "SELECT 1")
        self.assertFalse((self.folder / "nowhere.db").exists())


def packed_both_ways(content):
    return (("t.csv.gz", gzip.compress(content)), ("t.csv.zst", zstd_frame(content)))


def zstd_frame(content):
    """A Zstandard frame of raw blocks (RFC 8878, 3.1.1), so that no packer is needed."""
    frame = struct.pack("<IBQ", 0xFD2FB528, 0xE0, len(content))  # single segment, 8-byte size
    for start in range(0, len(content), 65536):
        block = content[start:start + 65536]
        last = start + 65536 >= len(content)
        frame += struct.pack("<I", len(block) << 3 | last)[:3] + block
    return frame



class Traces(Case):
    """trace stat, trace convert and run on formats other than rooftrace's own."""
    CORPUS = ROOT / "tests/workload/corpus"

    def test_stat_prints_text_json_and_a_drawing(self):
        svg = self.folder / "t.svg"
        path = self.CORPUS / "mooncake.jsonl"
        text = self.ok("trace", "stat", path, "--svg", svg)
        self.assertIn("(mooncake, told by its first bytes)", text)
        self.assertIn("hash ids                   3, 512 tokens each", text)
        self.assertIn("prompt tokens, requests", text)
        root = xml.etree.ElementTree.parse(svg).getroot()
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        self.assertGreater(len(root), 10)
        stat = json.loads(self.ok("trace", "stat", path, "--json", "--trace-block-size", "400"))
        self.assertEqual((stat["format"], stat["requests"], stat["block_size"]), ("mooncake", 4, 400))
        self.assertEqual(stat["ideal_prefix_cache"]["hit_tokens"], 0)
        self.assertEqual(sum(stat["input"]["bins"]), 4)
        self.assertEqual(sum(stat["arrivals"]["bins"]), 4)
        self.fails(1, "t.svg", "trace", "stat", path, "--svg", self.folder / "nowhere" / "t.svg")

    def test_convert(self):
        out = self.folder / "out.jsonl"
        run = rooftrace("trace", "convert", self.CORPUS / "weka.json", "-o", out)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("3 requests, read as weka", run.stderr)
        self.assertIn("--trace-block-size 64", run.stderr)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        self.assertEqual([row["arrival_s"] for row in rows], [0.5, 8, 9.5])
        self.assertEqual([row["session_id"] for row in rows], ["t1", "t1", "t1/a1"])
        again = self.ok("trace", "convert", out, "--to", "mooncake")
        self.assertEqual(json.loads(again.splitlines()[0])["timestamp"], 500)
        self.fails(2, "is the trace itself", "trace", "convert", out, "-o", out)
        self.fails(1, ":2:", "trace", "convert", self.file("bad.csv", "arrival_s,prompt_tokens,output_tokens\nx,1,1\n"),
                   "-o", self.folder / "none.jsonl")
        self.assertFalse((self.folder / "none.jsonl").exists())

    def test_run_tells_and_stores_the_format(self):
        run = rooftrace("run", "--trace", self.CORPUS / "burstgpt.csv", *FLEET, "-o", self.db)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("burstgpt.csv: format burstgpt, told by its first bytes\n", run.stderr)
        self.assertIn("2 requests failed in the log and were kept (--failed drop leaves them out)", run.stderr)
        run = rooftrace("run", "--trace", self.CORPUS / "burstgpt.csv", *FLEET, "-o", self.db,
                        "--failed", "drop", "--format", "burstgpt")
        self.assertNotIn("told by", run.stderr)
        self.assertIn("2 rows were left out", run.stderr)
        self.assertEqual(self.rows("SELECT trace_format FROM run"), [("burstgpt",), ("burstgpt",)])
        self.assertEqual(self.rows("SELECT run_id, count(*) FROM request GROUP BY run_id"), [(1, 3), (2, 1)])

    def test_columns(self):
        path = self.file("log.csv", "when,in,out\n1500,20,3\n2500,30,4\n")
        columns = "arrival=when:ms,prompt=in,output=out"
        self.run_fails(2, "$.workload.columns: columns: unknown field", "--trace", path, *FLEET,
                       "--columns", "when=x,prompt=in,output=out")
        self.ok("run", "--trace", path, "--columns", columns, *FLEET, "-o", self.db)
        self.assertEqual(self.rows("SELECT arrival_ns, prompt_tokens FROM request ORDER BY request_id"),
                         [(1500000000, 20), (2500000000, 30)])
        self.assertEqual(self.rows("SELECT scenario ->> '$.workload.columns' FROM run"), [(columns,)])
        self.fails(2, "--columns", "trace", "stat", path, "--format", "columns")

    def test_a_log_without_requests(self):
        path = self.file("spans.json", '{"spans": [{"name": "GET /", "startTimeUnixNano": "5", "attributes": []}]}\n')
        self.fails(1, "1 rows of format otel were left out", "trace", "stat", path)


if __name__ == "__main__":
    if not (os.path.sep in ROOFTRACE and os.access(ROOFTRACE, os.X_OK)):
        sys.exit(f"ROOFTRACE: expected the path of the executable, read {ROOFTRACE!r}")
    unittest.main(verbosity=2)
