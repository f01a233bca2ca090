#!/usr/bin/env python3
"""Every command in README.md's ```sh blocks works: each block is run as one bash script.

usage: check_readme.py [FILE]          the executable under test in $ROOFTRACE

The blocks run one after the other in a temporary folder that looks like the project's root: links to
everything in it, but a build folder of its own, so that databases land there and paths such as
traces/sample.csv resolve. `rooftrace` in PATH and at build/release/src/cli/rooftrace is $ROOFTRACE.
tools/quickstart runs with it and so installs and builds nothing; tools/test only says that it was
reached. A command that fails is named with its line of README.md. Without README.md: skipped (77).
"""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIP = 77
LIMIT_S = 1800
PREAMBLE = """set -Eeuo pipefail; trap 'echo "README.md:$LINENO: exit status $?" >&2; exit 1' ERR"""


def blocks(text):
    """(line number of the first command, commands) of each ```sh block; a fence must be closed."""
    begin, lines = None, []
    for number, line in enumerate(text.splitlines(), 1):
        if begin is None:
            if re.fullmatch(r"\s*```sh\s*", line):
                begin, lines = number + 1, []
        elif re.fullmatch(r"\s*```\s*", line):
            yield begin, lines
            begin = None
        else:
            lines.append(line)
    if begin is not None:
        sys.exit(f"README.md:{begin - 1}: this ```sh block is never closed")


def make_root(folder, executable):
    """Fills `folder` so that it stands for the project's root."""
    for name in os.listdir(ROOT):
        if name not in (".git", "build", "tools"):
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
    os.makedirs(os.path.join(folder, "tools"))
    for name in os.listdir(os.path.join(ROOT, "tools")):
        if name != "test":
            os.symlink(os.path.join(ROOT, "tools", name), os.path.join(folder, "tools", name))
    with open(os.path.join(folder, "tools", "test"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho 'tools/test: not run inside a test'\n")
    os.chmod(os.path.join(folder, "tools", "test"), 0o755)
    program = os.path.join(folder, "build", "release", "src", "cli")
    os.makedirs(program)
    os.symlink(executable, os.path.join(program, "rooftrace"))
    return program


def run_block(begin, lines, folder, environment):
    """The block's exit status. Blank lines in front make bash count as README.md does."""
    script = PREAMBLE + "\n" * (begin - 1) + "\n".join(lines) + "\n"
    path = os.path.join(folder, ".block")
    with open(path, "w", encoding="utf-8") as file:
        file.write(script)
    try:
        return subprocess.run(["bash", path], cwd=folder, env=environment, timeout=LIMIT_S,
                              stdin=subprocess.DEVNULL).returncode
    except subprocess.TimeoutExpired:
        print(f"README.md:{begin}: this block did not end within {LIMIT_S} s")
        return 1


def main():
    readme = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "README.md")
    executable = os.environ.get("ROOFTRACE")
    if not os.path.exists(readme):
        print(f"skipped: no {readme}")
        return SKIP
    if not executable or not os.access(executable, os.X_OK):
        sys.exit(f"ROOFTRACE={executable}: no executable; it names the rooftrace to test")
    with open(readme, encoding="utf-8") as file:
        found = list(blocks(file.read()))
    if not found:
        sys.exit(f"{readme}: no ```sh block: it shows no command")
    with tempfile.TemporaryDirectory() as folder:
        program = make_root(folder, os.path.abspath(executable))
        environment = {**os.environ, "ROOFTRACE": os.path.abspath(executable),
                       "PATH": program + os.pathsep + os.environ["PATH"]}
        for begin, lines in found:
            print(f"--- README.md:{begin}", *lines, sep="\n    ", flush=True)
            if run_block(begin, lines, folder, environment) != 0:
                return 1
    print(f"{len(found)} blocks ran")
    return 0


if __name__ == "__main__":
    sys.exit(main())
