#!/usr/bin/env python3
"""Checks the walls of the house; each finding is one line `file:line: text`, and exit status 1.

  1. A folder includes only headers of folders to its left in LAYERS. `report` is stricter: it reads
     what a run wrote, so it may include base, results and itself only, and no chain of includes may
     lead it to sim or sweep.
  2. A private header is src/FOLDER/FOLDER_internal.h (or TOPIC_internal.h where a folder has several)
     and is included only by files of src/FOLDER.
  3. The first line of a public header is `/* folder/name.h: ...`: it tells which folder owns it.
  4. The database starts at results: no folder to its left includes sqlite3.h.
  5. Outside cli nothing prints and nothing ends the process. Text goes through snprintf into a
     buffer, or through fputs and the like into a stream that the caller opened.
  6. No mutable variable at file scope, no mutable static local, no thread-local. The one exception is
     `volatile sig_atomic_t` in cli: a signal handler can reach nothing else.
  7. A public header has at most LONGEST_HEADER lines: one topic each.
Tests obey rules 1 (tests/FOLDER stands where FOLDER does) and 2.

It reads text, not C: comments and string contents are blanked first, then regular expressions and
brace counting do the rest. No compiler and no ctags needed; linear in the size of the sources.
Limits: both branches of an #if are read, and a variable hidden behind a macro is not seen.
"""

import argparse
import os
import re
import sys

LAYERS = ["base", "workload", "cost", "replica", "fleet", "sim", "results", "sweep", "report", "cli"]
REPORT_MAY_INCLUDE = {"base", "results", "report"}
REPORT_NEVER_REACHES = {"sim", "sweep"}
FIRST_FOLDER_OF = {"sqlite3.h": "results"}
LONGEST_HEADER = 150

ENDS_OR_PRINTS = re.compile(
    r"(?<![\w.>])(exit|_exit|_Exit|quick_exit|abort|v?printf|fprintf|v?dprintf|puts|putchar|perror)\s*\("
)
STANDARD_STREAM = re.compile(r"(?<![\w.>])(stdout|stderr)\b")
THREAD_LOCAL = re.compile(r"\b(_Thread_local|thread_local|__thread)\b")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include\b[ \t]*(.*?)[ \t]*$", re.M)
FIRST_LINE = re.compile(r"/\* (\w+)/(\w+\.h): \S")


def blank(text):
    """The same text with every character but newlines turned into a space."""
    return re.sub(r"[^\n]", " ", text)


TOKEN = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|\Z)|//(?:\\\n|[^\n])*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.S | re.X,
)


def without_comments(text):
    """Comments blanked; line numbers and columns stay."""
    return TOKEN.sub(lambda m: blank(m.group()) if m.group("comment") else m.group(), text)


def code_only(text):
    """Comments, string contents and preprocessor lines blanked; lines and columns stay."""

    def replace(match):
        token = match.group()
        return blank(token) if match.group("comment") else token[0] + blank(token[1:-1]) + token[-1]

    text = TOKEN.sub(replace, text)
    return re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: blank(m.group()), text, flags=re.M)


class Source:
    """One file: its path from the root, its folder's name (None where no rule stands), its texts."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.uncommented = without_comments(self.text)
        parts = path.split("/")
        self.area = parts[0]
        first = FIRST_LINE.match(self.text)
        if self.area == "include":
            self.folder = first.group(1) if first else None
            self.named = first.group(2) if first else None
        else:
            self.folder = parts[1] if len(parts) > 2 else None

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def includes(self):
        """(line, "text with its quotes or brackets") of each #include."""
        for match in INCLUDE.finditer(self.uncommented):
            yield self.line_of(match.start(1)), match.group(1)


def find_sources(root):
    found = []
    for top in ("include/rooftrace", "src", "tests"):
        for folder, subfolders, names in os.walk(os.path.join(root, top)):
            subfolders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(folder, name), root)
                    found.append(Source(root, path.replace(os.sep, "/")))
    return found


