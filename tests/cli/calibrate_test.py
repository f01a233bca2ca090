#!/usr/bin/env python3
"""rooftrace calibrate and --profile, through the executable: constants come back from a table and from
a log that were made with known ones, the written record works as --gpu with its provenance, the
written table as --profile, a run stores where its times came from and repeats from its own
scenario; wrong words have one line of explanation.
"""
import csv
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
TRACE = str(ROOT / "traces" / "sample.csv")
BANDWIDTH, PEAK = 1008e9, 165.2e12  # of the rtx-4090's record
TRUE = {"gemm_eff_compute": 0.8, "gemm_eff_memory": 0.7, "gemm_smooth_p": 2.0,
        "gemm_overhead_us": 7.0}
# Batches of 2 to 37 tell host time a step from host time a sequence; a steady load tells their sum.
RAMP = {"trace": TRACE, "max_requests": 600,
        "rate_profile": {"shape": "linear", "points": [[0, 0.1], [240, 5]]}}
STEADY = {"trace": TRACE, "max_requests": 300, "rate_scale": 2.0}


def rooftrace(*argv, status=0, text=""):
    answer = subprocess.run([ROOFTRACE, *map(str, argv)], capture_output=True, text=True,
                            check=False)
    if answer.returncode != status or text not in answer.stdout + answer.stderr:
        sys.exit(f"rooftrace {' '.join(map(str, argv))}: exit {answer.returncode}, expected {status} "
                 f"and \"{text}\"\n{answer.stdout}\n{answer.stderr}")
    if status not in (0, 130) and answer.stderr.count("\n") != 1:
        sys.exit(f"rooftrace {' '.join(map(str, argv))}: expected one line\n{answer.stderr}")
    return answer.stdout


def near(got, want, within, what):
    if not abs(got - want) <= within * abs(want):
        sys.exit(f"{what}: {got}, expected {want} within {within}")


def gemm_us(m, n, k):
    p = TRUE["gemm_smooth_p"]
    compute = 2 * m * n * k / (PEAK * TRUE["gemm_eff_compute"])
    memory = 2 * (n * k + m * k + m * n) / (BANDWIDTH * TRUE["gemm_eff_memory"])
    return 1e6 * (compute ** p + memory ** p) ** (1 / p) + TRUE["gemm_overhead_us"]


def test_operators(folder):
    table = folder / "ops.csv"
    with table.open("w") as out:
        out.write("op,model,dtype,m,n,k,us\n")
        for model, shapes in (("one", ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))),
                              ("two", ((10240, 8192), (8192, 8192)))):
            for n, k in shapes:
                for power in range(14):
                    m = 2 ** power
                    out.write(f"gemm,{model},bf16,{m},{n},{k},{gemm_us(m, n, k):.9g}\n")
    record, again = folder / "mine.json", folder / "again.csv"
    text = rooftrace("calibrate", "--ops", table, "--gpu", "rtx-4090", "-o", record, "--table", again,
                     "--date", "2026-11-22")
    if "left out" not in text or "m 513-4096" not in text:
        sys.exit(f"no errors by range:\n{text}")
    document = json.loads(record.read_text())
    for key, value in TRUE.items():
        # what a kernel costs at least and a second pass over K are told by the same few rows
        near(document["constants"][key], value, 0.02 if key == "gemm_overhead_us" else 0.01, key)
    source = document["sources"]["gemm"]
    for word in ("ops.csv", "measured 2026-11-22", "84 rows", "left out"):
        if word not in source:
            sys.exit(f"provenance lacks {word}: {source}")
    if document["name"] != "rtx-4090-fitted":
        sys.exit(f"name: {document['name']}")
    rooftrace("catalog", "show", record, text="median error on measured operators")
    rooftrace("estimate", "--model", "llama-3.1-8b", "--gpu", record)
    rooftrace("estimate", "--model", "llama-3.1-8b", "--gpu", record, "--profile", again,
              text="scaled")  # no LM head in the table
    before = record.read_text()
    rooftrace("calibrate", "--ops", table, "--gpu", "rtx-4090", "-o", record, "--date", "2026-11-22")
    if record.read_text() != before:
        sys.exit("the same rows gave another record")
    rooftrace("calibrate", "--ops", table, again, "--gpu", "rtx-4090", "-o", record, "--name", "mine",
              text="168 rows")
    if json.loads(record.read_text())["name"] != "mine":
        sys.exit("--name did not name")
    return table


