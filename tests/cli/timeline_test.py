#!/usr/bin/env python3
"""`rooftrace trace export`: the timeline is JSON, says what the database says, and a window of it holds
what overlaps the window.

Environment: ROOFTRACE = the executable. Standard library only.
"""
import collections
import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SAMPLE = ["--trace", ROOT / "traces/sample.csv", "--max-requests", "150", "--model", "llama-3.1-8b"]
FLEET = [*SAMPLE, "--gpu", "h100-sxm", "--replicas", "2", "--num-gpu-blocks-override", "330"]
PHASES = ("queue", "prefill", "decode")
# Names that must not break out of a JSON string.
EVIL = ['say "hi"', "back\\slash", "tab\tand\nline", "ünï€\U0001f600", "</script>", "\x01\x7f"]


def rooftrace(*args):
    return subprocess.run([ROOFTRACE, *map(str, args)], capture_output=True, timeout=1800)


def micros(ns):
    """A time as events carry it."""
    return ns / 1000


class Timeline(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keep = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.keep.cleanup)
        cls.folder = pathlib.Path(cls.keep.name)
        cls.db = cls.folder / "run.db"
        for more in (["--steps"], []):  # run 1 with steps, run 2 without
            run = rooftrace("run", *FLEET, *more, "-o", cls.db)
            assert run.returncode == 0, run.stderr

    def rows(self, sql, path=None):
        with contextlib.closing(sqlite3.connect(path or self.db)) as db:
            db.row_factory = sqlite3.Row
            return db.execute(sql).fetchall()

    def export(self, *args, path=None):
        out = self.folder / "out.json"
        run = rooftrace("trace", "export", path or self.db, "--perfetto", out, *args)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(run.stdout, b"")
        document = json.loads(out.read_bytes().decode("utf-8"), parse_constant=self.fail)
        self.note = run.stderr.decode()
        return document["traceEvents"], document["otherData"]

    def fails(self, status, text, *args):
        run = rooftrace("trace", "export", *args)
        self.assertEqual(run.returncode, status, run.stderr)
        self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
        self.assertIn(text, run.stderr.decode())

    def check_steps(self, events, rows):
        slices = [e for e in events if e["ph"] == "X"]
        self.assertEqual(len(slices), len(rows))
        for e, row in zip(slices, rows):
            kind = "mixed" if row["prefill_tokens"] and row["decodes"] else \
                "prefill" if row["prefill_tokens"] else "decode"
            self.assertEqual((e["name"], e["cat"], e["pid"], e["tid"]),
                             (kind, "step", row["replica"] + 2, 1))
            self.assertEqual(e["ts"], micros(row["start_ns"]))
            self.assertEqual(e["dur"], micros(row["end_ns"] - row["start_ns"]))
            for key in ("step", "decodes", "prefill_tokens", "sequences", "context_tokens",
                        "kv_blocks_used", "waiting"):
                self.assertEqual(e["args"][key], row[key], key)
            self.assertAlmostEqual(sum(v for k, v in e["args"].items() if k.endswith("_s")),
                                   e["dur"] / 1e6, places=9)

    def check_requests(self, events, rows, end_ns):
        open_slices, found = collections.defaultdict(list), collections.defaultdict(list)
        for e in events:
            if e.get("cat") != "request":
                continue
            key = (e["id"], e["pid"])
            if e["ph"] == "b":
                open_slices[key].append(e)
            elif e["ph"] == "e":
                begin = open_slices[key].pop()  # slices are closed in the order they nest
                self.assertEqual(begin["name"], e["name"])
                self.assertLessEqual(begin["ts"], e["ts"])
                found[key].append((e["name"], begin["ts"], e["ts"], begin.get("args")))
            else:
                self.assertEqual((e["ph"], e["name"]), ("i", "rejected"))
                found[key].append((e["name"], e["ts"], e["ts"], e["args"]))
        self.assertFalse(any(open_slices.values()))
        self.assertEqual(len(found), len(rows))
        for row in rows:
            pid = 1 if row["replica"] is None else row["replica"] + 2
            slices = {name: (begin, end, args) for name, begin, end, args in
                      found[str(row["request_id"]), pid]}
            if row["status"] == "rejected":
                self.assertEqual(slices["rejected"][0], micros(row["arrival_ns"]))
                self.assertEqual(slices["rejected"][2]["reason"], row["reason"])
                continue
            times = [row["arrival_ns"], row["scheduled_ns"], row["first_token_ns"], row["finish_ns"]]
            known = [t for t in times if t is not None]
            ends = known[1:] + ([end_ns] if row["finish_ns"] is None else [])
            for name, begin, end in zip(PHASES, known, ends):
                self.assertEqual(slices[name][:2], (micros(begin), micros(end)), name)
            whole = slices["request"]
            self.assertEqual(whole[:2], (micros(known[0]), micros(ends[-1])))
            for key in ("request_id", "prompt_tokens", "output_tokens", "preemptions", "status"):
                self.assertEqual(whole[2][key], row[key])
            for key in ("preempted_ns", "class"):
                self.assertEqual(whole[2].get(key), row[key])

    def test_a_whole_run(self):
        events, about = self.export("--run", "1")
        self.assertEqual(about["run_id"], 1)
        self.assertEqual(about["model"], "llama-3.1-8b")
        steps = self.rows("SELECT * FROM step WHERE run_id = 1 ORDER BY rowid")
        self.assertGreater(len(steps), 1000)
        self.check_steps(events, steps)
        requests = self.rows("SELECT * FROM request WHERE run_id = 1")
        self.assertGreater(sum(r["preemptions"] for r in requests), 0)
        self.check_requests(events, requests, None)
        names = {(e["pid"], e["name"]): e["args"] for e in events if e["ph"] == "M"}
        self.assertEqual([names[pid, "process_name"]["name"] for pid in (1, 2, 3)],
                         ["fleet", "replica 0", "replica 1"])
        self.assertEqual(names[2, "process_labels"]["labels"], "main")
        self.assertEqual(names[3, "thread_name"]["name"], "engine")
        self.assertIn(f"run 1, {len(steps)} steps, {len(requests)} requests", self.note)
        self.assertEqual(len(self.note.splitlines()), 1)

    def test_overlapping_steps_have_threads_of_their_own(self):
        db = self.folder / "parallel.db"
        run = rooftrace("run", *SAMPLE, "--gpu", "h100-sxm", "--pipeline-parallel-size", "3",
                        "--data-parallel-size", "2", "--max-num-batched-tokens", "256", "--steps",
                        "-o", db)
        self.assertEqual(run.returncode, 0, run.stderr)
        events, _ = self.export(path=db)
        names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        self.assertEqual(list(names.values()),
                         [f"rank {r}, batch {b}" for r in range(2) for b in range(3)])
        steps = sorted((e["tid"], e["ts"], e["ts"] + e["dur"], e["args"]["step"])
                       for e in events if e["ph"] == "X")
        self.assertEqual({tid for tid, *_ in steps}, set(names))
        for (tid, _, end, _), (next_tid, start, _, step) in zip(steps, steps[1:]):
            self.assertEqual(names[next_tid][:6], f"rank {step % 2}")
            self.assertTrue(tid != next_tid or end <= start + 1e-6)
        self.assertFalse([e for e in events if e["ph"] == "C" and e["pid"] == 2])
        self.assertEqual(len(steps), self.rows("SELECT count(*) AS n FROM step", db)[0]["n"])

    def test_counters_tell_what_the_steps_tell(self):
        events, _ = self.export("--run", "1")
        for replica in (0, 1):
            steps = self.rows("SELECT * FROM step WHERE run_id = 1 AND replica ="
                              f" {replica} ORDER BY rowid")
            for name, column in (("sequences in step", "sequences"), ("waiting", "waiting"),
                                 ("KV blocks used", "kv_blocks_used")):
                changes = [(e["ts"], e["args"]["value"]) for e in events if e["ph"] == "C"
                           and e["pid"] == replica + 2 and e["name"] == name]
                self.assertEqual(changes, sorted(changes, key=lambda c: c[0]))
                want, last = [], None
                for a, b in zip(steps, [*steps[1:], None]):
                    want.append((micros(a["start_ns"]), a[column]))
                    if b is None or b["start_ns"] > a["end_ns"]:  # idle
                        want.append((micros(a["end_ns"]), 0))
                want = [w for k, w in enumerate(want) if k == 0 or w[1] != want[k - 1][1]]
                self.assertEqual(changes, want, name)
                self.assertEqual(changes[-1][1], 0)

    def test_a_window(self):
        steps = self.rows("SELECT * FROM step WHERE run_id = 1 ORDER BY rowid")
        requests = self.rows("SELECT * FROM request WHERE run_id = 1")
        edge = steps[len(steps) // 2]
        middle = (edge["start_ns"] + edge["end_ns"]) // 2
        windows = [(30_000_000_000, 45_000_000_000), (edge["start_ns"], edge["end_ns"]),
                   (middle, middle + 1), (edge["end_ns"], edge["end_ns"] + 1),
                   (0, requests[0]["arrival_ns"] + 1), (10**15, 10**16)]
        for begin, end in windows:
            def overlaps(from_ns, to_ns):
                return from_ns < end and (to_ns > begin or from_ns >= begin)

            args = ["--run", "1", "--from-s", f"{begin / 1e9:.9f}", "--to-s", f"{end / 1e9:.9f}"]
            events, _ = self.export(*args)
            self.check_steps(events, [s for s in steps if overlaps(s["start_ns"], s["end_ns"])])
            self.check_requests(events, [r for r in requests
                                         if overlaps(r["arrival_ns"],
                                                     r["finish_ns"] or r["arrival_ns"])], None)
            for e in events:
                if e["ph"] == "C" and e["pid"] == 1:
                    self.assertTrue(micros(begin) <= e["ts"] < micros(end))
            one = self.export(*args, "--replica", "1")[0]
            self.assertEqual({e["pid"] for e in one}, {3})
            self.assertEqual([e for e in one if e["ph"] in "Xbei"],
                             [e for e in events if e["ph"] in "Xbei" and e["pid"] == 3])
        events, _ = self.export("--run", "1", "--from-s", "30")  # open ends
        self.check_steps(events, [s for s in steps if s["end_ns"] > 30_000_000_000])
        events, _ = self.export("--run", "1", "--to-s", "30")
        self.check_steps(events, [s for s in steps if s["start_ns"] < 30_000_000_000])

    def test_without_step_records(self):
        events, about = self.export()  # the latest run
        self.assertEqual(about["run_id"], 2)
        self.assertEqual([e for e in events if e["ph"] == "X"], [])
        self.check_requests(events, self.rows("SELECT * FROM request WHERE run_id = 2"), None)
        samples = self.rows("SELECT * FROM sample WHERE run_id = 2 ORDER BY time_s")
        for name, column in (("running", "running"), ("KV blocks used", "kv_blocks_used")):
            got = [(e["ts"], e["args"]["value"]) for e in events
                   if e["ph"] == "C" and e["name"] == name]
            self.assertEqual(got, [(round(s["time_s"] * 1e6, 3), s[column]) for s in samples])
        self.assertRegex(self.note.splitlines()[1], "run 2 recorded no steps: .*run --steps")

    def test_every_status_and_names_that_look_like_json(self):
        trace = self.folder / "evil.jsonl"
        lines = [{"arrival_s": k * 0.1, "prompt_tokens": 10, "output_tokens": 4, "class": text,
                  "session_id": text} for k, text in enumerate(EVIL)]
        lines.append({"arrival_s": 1, "prompt_tokens": 10**6, "output_tokens": 1})
        trace.write_text("".join(json.dumps(line) + "\n" for line in lines))
        db = self.folder / "evil.db"
        run = rooftrace("run", "--trace", trace, "--model", "llama-3.1-8b", "--gpu", "h100-sxm",
                        "--num-gpu-blocks-override", "100", "--label", EVIL[0], "--steps", "-o", db)
        self.assertEqual(run.returncode, 0, run.stderr)
        with contextlib.closing(sqlite3.connect(db)) as at:  # as a run that was interrupted has them
            at.execute("UPDATE request SET status = 'unfinished', finish_ns = NULL,"
                       " produced_tokens = 1 WHERE request_id = 1")
            at.execute("UPDATE request SET status = 'unfinished', finish_ns = NULL, first_token_ns ="
                       " NULL, scheduled_ns = NULL, produced_tokens = 0 WHERE request_id = 2")
            at.commit()
        events, about = self.export(path=db)
        self.assertEqual(about["label"], EVIL[0])
        requests = self.rows("SELECT * FROM request", db)
        self.assertEqual({r["status"] for r in requests}, {"ok", "unfinished", "rejected"})
        end_ns = round(self.rows("SELECT duration_s FROM run", db)[0][0] * 1e9)
        self.check_requests(events, requests, end_ns)
        sessions = [e["args"]["session_id"] for e in events if "session_id" in e.get("args", {})]
        self.assertEqual(sorted(sessions), sorted(EVIL))

    def test_standard_output(self):
        run = rooftrace("trace", "export", self.db, "--perfetto", "-", "--run", "1", "--to-s", "10")
        self.assertEqual(run.returncode, 0, run.stderr)
        want, _ = self.export("--run", "1", "--to-s", "10")
        self.assertEqual(json.loads(run.stdout)["traceEvents"], want)

    def test_what_is_wrong(self):
        out = self.folder / "kept.json"
        out.write_text("as it was")
        before = self.db.read_bytes()
        for status, text, *args in (
                (2, "no run 9: it holds 2", self.db, "--perfetto", out, "--run", "9"),
                (2, "no replica 2: run 2 has 0 to 1", self.db, "--perfetto", out, "--replica", "2"),
                (2, "is the database itself", self.db, "--perfetto", self.db),
                (1, "nowhere.db", self.folder / "nowhere.db", "--perfetto", out),
                (1, "nowhere", self.db, "--perfetto", self.folder / "nowhere/out.json"),
                (1, "/dev/full", self.db, "--perfetto", "/dev/full"),
                (1, "not an SQLite database", out, "--perfetto", self.folder / "new.json")):
            self.fails(status, text, *args)
        self.assertEqual(out.read_text(), "as it was")
        self.assertEqual(self.db.read_bytes(), before)
        self.assertFalse((self.folder / "new.json").exists())


if __name__ == "__main__":
    if not (os.path.sep in ROOFTRACE and os.access(ROOFTRACE, os.X_OK)):
        sys.exit(f"ROOFTRACE: expected the path of the executable, read {ROOFTRACE!r}")
    unittest.main(verbosity=2)
