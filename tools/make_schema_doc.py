#!/usr/bin/env python3
"""Makes docs/schema.md from the comments of src/results/schema.sql, so that both say the same.

    tools/make_schema_doc.py            writes docs/schema.md
    tools/make_schema_doc.py --check    exit status 1 when docs/schema.md is out of date (a test)

The rules of the comments stand at the top of schema.sql. A table's column without a comment, a view
without an example, and a view's column that has neither a comment nor a name that tells its unit are
errors: every figure a user can see is explained. Reads text line by line; --check also asks SQLite
whether these are the columns, in their order.
"""

import os
import re
import sqlite3
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SQL = os.path.join(ROOT, "src", "results", "schema.sql")
DOC = os.path.join(ROOT, "docs", "schema.md")

HEADER = """# The database

<!-- Made by tools/make_schema_doc.py from src/results/schema.sql: change the comments there. -->

`rooftrace run ... -o out.db` writes one SQLite file (SQLite 3.37 or newer); running again with the same
file adds a run. Query it with `rooftrace query out.db "SELECT ..."`, the `sqlite3` shell, or any program
that reads SQLite.

- Names end in their unit: `_ns`, `_s`, `_ms`, `_bytes`, `_tokens`, `_blocks`, `_usd`; a bare count has none.
- Times are simulated time since the start of the trial. `NULL` means: never happened, not asked for, or not
  known (yet).
- Tables hold what was simulated, and percentiles; everything else that can be derived is a view. Start with
  the views `summary` and `requests`.
- `PRAGMA user_version` is the schema's version ({version}); a file of another version is refused, not changed.
- A run that was killed leaves a file that opens, with the status `running` and what had finished up to a second
  before. This holds for the death of the process, not for power loss.
- Read as much as you like while a run writes. It commits once a second and locks the file for that moment:
  `rooftrace query` waits for it, and Python's sqlite3; in the `sqlite3` shell say `.timeout 5000` first, or it
  may answer "database is locked".
"""

# Columns that mean the same wherever they appear.
CLEAR = {
    "run_id": "the run",
    "request_id": "place in the trace, from 0",
    "class": "traffic class",
    "scope": "run: whole run; measured: the measured window",
    "pool": "pool of the fleet",
    "replica": "number in the fleet, from 0",
    "status": "as in `request`",
    "reason": "as in `request`",
    "model": "name in the catalogue",
    "gpu": "name in the catalogue",
    "requests": "count",
    "good_requests": "count of requests that met all objectives",
    "preemptions": "count",
    "replicas": "count",
    "gpus": "count",
    "steps": "count",
    "term": "term of the cost model",
    "label": "as in `run`",
    "message": "as in `run`",
    "trace": "as in `run`",
    "session_id": "as in `request`",
    "rejected": "as in `run`",
    "unfinished": "as in `run`",
    "ratio": "b / a",
    "max_concurrent_requests": "as in `run`",
    "run_a": "the one run",
}
UNITS = [
    (r"_usd_per_h$", "USD an hour"),
    (r"^usd_per_", "USD"),
    (r"_tokens_per_s_per_gpu$", "output tokens per second and GPU"),
    (r"_tokens_per_s$", "tokens per second"),
    (r"requests_per_s$", "requests per second"),
    (r"tokens_per_step$", "tokens"),
    (r"_ns$", "nanoseconds"),
    (r"_ms$", "milliseconds"),
    (r"_s$", "seconds"),
    (r"_usd$", "USD"),
    (r"_bytes$", "bytes"),
    (r"_blocks(_peak|_used)?$", "KV blocks"),
    (r"(^|_)(tokens)$", "tokens"),
    (r"_share$", "share, 0 to 1"),
    (r"_hours$", "hours"),
    (r"_dtype$", "number format"),
    (r"_parallel$", "degree"),
    (r"^(ttft|tpot|e2e)$", "share, 0 to 1"),
    (r"^(status|statistic)_[ab]$", "of run a / b"),
]
class Problem(Exception):
    pass


def meaning(name, comment):
    """What the page says about a column."""
    if comment:
        return comment
    if name in CLEAR:
        return CLEAR[name]
    for pattern, text in UNITS:
        if re.search(pattern, name):
            return text
    raise Problem(f"column {name}: no comment, and its name does not tell its unit")


def statements(text):
    """(kind, name, lines) of every CREATE TABLE and CREATE VIEW; ends at a line that ends in ';'."""
    lines = iter(text.split("\n"))
    for line in lines:
        match = re.match(r"CREATE (TABLE|VIEW) (\w+)", line)
        if match:
            body = []
            for inner in lines:
                code = inner.split("--")[0].rstrip()
                body.append(inner if not code.endswith(";") else code[:-1])
                if code.endswith(";"):
                    break
            yield match.group(1).lower(), match.group(2), body