def log_of(database, path):
    db = sqlite3.connect(database)
    rows = db.execute("SELECT request_id, prompt_tokens, output_tokens, ttft_s, tpot_s, e2e_s "
                      "FROM requests ORDER BY request_id").fetchall()
    with path.open("w") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["request_id", "prompt_tokens", "output_tokens", "ttft_s", "tpot_s", "e2e_s"])
        table.writerows(rows)
    return len(rows)


def fitted_host(text):
    return {line.split()[0]: [float(x) for x in line.split()[1:]] for line in text.splitlines()
            if line.startswith("host_")}


SLOW_HOST = {"base": "rtx-4090", "name": "real",
             "constants": {"host_us_per_step": 1500, "host_us_per_seq": 25}}


def scenario_of(path, workload, gpu):
    path.write_text(json.dumps({"workload": workload, "model": "llama-3.1-8b",
                                "pools": [{"gpu": gpu}]}))
    return path


def test_steady_batch(folder):
    real = scenario_of(folder / "steady.json", STEADY, SLOW_HOST)
    ours = scenario_of(folder / "steady_ours.json", STEADY, "rtx-4090")
    rooftrace("run", real, "-o", folder / "steady.db")
    log_of(folder / "steady.db", folder / "steady.csv")
    fitted = fitted_host(rooftrace("calibrate", "--requests", folder / "steady.csv",
                                   "--scenario", ours))
    step_us, seq_us = fitted["host_us_per_step"][1], fitted["host_us_per_seq"][1]
    near(step_us + 26 * seq_us, 1500 + 26 * 25, 0.05, "host time of a step of 26, as most are")


def test_requests(folder):
    def scenario(name, gpu):
        return scenario_of(folder / name, RAMP, gpu)

    real, ours = scenario("real.json", SLOW_HOST), scenario("ours.json", "rtx-4090")
    log, database, record = folder / "log.csv", folder / "real.db", folder / "host.json"
    rooftrace("run", real, "-o", database)
    if log_of(database, log) != 600:
        sys.exit("the run lost requests")
    text = rooftrace("calibrate", "--requests", log, "--scenario", ours, "-o", record,
                     text="judged")
    simulations = int(text.split(" simulations")[0].split()[-1])
    if not 90 <= simulations <= 100:
        sys.exit(f"{simulations} simulations, expected at most the default of 100")
    fitted = fitted_host(text)
    near(fitted["host_us_per_step"][0], 500, 1e-9, "before")
    step_us, seq_us = fitted["host_us_per_step"][1], fitted["host_us_per_seq"][1]
    near(step_us, 1500, 0.05, "host_us_per_step")
    near(seq_us, 25, 0.2, "host_us_per_seq")
    document = json.loads(record.read_text())
    near(document["constants"]["host_us_per_step"], step_us, 1e-3, "host_us_per_step of the record")
    if "log.csv" not in document["sources"]["host"] or "gemm" in document["sources"]:
        sys.exit(f"provenance: {document['sources']}")
    text = rooftrace("calibrate", "--requests", log, "--scenario", ours, "--fit", "efficiencies",
                     "--evaluations", "20", text="attention efficiency")
    again = scenario("again.json", str(record))
    rooftrace("run", again, "-o", folder / "again.db")
    means = [sqlite3.connect(folder / name).execute("SELECT avg(e2e_s) FROM requests").fetchone()[0]
             for name in ("real.db", "again.db")]
    near(means[1], means[0], 0.01, "E2E with the fitted record")
    plain = [line.split(",", 1)[1] for line in log.read_text().splitlines()]  # without ids: in order
    (folder / "shifted.csv").write_text("\n".join([plain[0], *plain[2:]]) + "\n")
    rooftrace("calibrate", "--requests", folder / "shifted.csv", "--scenario", ours, status=2,
              text=" of the log: expected the trace")
    linear = folder / "linear.json"
    document = json.loads(ours.read_text())
    document["cost"] = {"kind": "linear", "coefficients_s": [0.01, 0, 0, 0, 0]}
    linear.write_text(json.dumps(document))
    rooftrace("calibrate", "--requests", log, "--scenario", linear, status=2, text="roofline or profile")
    for bad, message in (("ttft_s\nx\n", "ttft_s"), ("ttft_s\n-1\n", "ttft_s"), ("", "bad.csv")):
        (folder / "bad.csv").write_text(bad)
        rooftrace("calibrate", "--requests", folder / "bad.csv", "--scenario", ours, status=1,
                  text=message)


