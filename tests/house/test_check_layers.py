#!/usr/bin/env python3
"""tools/check_layers.py finds what it promises to find, and nothing in a tree that keeps the rules.

Each case builds a small tree in a temporary folder and runs the tool on it with --root.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "check_layers.py")

GOOD = {
    "include/rooftrace/err.h": "/* base/err.h: errors. */\nextern const char *const rt_names[];\n"
    "struct rt_err {\n    int code;\n};\n",
    "include/rooftrace/sim.h": '/* sim/sim.h: the loop. */\n#include "rooftrace/err.h"\n',
    "include/rooftrace/query.h": '/* results/query.h: reads. */\n#include "rooftrace/err.h"\n',
    "include/rooftrace/store.h": '/* results/store.h: writes. */\n#include "rooftrace/sim.h"\n',
    "include/rooftrace/cost.h": "/* cost/cost.h: times. */\n",
    "src/base/err.c": '/* Story. */\n#include "rooftrace/err.h"\n#include "base_internal.h"\n'
    "#include <stdlib.h>\n\nint rt_f(int a)\n{\n    return a;\n}\n",
    "src/base/base_internal.h": "int rt_private(void);\n",
    "src/results/store.c": '#include "rooftrace/store.h"\n#include <sqlite3.h>\n',
    "src/report/page.c": '#include "rooftrace/query.h"\n#include "rooftrace/err.h"\n',
    "src/cli/main.c": '#include "rooftrace/store.h"\n#include <stdio.h>\n'
    "static volatile sig_atomic_t interrupted;\n"
    'int main(void)\n{\n    printf("x");\n    exit(1);\n}\n',
    "tests/sim/test_sim.c": '#include "rooftrace/sim.h"\n#include "test.h"\nstatic int calls;\n',
    "tests/support/test.h": '/* support. */\n#include "rooftrace/err.h"\n',
}


def run(files):
    """(exit status, standard output, standard error) of the tool on a tree of these files."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([sys.executable, TOOL, "--root", root], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr


class Layers(unittest.TestCase):
    def finds(self, path, text, line, words, count=1):
        """GOOD with this one file changed has exactly these violations, the first at `line`."""
        status, out, err = run({**GOOD, path: text})
        found = out.splitlines()[:-1]
        self.assertEqual((status, len(found)), (1, count), out + err)
        self.assertRegex(found[0], rf"^{re.escape(path)}:{line}: .*{words}")

    def accepts(self, path, text):
        status, out, err = run({**GOOD, path: text})
        self.assertEqual(status, 0, out + err)

    def test_good_tree(self):
        status, out, _ = run(GOOD)
        self.assertEqual((status, out), (0, f"{len(GOOD)} files, no violation\n"))

    def test_empty_tree_is_an_error(self):
        status, out, err = run({})
        self.assertEqual((status, out), (1, ""))
        self.assertIn("project's root", err)

    def test_arrow_to_the_right(self):
        self.finds("src/base/up.c", '\n#include "rooftrace/sim.h"\n', 2, "base includes .*sim.h of sim")
        self.finds("include/rooftrace/up.h", '/* cost/up.h: x. */\n#include "rooftrace/sim.h"\n', 2,
                   "cost includes")
        self.finds("tests/base/test_up.c", '#include "rooftrace/sim.h"\n', 1, "base includes")
        self.finds("src/sim/db.c", "#include <sqlite3.h>\n", 1, "sim includes <sqlite3.h>")

    def test_report_reads_only_results(self):
        self.finds("src/report/page.c", '#include "rooftrace/cost.h"\n', 1, "may include only")
        self.finds("src/report/page.c", '\n\n#include "rooftrace/store.h"\n', 3,
                   r"reaches sim: rooftrace/store.h -> rooftrace/sim.h")
        self.finds("src/report/page.c", '#include "rooftrace/sim.h"\n', 1, "may include only")
        by_private = {"src/report/page.c": '#include "report_internal.h"\n',
                      "src/report/report_internal.h": '#include "rooftrace/store.h"\n'}
        status, out, _ = run({**GOOD, **by_private})
        self.assertEqual((status, out.count("reaches sim")), (1, 2), out)

    def test_private_headers(self):
        self.finds("src/sim/peek.c", '#include "base_internal.h"\n', 1, "no private header of sim")
        self.finds("src/sim/peek.c", '#include "../base/base_internal.h"\n', 1, "no private header")
        self.finds("src/sim/peek.c", '#include "err.h"\n', 1, "neither")
        self.finds("tests/base/test_err.c", '#include "base_internal.h"\n', 1, "a test includes")
        self.finds("include/rooftrace/open.h", '/* base/open.h: x. */\n#include "base_internal.h"\n', 2,
                   "which is none")
        self.finds("src/base/helpers.h", "int rt_f(void);\n", 1, "is named base_internal.h")
        self.accepts("src/base/tables_internal.h", "int rt_f(void);\n")

    def test_first_line_names_folder_and_file(self):
        self.finds("include/rooftrace/a.h", "/* about a. */\n", 1, r"must be `/\* folder/a.h:")
        self.finds("include/rooftrace/a.h", "", 1, "first line must be")
        self.finds("include/rooftrace/a.h", "/* bass/a.h: x. */\n", 1, "unknown folder `bass`")
        self.finds("include/rooftrace/a.h", "/* base/b.h: x. */\n", 1, "the file is `a.h`")

    def test_long_public_headers(self):
        first, line = "/* base/a.h: x. */\n", "int rt_a(void);\n"
        self.finds("include/rooftrace/a.h", first + 150 * line, 151, "of 151 lines, at most 150")
        self.finds("include/rooftrace/a.h", first + 300 * line, 151, "of 301 lines")
        self.finds("include/rooftrace/a.h", first + 149 * line + "/* */", 151, "of 151 lines")
        self.accepts("include/rooftrace/a.h", first + 149 * line)
        self.accepts("src/base/long_internal.h", 300 * line)
        self.accepts("tests/support/test.h", first + 300 * line)

    def test_includes_that_cannot_be_checked(self):
        self.finds("src/base/x.c", "#include HEADER\n", 1, "plain file name")
        self.finds("src/base/x.c", '#include "rooftrace/gone.h"\n', 1, "does not exist")

    def test_nothing_prints_or_ends_below_cli(self):
        for call in ("exit(1)", "abort()", 'printf("x")', 'fprintf(f, "x")', "_Exit (1)", 'perror("x")'):
            self.finds("src/sim/x.c", f"int f(void)\n{{\n    {call};\n}}\n", 3, "outside cli")
        self.finds("src/sim/x.c", "int f(void)\n{\n    fputs(s, stderr);\n}\n", 3, "stderr outside cli")
        self.accepts("src/sim/x.c", "int f(void)\n{\n    snprintf(b, 3, s);\n    rt_exit(1);\n"
                     "    policy->exit(1);\n    fputs(s, out);\n}\n")

    def test_comments_and_strings_are_no_code(self):
        self.accepts("src/sim/x.c", '/* exit(1); \n#include "rooftrace/store.h"\n*/\n'
                     '// abort()\nstatic const char *const s = "abort(); \\" exit(1)";\n'
                     "static const char c = '\"';\n")
        self.finds("src/sim/x.c", "const char *f(void)\n{\n    return \"/*\";\n}\nint g(void)\n{\n"
                   "    abort(); /* */\n}\n", 7, "abort")

    def test_mutable_variables(self):
        for text, name in [
            ("static int n;", "n"), ("int n = 3;", "n"), ("extern int n;", "n"), ("struct rt_err e;", "e"),
            ("static const char *names[] = {0};", "names"), ("static char buf[10];", "buf"),
            ("static struct rt_err table[] = { { 1 }, { 2 } };", "table"),
            ("static void (*hook)(int);", "hook"), ("struct { int a; } pair;", "pair"),
            ("static const int a = 1, *p;", "p"), ("enum color { RED } c;", "c"),
        ]:
            with self.subTest(text):
                self.finds("src/base/x.c", f"/* x */\n{text}\n", 2, f"mutable variable `{name}`")
        self.finds("src/base/x.c", "int f(void)\n{\n    static int calls;\n    return calls++;\n}\n", 3,
                   "`calls` in a static local")
        self.finds("src/base/x.c", "_Thread_local const int n;\n", 1, "no thread-local")
        self.finds("src/base/x.c", "static volatile sig_atomic_t interrupted;\n", 1, "mutable")

    def test_what_is_no_mutable_variable(self):
        for text in [
            "static const int n = 3;", "extern const char rt_schema[];", "struct rt_err;",
            "static const char *const names[] = {\n    [0] = \"a\",\n};", "enum { A, B = 3 };",
            "static const struct rt_err table[] = { { 1 }, { 2 } };", "static bool f(int a, char *b);",
            "static void (*const hook)(int) = f;", "__extension__ typedef unsigned __int128 rt_u128;",
            "bool f(struct rt_err *e) __attribute__((format(printf, 1, 2)));",
            "#define X(a) \\\n    static int a;\n", "_Static_assert(sizeof(int) == 4, \"int\");",
            "struct rt_x {\n    int a, *b;\n    union {\n        int c;\n    } u;\n};",
            "static int f(void)\n{\n    int n = 0;\n    for (int i = 0; i < 3; i++) {\n        n++;\n"
            "    }\n    return n;\n}", "int f(void)\n{\n    static const int t[] = { 1 };\n    return t[0];\n}",
        ]:
            with self.subTest(text):
                self.accepts("src/base/x.c", text + "\n")


if __name__ == "__main__":
    unittest.main()