def check_first_line(source):
    if source.area != "include":
        return
    name = os.path.basename(source.path)
    if source.folder is None:
        yield 1, f"the first line must be `/* folder/{name}: what it is`"
    elif source.folder not in LAYERS:
        yield 1, f"unknown folder `{source.folder}`, one of {', '.join(LAYERS)}"
    elif source.named != name:
        yield 1, f"the first line names `{source.named}`, the file is `{name}`"


def check_length(source):
    lines = len(source.text.splitlines())
    if source.area == "include" and lines > LONGEST_HEADER:
        yield LONGEST_HEADER + 1, f"a public header of {lines} lines, at most {LONGEST_HEADER}: split it by topic"


def check_folder_arrow(source, target, what):
    """None, or why `source` may not include something that belongs to the folder `target`."""
    if source.folder not in LAYERS or target not in LAYERS:
        return None
    if source.folder == "report" and target not in REPORT_MAY_INCLUDE and source.area != "tests":
        return f"report includes {what}: it may include only {', '.join(sorted(REPORT_MAY_INCLUDE))}"
    if LAYERS.index(target) > LAYERS.index(source.folder):
        return f"{source.folder} includes {what}: the arrow goes the other way"
    return None


def check_private_include(source, name, paths):
    """None, or why `source` may not include "name", which is no public header."""
    if source.area == "include":
        return f'a public header includes "{name}", which is none'
    if source.area == "tests":
        return f'a test includes the private "{name}"' if name.endswith("_internal.h") else None
    if not name.endswith("_internal.h"):
        return f'"{name}" is neither rooftrace/*.h nor *_internal.h'
    if "/" in name or f"src/{source.folder}/{name}" not in paths:
        return f'"{name}" is no private header of {source.folder}'
    return None


def check_includes(source, public, paths):
    for line, written in source.includes():
        match = re.fullmatch(r'(["<])([^">]+)[">]', written)
        if not match:
            yield line, f"#include {written}: only a plain file name can be checked"
            continue
        name = match.group(2)
        if name.startswith("rooftrace/"):
            header = public.get(name)
            if header is None:
                yield line, f'"{name}" does not exist under include/'
                continue
            problem = check_folder_arrow(source, header.folder, f"{name} of {header.folder}")
        elif match.group(1) == '"':
            problem = check_private_include(source, name, paths)
        else:
            problem = check_folder_arrow(source, FIRST_FOLDER_OF.get(name), f"<{name}>")
        if problem:
            yield line, problem


def check_private_name(source):
    if source.area == "src" and source.path.endswith(".h") and not source.path.endswith("_internal.h"):
        yield 1, f"a private header is named {source.folder}_internal.h or TOPIC_internal.h"


def check_report_reach(source, by_name):
    """report reaches sim through no chain of includes. Breadth first, so the chain is a shortest."""
    if source.folder != "report" or source.area == "tests":
        return
    for line, written in source.includes():
        queue = [[written[1:-1]]]
        seen = set()
        while queue:
            chain = queue.pop(0)
            header = by_name.get(chain[-1])
            if header is None or chain[-1] in seen:
                continue
            seen.add(chain[-1])
            if header.folder in REPORT_NEVER_REACHES and len(chain) > 1:
                yield line, f"report reaches {header.folder}: " + " -> ".join(chain)
                break
            queue += [chain + [text[1:-1]] for _, text in header.includes()]


def check_calls(source, code):
    if source.area == "src" and source.folder != "cli":
        for match in ENDS_OR_PRINTS.finditer(code):
            yield source.line_of(match.start()), f"{match.group(1)}() outside cli"
        for match in STANDARD_STREAM.finditer(code):
            yield source.line_of(match.start()), f"{match.group(1)} outside cli"


def top_level_statements(code):
    """(offset, text) of every declaration at file scope; what stands in braces is left out."""
    depth, start, text, in_body = 0, None, [], False
    for offset, char in enumerate(code):
        if char == "{":
            if depth == 0:
                before = "".join(text)
                in_body = before.rstrip().endswith(")") and "=" not in before
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
            if depth == 0 and in_body:
                start, text, in_body = None, [], False
            elif depth == 0:
                text.append("{}")
        elif depth == 0 and char == ";":
            if start is not None:
                yield start, "".join(text)
            start, text = None, []
        elif depth == 0:
            if start is None and not char.isspace():
                start = offset
            if start is not None:
                text.append(char)