def test_exposed_host(folder):
    """An engine that does not overlap the host: a log tells host_sync_*, and nothing of host_*."""
    def scenario(name, gpu, *overlaps):
        path = folder / name
        path.write_text(json.dumps({
            "workload": RAMP, "model": "llama-3.1-8b",
            "pools": [{"name": f"p{i}", "gpu": gpu, "engine": {"host_overlap": on}}
                      for i, on in enumerate(overlaps)]}))
        return path

    real = scenario("sync.json", {"base": "rtx-4090", "name": "sync",
                                  "constants": {"host_sync_us_per_step": 2500,
                                                "host_sync_us_per_seq": 60}}, False)
    ours = scenario("sync_ours.json", "rtx-4090", False)
    log, record = folder / "sync.csv", folder / "sync_fitted.json"
    rooftrace("run", real, "-o", folder / "sync.db")
    log_of(folder / "sync.db", log)
    fitted = fitted_host(rooftrace("calibrate", "--requests", log, "--scenario", ours,
                                   "-o", record))
    if sorted(fitted) != ["host_sync_us_per_seq", "host_sync_us_per_step"]:
        sys.exit(f"constants of an exposed host: {sorted(fitted)}")
    near(fitted["host_sync_us_per_step"][0], 1400, 1e-9, "before")
    step_us, seq_us = fitted["host_sync_us_per_step"][1], fitted["host_sync_us_per_seq"][1]
    near(step_us, 2500, 0.05, "host_sync_us_per_step")
    near(seq_us, 60, 0.2, "host_sync_us_per_seq")
    constants = json.loads(record.read_text())["constants"]
    near(constants["host_sync_us_per_step"], step_us, 1e-3, "host_sync_us_per_step of the record")
    near(constants["host_us_per_step"], 500, 1e-9, "what was not in force")
    near(constants["host_us_per_seq"], 4, 1e-9, "what was not in force")
    both = scenario("both.json", "rtx-4090", False, True)
    rooftrace("calibrate", "--requests", log, "--scenario", both, status=2, text="host_overlap")


