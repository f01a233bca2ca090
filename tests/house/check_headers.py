#!/usr/bin/env python3
"""Every public header compiles alone, and twice in one file, without a warning.

usage: check_headers.py [COMPILER]     (default: $CC, else cc)
Each include/rooftrace/*.h becomes a translation unit of its own, so a header that leans on what
another happened to include fails here, with the compiler's words. About 20 ms a header.
"""

import glob
import os
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLAGS = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic",
         "-Wundef", "-Wstrict-prototypes", "-Werror", "-Iinclude", "-x", "c", "-"]


def compile_alone(compiler, header):
    """None, or what the compiler said."""
    name = os.path.relpath(header, os.path.join(ROOT, "include")).replace(os.sep, "/")
    # The declaration keeps the file from being empty, which ISO C forbids.
    command = [compiler] if os.path.exists(compiler) else shlex.split(compiler)
    unit = f'#include "{name}"\n#include "{name}"\nextern int rt_nothing_else;\n'
    done = subprocess.run([*command, *FLAGS], input=unit, capture_output=True, text=True, cwd=ROOT)
    return None if done.returncode == 0 else done.stderr.strip()


def main():
    compiler = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CC") or "cc"
    headers = sorted(glob.glob(os.path.join(ROOT, "include", "rooftrace", "*.h")))
    if not headers:
        sys.exit("no header under include/rooftrace")
    failed = 0
    for header in headers:
        said = compile_alone(compiler, header)
        if said is not None:
            failed += 1
            print(f"{os.path.relpath(header, ROOT)} does not compile alone:\n{said}\n")
    print(f"{len(headers)} headers with {compiler}, {failed} do not compile alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
