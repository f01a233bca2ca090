#!/usr/bin/env python3
"""Files that commands write are there whole or not at all: after a signal, at a limit on the size of
files and on a full disk the folder is as it was, an older file included; a file that was written has
the old one's permissions and goes where a link points; pipes and devices are written in place.

Environment: ROOFTRACE = the executable. Standard library only.
"""
import os
import pathlib
import resource
import signal
import stat
import subprocess
import threading
import time

import run_case
from run_case import ROOFTRACE

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRACE = ROOT / "traces/sample.csv"
SYNTH = ["trace", "synth", "--arrivals", "poisson:5"]
PATIENCE_S = 600  # a sanitizer's build on a busy machine


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


class OutFile(run_case.RunCase):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        self.out.mkdir()
        os.umask(0o022)

    def kept(self):
        """What is in the folder: {name: text}."""
        return {path.name: path.read_text() for path in self.out.iterdir()}

    def commands(self):
        """Each command that writes a file, without the file's name at its end."""
        self.run_it(self.write_scenario([(0.01 * i, 100, 20) for i in range(50)], {"gpu": "h100-sxm"}))
        table = self.folder / "ops.csv"
        table.write_text("op,dtype,m,n,k,us\n" + "".join(
            f"gemm,bf16,{2 ** i},{n},4096,{20 + 2 ** i / 10 + n / 1e3}\n"
            for i in range(13) for n in (1024, 4096, 8192)))
        fit = ["calibrate", "--ops", table, "--gpu", "rtx-4090"]
        return {"a.csv": [*SYNTH, "--requests", 2000, "-o"], "b.jsonl": ["trace", "convert", TRACE, "-o"],
                "c.json": ["trace", "export", self.db, "--perfetto"],
                "d.svg": ["trace", "stat", TRACE, "--svg"], "e.json": [*fit, "-o"], "f.csv": [*fit, "--table"]}

    def test_whole_and_again(self):
        for name, words in self.commands().items():
            with self.subTest(name):
                path = self.out / name
                self.rooftrace(*words, path)
                first = self.kept()
                self.assertEqual([*first], [name])
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o644)
                self.assertGreater(len(first[name]), 200)
                path.write_text("old")
                path.chmod(0o640)
                self.rooftrace(*words, path)
                self.assertEqual(self.kept(), first)
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
                path.unlink()

    def test_no_room(self):
        for name, words in self.commands().items():
            for old in (None, "as it was"):
                with self.subTest(name, old=old):
                    path = self.out / name
                    if old:
                        path.write_text(old)
                    before = self.kept()
                    run = subprocess.run([ROOFTRACE, *map(str, [*words, path])], capture_output=True, text=True,
                                         preexec_fn=limit_files, timeout=1800)
                    self.assertEqual(run.returncode, 1, run.stderr)
                    self.assertIn(str(path), run.stderr.splitlines()[-1])
                    self.assertEqual(self.kept(), before)
                    path.unlink(missing_ok=True)

    def test_no_such_folder(self):
        for name, words in self.commands().items():
            run = self.rooftrace(*words, self.out / "none" / name, status=1)
            self.assertIn("No such file or directory", run.stderr.splitlines()[-1])

    def endless(self, path, **popen):
        """A command that has written some of what never ends."""
        run = subprocess.Popen([ROOFTRACE, *map(str, SYNTH), "--requests", "1000000000", "-o", str(path)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **popen)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        until = time.monotonic() + PATIENCE_S
        while not any(other.stat().st_size > 0 for other in self.out.iterdir() if other != path):
            self.assertIsNone(run.poll(), "it ended by itself")
            self.assertLess(time.monotonic(), until, "nothing is written beside the file")
            time.sleep(0.01)
        return run

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for old in (None, "as it was"):
                with self.subTest(number, old=old):
                    path = self.out / "x.csv"
                    if old:
                        path.write_text(old)
                    before = self.kept()
                    run = self.endless(path)
                    run.send_signal(number)
                    self.assertEqual(run.wait(PATIENCE_S), -number)
                    self.assertEqual(self.kept(), before)

    def test_an_ignored_signal_stays_ignored(self):
        run = self.endless(self.out / "x.csv", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        run.send_signal(signal.SIGHUP)
        run.send_signal(signal.SIGTERM)  # both are pending or done: had the first one counted, it would be told
        self.assertEqual(run.wait(PATIENCE_S), -signal.SIGTERM)
        self.assertEqual(self.kept(), {})

    def test_links(self):
        target, link = self.out / "target.csv", self.folder / "link.csv"
        target.write_text("old")
        link.symlink_to(target)
        self.rooftrace(*SYNTH, "-o", link)
        self.assertTrue(link.is_symlink())
        self.assertTrue(target.read_text().startswith("arrival"))
        target.unlink()
        self.rooftrace(*SYNTH, "-o", link)  # points to nothing
        self.assertTrue(link.is_symlink())
        self.assertTrue(target.read_text().startswith("arrival"))
        self.assertEqual([*self.kept()], ["target.csv"])

    def test_pipes_and_devices(self):
        want = self.rooftrace(*SYNTH, "-o", "-").stdout
        pipe = self.out / "pipe.csv"
        os.mkfifo(pipe)
        got = []
        reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
        reader.start()
        self.rooftrace(*SYNTH, "-o", pipe)
        reader.join(PATIENCE_S)
        self.assertEqual(got, [want])
        self.assertTrue(pipe.is_fifo())
        convert = ["trace", "convert", TRACE, "-o"]
        want = self.rooftrace(*convert, "-").stdout
        self.assertEqual(self.rooftrace(*convert, "/dev/stdout").stdout, want)
        path = self.out / "shell.jsonl"
        with open(path, "a", encoding="utf-8") as file:  # what the shell opened is written, not replaced
            subprocess.run([ROOFTRACE, *map(str, convert), "/dev/fd/1"], stdout=file, stderr=subprocess.DEVNULL,
                           check=True, timeout=1800)
            file.write("more\n")
        self.assertEqual(path.read_text(), want + "more\n")
        if os.path.exists("/dev/full"):
            self.assertIn("/dev/full: ", self.rooftrace(*convert, "/dev/full", status=1).stderr)

    def test_what_is_read_is_not_written(self):
        trace = self.out / "t.csv"
        trace.write_text(TRACE.read_text())
        before = self.kept()
        for words in (["trace", "convert", trace, "-o"], ["trace", "synth", "--like", trace, "-o"]):
            self.assertIn("is the trace itself", self.rooftrace(*words, trace, status=2).stderr)
        self.assertIn("is the trace itself", self.rooftrace("trace", "stat", trace, "--svg", trace, status=2).stderr)
        self.assertEqual(self.kept(), before)
        commands = self.commands()
        self.assertIn("is the database itself",
                      self.rooftrace(*commands["c.json"], self.db, status=2).stderr)
        table = self.folder / "ops.csv"
        link = self.folder / "link.csv"
        link.symlink_to(table)
        text = table.read_text()
        for name in ("e.json", "f.csv"):
            for path in (table, link):
                self.assertIn("is the table itself", self.rooftrace(*commands[name], path, status=2).stderr)
        self.assertEqual(table.read_text(), text)
        for what, path in (("log", TRACE), ("scenario", self.folder / "s.json")):
            self.assertIn(f"is the {what} itself", self.rooftrace(
                "calibrate", "--requests", TRACE, "--scenario", self.folder / "s.json", "-o", path, status=2).stderr)


if __name__ == "__main__":
    run_case.main()