def describe(lines):
    """The comment lines at the start: (prose, examples, the other lines)."""
    prose, examples, at = [], [], 0
    while at < len(lines) and lines[at].strip().startswith("--"):
        line = lines[at].strip()[2:].strip()
        if line.startswith("Example:"):
            examples.append(line[len("Example:"):].strip())
        else:
            prose.append(line)
        at += 1
    return " ".join(prose), examples, lines[at:]


def table_columns(lines):
    for line in lines:
        match = re.match(r"    ([a-z]\w*) (INTEGER|REAL|TEXT)\b([^-]*?),?\s*(?:-- (.*))?$", line)
        if match:
            name, kind, rest, comment = match.groups()
            kind += " not null" if "NOT NULL" in rest or "PRIMARY KEY" in rest else ""
            yield name, kind.lower(), meaning(name, comment)


def outer_select(lines):
    """The lines of the outermost SELECT list, by counting parentheses from the left margin."""
    depth, inside, out = 0, False, []
    for line in lines:
        code = re.sub(r"'[^']*'", "''", line.split("--")[0])
        if depth == 0 and re.match(r"    SELECT\b", code):
            inside, out = True, []
            line = line.replace("SELECT", "      ", 1)
        elif depth == 0 and re.match(r"    FROM\b", code):
            return out
        depth += code.count("(") - code.count(")")
        if inside:
            out.append((line, depth))
    raise Problem("no FROM")


def view_columns(lines):
    """(name, comment): a column ends where its line ends in a comma, or the list ends."""
    code, out = "", []
    selected = outer_select(lines)
    for index, (line, depth) in enumerate(selected):
        text, _, comment = line.partition("--")
        code += " " + text.strip()
        last = index == len(selected) - 1
        if depth == 0 and (code.endswith(",") or last) and code.strip():
            for part in split_commas(code.strip().rstrip(",")):
                name = re.search(r"(\w+)\s*$", part)
                out.append((name.group(1), comment.strip()))
            code = ""
    return [(name, meaning(name, comment)) for name, comment in out]


def split_commas(code):
    """Columns that share a line, split at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(code):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(code[start:at])
            start = at + 1
    return parts + [code[start:]]


def check_columns(sql):
    """The columns found in the text are those SQLite finds."""
    if sqlite3.sqlite_version_info < (3, 37):
        print(f"SQLite {sqlite3.sqlite_version} knows no STRICT tables: columns not compared with it")
        return
    database = sqlite3.connect(":memory:")
    database.executescript(sql)
    for kind, name, lines in statements(sql):
        rest = describe(lines)[2]
        found = [c[0] for c in (table_columns(rest) if kind == "table" else view_columns(rest))]
        real = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
        if found != real:
            raise Problem(f"{name}: this script reads the columns {found}, SQLite {real}")


def cell(text):
    return text.replace("|", "\\|")


def page(text):
    version = re.search(r"PRAGMA user_version = (\d+)", text).group(1)
    tables, views = [], []
    for kind, name, lines in statements(text):
        prose, examples, rest = describe(lines)
        if not prose:
            raise Problem(f"{name}: no comment")
        try:
            body = table_section(rest) if kind == "table" else view_section(rest, examples)
        except Problem as problem:
            raise Problem(f"{name}: {problem}") from problem
        (tables if kind == "table" else views).append((name, prose, body))
    out = [HEADER.format(version=version)]
    for title, entries in (("Tables", tables), ("Views", views)):
        out.append(f"## {title}\n\n" + ", ".join(f"[`{n}`](#{n})" for n, _, _ in entries) + "\n")
        for name, prose, body in entries:
            out.append(f"### `{name}`\n\n{prose}\n\n{body}\n")
    return "\n".join(out)


def table_section(lines):
    rows = [f"| `{n}` | {kind} | {cell(text)} |" for n, kind, text in table_columns(lines)]
    return "\n".join(["| column | type | meaning |", "|---|---|---|"] + rows)


def view_section(lines, examples):
    if not examples:
        raise Problem("no example")
    rows = [f"| `{n}` | {cell(text)} |" for n, text in view_columns(lines)]
    sql = "```sql\n" + "\n".join(examples) + "\n```"
    return "\n".join([sql, "", "| column | meaning |", "|---|---|"] + rows)


def main():
    with open(SQL, encoding="utf-8") as file:
        sql = file.read()
    want = page(sql)
    if sys.argv[1:] == ["--check"]:
        check_columns(sql)
        have = open(DOC, encoding="utf-8").read() if os.path.exists(DOC) else ""
        if have != want:
            sys.exit("docs/schema.md is out of date: run tools/make_schema_doc.py")
        print("docs/schema.md is up to date")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        with open(DOC, "w", encoding="utf-8") as file:
            file.write(want)


if __name__ == "__main__":
    try:
        main()
    except Problem as error:
        sys.exit(f"{os.path.relpath(SQL, ROOT)}: {error}")