def test_profile(folder):
    table = folder / "profile.csv"
    table.write_text("op,batch,context,heads,kv_heads,head_dim,us\n"
                     + "".join(f"decode,{b},{c},32,8,128,{10 + b * c * 0.004}\n"
                               for b in (1, 8, 64, 256) for c in (64, 512, 4096)))
    base = ["--trace", TRACE, "--model", "llama-3.1-8b", "--gpu", "rtx-4090", "--max-requests", "60"]
    one, two, three = (folder / f"{n}.db" for n in "123")
    rooftrace("run", *base, "--profile", table, "-o", one)
    db = sqlite3.connect(one)
    sources = dict(db.execute("SELECT operator, source FROM cost_source").fetchall())
    if sources["decode"] != "measured" or sources["gemm"] != "roofline" or "moe" in sources:
        sys.exit(f"cost_source: {sources}")
    stored = folder / "stored.json"
    stored.write_text(db.execute("SELECT scenario FROM run").fetchone()[0])
    rooftrace("run", stored, "-o", two)
    rooftrace("run", stored, "--no-coast", "-o", three)
    rows = [sqlite3.connect(path).execute("SELECT * FROM request ORDER BY request_id").fetchall()
            for path in (one, two, three)]
    if not rows[0] or rows[0] != rows[1] or rows[0] != rows[2]:
        sys.exit("the stored scenario, or coasting, gave other requests")
    plain = folder / "plain.db"
    rooftrace("run", *base, "-o", plain)
    count = sqlite3.connect(plain).execute("SELECT count(*) FROM cost_source").fetchone()[0]
    if count != 0:
        sys.exit("a run without a profile has sources")
    rooftrace("estimate", "--model", "llama-3.1-8b", "--gpu", "rtx-4090", "--profile", table,
              text="where the times come from")
    staged = json.loads(rooftrace("estimate", "--model", "llama-3.1-8b", "--gpu", "rtx-4090",
                                  "--pipeline-parallel-size", "2", "--prompt", "449", "--output",
                                  "128", "--batch", "16", "--profile", table, "--explain", "--json"))
    if (staged["decode_sources"]["decode"], staged["decode_sources"]["gemm"]) != ("measured",
                                                                                  "roofline"):
        sys.exit(f"decode_sources: {staged['decode_sources']}")
    if "decode" in staged["prefill_sources"]:
        sys.exit(f"prefill_sources: {staged['prefill_sources']}")
    step = staged["decode_step"]  # two micro-batches of 8, the middle one at 449 + 63 tokens
    kv = [part["kv"] for part in step["parts"] if part["name"] == "decode_attention"]
    near(kv[0], 32 * 1e-6 * (10 + 8 * 512 * 0.004), 1e-9, "measured attention of a step")
    near(sum(part["seconds"] for part in step["parts"]), step["step_s"], 1e-9, "parts of a step")
    rooftrace("estimate", "--model", "llama-3.1-8b", "--gpu", "rtx-4090", "--profile", table,
              "--speed-of-light", status=2, text="--profile")
    rooftrace("run", *base, "--profile", "/nowhere.csv", "-o", folder / "x.db", status=1,
              text="/nowhere.csv")
    rooftrace("run", *base, "--cost", "profile", "-o", folder / "x.db", status=2, text="file")
    rooftrace("run", *base, "--cost", "linear", "--profile", table, "-o", folder / "x.db", status=2,
              text="file")


def test_words(folder, table):
    for argv, text in (
            ([], "--ops or --requests"),
            (["--ops", table, "--requests", table], "both"),
            (["--ops", table], "expected --gpu"),
            (["--ops", table, "--gpu", "rtx-4091"], "rtx-4090"),
            (["--ops", table, "--gpu", "rtx-4090", "--scenario", "x"], "belongs to --requests"),
            (["--requests", table, "--gpu", "x"], "belongs to --ops"),
            (["--requests", table], "--scenario"),
            (["--requests", table, "--scenario", "x", "y"], "options only"),
            (["--ops", table, "--gpu", "rtx-4090", "--format", "tabel"], "unknown format"),
            (["--ops", table, "--gpu", "rtx-4090", "-o", folder / "x", "--name", "n" * 64], "--name"),
            (["--evaluations", "3"], "--evaluations")):
        rooftrace("calibrate", *argv, status=2, text=text)
    for option in ("-o", "--table"):
        rooftrace("calibrate", "--ops", table, "--gpu", "rtx-4090", option, "/nowhere/x", status=1,
                  text="/nowhere/x")
    rooftrace("calibrate", "--help", text="vllm-attention")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        table = test_operators(folder)
        test_requests(folder)
        test_steady_batch(folder)
        test_exposed_host(folder)
        test_profile(folder)
        test_words(folder, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