def static_locals(code):
    """(offset, text) of every `static ...;` inside braces."""
    depth = 0
    for match in re.finditer(r"[{}]|\bstatic\b[^;{}]*", code):
        if match.group() in "{}":
            depth += 1 if match.group() == "{" else -1
        elif depth > 0:
            yield match.start(), match.group()


def without_parentheses(text):
    """Text with every innermost (...) removed until none is left."""
    while True:
        shorter = re.sub(r"\([^()]*\)", "", text)
        if shorter == text:
            return text
        text = shorter


def split_declarators(text):
    """`int a, *b` -> ["int a", "int *b"]; commas in parentheses, braces and brackets do not split."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    specifiers = re.match(r"[\w\s{}]*?(?=\s\**\s*\w+\s*(?:\[[^]]*\]\s*)*(?:=|$))", parts[0], re.S)
    prefix = specifiers.group() + " " if specifiers else ""
    return [parts[0]] + [prefix + part for part in parts[1:]]


def mutable_variable(declarator, is_cli):
    """The name of the mutable variable this declarator makes, or None."""
    text = re.sub(r"__attribute__\s*\(\(.*?\)\)|_Alignas\s*\([^()]*\)", " ", declarator, flags=re.S)
    text = re.sub(r"\[[^]]*\]", "", text.split("=", 1)[0])
    if re.search(r"\b(typedef|_Static_assert|static_assert)\b", text):
        return None
    pointer = re.search(r"\(\s*\*\s*(const\b)?\s*(\w+)\s*\)\s*\(", text)
    if pointer:
        return None if pointer.group(1) else pointer.group(2)
    if "(" in text:
        return None  # a function's declaration, or a macro's use
    text = without_parentheses(text)
    if re.fullmatch(r"\s*(?:(?:static|extern|const)\s+)*(?:struct|union|enum)\b\s*\w*\s*(\{\})?\s*", text):
        return None  # a type alone
    if is_cli and re.search(r"\bvolatile\s+sig_atomic_t\b", text):
        return None
    name = re.search(r"(\w+)\s*$", text)
    if not name or not re.search(r"\w+[\s*]+\w+\s*$|\}\s*\**\s*\w+\s*$", text):
        return None
    where = text.rfind("*")
    return None if re.search(r"\bconst\b", text[where + 1:]) else name.group(1)


def check_variables(source, code):
    if source.area not in ("src", "include"):
        return
    for match in THREAD_LOCAL.finditer(code):
        yield source.line_of(match.start()), f"{match.group(1)}: no thread-local variables"
    found = [(o, t, "at file scope") for o, t in top_level_statements(code)]
    found += [(o, t, "in a static local") for o, t in static_locals(code)]
    for offset, text, where in found:
        for declarator in split_declarators(text):
            name = mutable_variable(declarator, source.folder == "cli")
            if name:
                yield source.line_of(offset), f"mutable variable `{name}` {where}"


def check(root):
    """All findings as sorted (path, line, text), and the number of files read."""
    sources = find_sources(root)
    public = {f"rooftrace/{os.path.basename(s.path)}": s for s in sources if s.area == "include"}
    of_report = {os.path.basename(s.path): s for s in sources if s.path.startswith("src/report/")}
    paths = {s.path for s in sources}
    found = set()
    for source in sources:
        code = code_only(source.text)
        for rule in (check_first_line(source), check_length(source), check_private_name(source),
                     check_includes(source, public, paths),
                     check_report_reach(source, {**of_report, **public}),
                     check_calls(source, code), check_variables(source, code)):
            found.update((source.path, line, text) for line, text in rule)
    return sorted(found), len(sources)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--root", default=default_root, help="the project's root (default: this one)")
    root = parser.parse_args().root
    found, files = check(root)
    if files == 0:
        sys.exit(f"{root}: no C file under include/rooftrace, src or tests: is this the project's root?")
    for path, line, text in found:
        print(f"{path}:{line}: {text}")
    print(f"{files} files, {len(found)} violations" if found else f"{files} files, no violation")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
