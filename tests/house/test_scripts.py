#!/usr/bin/env python3
"""Every shell script of the project is executable where it is a command, parses, and passes
shellcheck where that is installed (said in the output where it is not).

A script is a file whose first line names bash or sh, or whose name ends in .sh, outside build folders.
"""

import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = [".ci", "tools", "tests", "traces", "docs"]


def first_line(path):
    with open(path, "rb") as file:
        return file.readline(200).decode("utf-8", "replace")


def scripts():
    for top in FOLDERS:
        for folder, subfolders, names in os.walk(os.path.join(ROOT, top)):
            subfolders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name.endswith(".sh") or re.match(r"#!.*\b(ba)?sh\b", first_line(path)):
                    yield os.path.relpath(path, ROOT)


def problems(path):
    """What is wrong with one script, as a list of texts."""
    found = []
    if first_line(os.path.join(ROOT, path)).startswith("#!"):
        if not os.access(os.path.join(ROOT, path), os.X_OK):
            found.append(f"{path}:1: begins with #! but is not executable")
    checks = [["bash", "-n", path]]
    if shutil.which("shellcheck"):
        checks.append(["shellcheck", "--external-sources", "--format=gcc", path])
    for command in checks:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            found.append((done.stdout + done.stderr).strip())
    return found


def main():
    paths = list(scripts())
    if not paths:
        sys.exit("no shell script found")
    found = [text for path in paths for text in problems(path)]
    print("\n".join(found + [f"{len(paths)} scripts, {len(found)} with problems"]))
    if not shutil.which("shellcheck"):
        print("shellcheck is not installed: only `bash -n` was run")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
