#!/usr/bin/env python3
"""What a database keeps when its run is killed, or its disk is full.

kill -9 at 50 random moments of runs without end (12 where the first rows take 5 s, as with the thread
sanitizer): the file opens and is whole, the run is marked `running`, every row that another connection
had seen is still there, and the next run is appended. Then a disk that gets full in the middle of a run
(a small tmpfs where mounting is allowed, else skipped; a limit on the size of files everywhere): one
clear line, exit status 1, the same promises, and the run is marked `failed`.

The moments are drawn from a seed that is printed; KILL_SEED repeats them. Environment: ROOFTRACE = the
executable. Standard library only.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
SEED = int(os.environ.get("KILL_SEED", time.time_ns() % 1_000_000))
# One request at a time and an event a step: some 100,000 rows a second, so that files stay small.
SAMPLE = ["--trace", ROOT / "traces/sample.csv", "--model", "llama-3.1-8b", "--gpu", "h100-sxm",
          "--cost-coefficients", "0.001,0,0,0,0", "--num-gpu-blocks-override", "100000",
          "--max-num-seqs", "1", "--no-coast", "-o"]
ENDLESS = ["--repeat", "1000000"]
SHORT = ["--max-requests", "20"]
KILLS, AT_ONCE = 50, 4
LONGEST_S = 3.5  # a transaction is committed every second: none to three of them
SLOW_BUILD = 4   # at least so many times the time to a run's first rows: sanitizers, a busy machine
SLOW_S = 5       # to the first rows: only with the thread sanitizer
LOOK_EVERY_S = 0.05


def start(database, more, **popen):
    return subprocess.Popen([ROOFTRACE, "run", *map(str, [*SAMPLE, database, *more])], text=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **popen)


def status_of_short(database):
    """Exit status of a run that completes."""
    run = start(database, SHORT)
    run.communicate(timeout=600)
    return run.returncode


def query(database, sql):
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as db:
        return db.execute(sql).fetchall()


def rows_seen(database):
    """Rows another connection sees now: 0 before there is a table. They are only ever appended, so the
    last rowid is their number; counting them all would hold the writer up."""
    if not database.exists():
        return 0
    try:
        return query(database, "SELECT coalesce(max(rowid), 0) FROM request")[0][0]
    except sqlite3.Error:
        return 0


def runs(database):
    """[(run_id, status)]; none when the file was not begun."""
    if not query(database, "SELECT 1 FROM sqlite_schema WHERE name = 'run'"):
        return []
    return query(database, "SELECT run_id, status FROM run ORDER BY run_id")


def rows_of(database):
    """{run_id: rows}, from the rows themselves."""
    return dict(query(database, "SELECT run_id, count(*) FROM request GROUP BY run_id"))


def time_to_first_rows(database):
    """Seconds until another connection sees rows of a run."""
    begun = time.monotonic()
    run = start(database, ENDLESS)
    try:
        while rows_seen(database) == 0 and time.monotonic() < begun + 120:
            time.sleep(LOOK_EVERY_S)
    finally:
        run.kill()
        run.communicate()
    return time.monotonic() - begun


class Killed(unittest.TestCase):
    def kill_one(self, number, moment_s, folder):
        """(rows seen before, rows found after) of one run killed at a moment."""
        database = folder / f"{number}.db"
        seen, end = 0, time.monotonic() + moment_s
        run = start(database, ENDLESS)
        try:
            while time.monotonic() < end:
                seen = max(seen, rows_seen(database))
                time.sleep(min(LOOK_EVERY_S, max(0, end - time.monotonic())))
            self.assertIsNone(run.poll(), "the run ended by itself")
        finally:
            run.kill()
            message = run.communicate()[1]
        what = f"kill {number} after {moment_s:.3f} s: {message}"
        self.assertEqual((run.returncode, message), (-signal.SIGKILL, ""), what)
        if not database.exists():
            self.assertEqual(seen, 0, what)
            return 0, 0
        found = self.check_file(database, seen, what)
        database.unlink()
        return seen, found

    def check_file(self, database, seen, what):
        self.assertEqual(query(database, "PRAGMA integrity_check"), [("ok",)], what)
        before = runs(database)
        self.assertIn(before, ([], [(1, "running")]), what)
        rows = rows_of(database) if before else {}
        self.assertLessEqual(rows.keys(), {1}, what)
        found = rows.get(1, 0)
        self.assertGreaterEqual(found, seen, what)
        self.assertEqual(status_of_short(database), 0, what)
        new = len(before) + 1
        self.assertEqual(runs(database), [*before, (new, "complete")], what)
        self.assertEqual(rows_of(database), {**rows, new: 20}, what)
        return found

    def test_kill_at_random_moments(self):
        rng = random.Random(SEED)
        with tempfile.TemporaryDirectory() as folder, \
                concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            first_s = time_to_first_rows(pathlib.Path(folder) / "first.db")
            longest_s = max(LONGEST_S, SLOW_BUILD * first_s)
            kills = KILLS if first_s < SLOW_S else KILLS // 4  # the rest would take minutes
            moments = [rng.uniform(0, longest_s) for _ in range(kills)]
            jobs = [pool.submit(self.kill_one, i, moment, pathlib.Path(folder))
                    for i, moment in enumerate(moments)]
            outcomes = [job.result() for job in jobs]
        kept = sum(found > 0 for _, found in outcomes)
        print(f"{kills} kills within {longest_s:.1f} s, seed {SEED}: {kept} kept rows, {max(f for _, f in outcomes)} at most",
              file=sys.stderr)
        self.assertGreater(sum(seen > 0 for seen, _ in outcomes), 0, "no kill came after a commit")


class FullDisk(unittest.TestCase):
    SIZE = 8 << 20  # written in some seconds: a few transactions fit, the last one does not

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def fill(self, database, **popen):
        """A complete run, then one that finds the disk full, then what must hold."""
        self.assertEqual(status_of_short(database), 0)
        seen = 0
        run = start(database, ENDLESS, **popen)
        self.addCleanup(run.kill)
        deadline = time.monotonic() + 1200
        while run.poll() is None and time.monotonic() < deadline:
            seen = max(seen, rows_seen(database))
            time.sleep(LOOK_EVERY_S)
        message = run.communicate(timeout=600)[1]
        self.assertEqual(run.returncode, 1, message)
        self.assertEqual(len(message.splitlines()), 1, message)
        self.assertTrue(message.startswith(f"rooftrace: {database}: "), message)
        self.assertEqual(query(database, "PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(runs(database), [(1, "complete"), (2, "failed")])
        rows = rows_of(database)
        self.assertEqual(rows[1], 20)
        self.assertGreaterEqual(sum(rows.values()), seen)
        why = query(database, "SELECT message FROM run WHERE run_id = 2")[0][0]
        self.assertIn(why, message)
        print(f"{seen - 20} rows seen before the disk was full, {rows.get(2, 0)} kept", file=sys.stderr)
        return message

    def test_a_small_file_system(self):
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self.SIZE}", "tmpfs", str(self.folder)]
        try:
            done = subprocess.run(mount, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            self.skipTest("no mount here")
        if done.returncode != 0:
            self.skipTest(f"mounting is not allowed here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", str(self.folder)], check=True)
        self.assertIn("full", self.fill(self.folder / "out.db"))

    def test_a_limit_on_the_size_of_files(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.SIZE, self.SIZE))

        database = self.folder / "out.db"
        self.fill(database, preexec_fn=limit)
        self.assertEqual(status_of_short(database), 0)  # there is room again
        self.assertEqual(runs(database)[2:], [(3, "complete")])


if __name__ == "__main__":
    if not (os.path.sep in ROOFTRACE and os.access(ROOFTRACE, os.X_OK)):
        sys.exit(f"ROOFTRACE: expected the path of the executable, read {ROOFTRACE!r}")
    unittest.main(verbosity=2)
