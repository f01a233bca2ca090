"""What end-to-end tests of `rooftrace run` share: a folder of their own, scenarios of a few rows, the
database. Not a test. Environment: ROOFTRACE = the executable. Standard library only.
"""
import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import unittest

ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
# A step of 10 ms whatever is in it.
STEP = {"kind": "linear", "coefficients_s": [0.01, 0, 0, 0, 0]}
ENGINE = {"num_gpu_blocks": 1000, "max_num_seqs": 8, "async_scheduling": False}


class RunCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.db = self.folder / "out.db"

    def write_scenario(self, rows, pool, columns="", **more):
        """A scenario of these rows (arrival, prompt, output, ...) and one pool; `more` are its other keys."""
        (self.folder / "t.csv").write_text("arrival_s,prompt_tokens,output_tokens" + columns + "\n" + "".join(
            ",".join(map(str, row)) + "\n" for row in rows))
        document = {"workload": {"trace": "t.csv"}, "model": "llama-3.1-8b", "cost": STEP,
                    "pools": [{"engine": ENGINE, **pool}]}
        more["workload"] = {**document["workload"], **more.get("workload", {})}
        document.update(more)
        path = self.folder / "s.json"
        path.write_text(json.dumps(document))
        return path

    def rooftrace(self, *argv, status=0):
        run = subprocess.run([ROOFTRACE, *map(str, argv)], capture_output=True, text=True, timeout=1800)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run

    def run_it(self, path, *options, status=0):
        return self.rooftrace("run", path, "-o", self.db, *options, status=status)

    def rows(self, sql, db=None):
        with contextlib.closing(sqlite3.connect(db or self.db)) as connection:
            return connection.execute(sql).fetchall()


def main():
    if not (os.path.sep in ROOFTRACE and os.access(ROOFTRACE, os.X_OK)):
        sys.exit(f"ROOFTRACE: expected the path of the executable, read {ROOFTRACE!r}")
    unittest.main(verbosity=2)
