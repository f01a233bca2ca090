"""Two real vLLM 0.19 runs, replayed by `rooftrace run` with each run's own engine flags.

The GPU's constants come from operator times of that GPU, none was fitted on these runs; then once
more with its datasheet alone, everything else the defaults of an unseen GPU. Prints real, ours and
the error of each mean, and fails beyond the bounds below (absolute percent), or where README.md tells
others. Skips, 77, where the reference data is absent. The runs are overload tests with one seed each: queues of 37 to
234 requests, so TTFT is mostly waiting.
"""
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNS = ROOT.parent / "shared" / "runs"
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")

CASES = {  # file, --gpu; flags from the run's own record
    "rtx4090-llama-3.1-8b": "rtx-4090",
    "rtxpro6000-llama-3.1-8b": "rtx-pro-6000-blackwell-server",
}
BOUNDS = {"ttft": 7.0, "tpot": 3.0, "e2e": 4.0, "req/s": 4.0}
UNSEEN_BOUNDS = {"ttft": 30.0, "tpot": 10.0, "e2e": 15.0, "req/s": 15.0}
TOLD = 0.1  # README.md has one digit
DATASHEET = ("vendor", "arch", "mem_gb", "mem_bytes", "mem_bw_gb_per_s", "tflops", "link_kind",
             "pcie_gb_per_s", "sm_count")
PREEMPTIONS = range(185, 206)  # on the 4090; two other simulations of that run made 194 and 196
HIT_TOKENS = range(4700, 4901)  # and 4,848 prefix-hit tokens


def replay(name, gpu, folder):
    """One run through rooftrace: (figures of ours, figures of the real run)."""
    record = json.loads((RUNS / f"{name}.json").read_text())
    kwargs, cache = record["engine_kwargs"], record["kv_cache"]
    argv = [ROOFTRACE, "run", "--trace", str(RUNS / f"{name}.jsonl"), "--format", "jsonl",
            "--trace-block-size", str(cache["block_size"]), "--model", "llama-3.1-8b",
            "--gpu", gpu, "--max-num-seqs", str(kwargs["max_num_seqs"]),
            "--max-num-batched-tokens", str(kwargs["max_num_batched_tokens"]),
            "--gpu-memory-utilization", str(cache["gpu_memory_utilization"]), "-o",
            str(folder / f"{name}.db")]
    if cache["num_gpu_blocks"]:
        argv += ["--num-gpu-blocks-override", str(cache["num_gpu_blocks"])]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    db = sqlite3.connect(folder / f"{name}.db")
    ttft, tpot, e2e, span, count, preemptions, hits = db.execute(
        "SELECT avg(ttft_s), avg(tpot_s), avg(e2e_s), max(arrival_s + e2e_s) - min(arrival_s),"
        " count(*), sum(preemptions), sum(cached_tokens) FROM requests").fetchone()
    real = record["real"]
    return ({"ttft": ttft, "tpot": tpot, "e2e": e2e, "req/s": count / span},
            {"ttft": real["ttft_s"]["mean"], "tpot": real["tpot_s"]["mean"],
             "e2e": real["e2e_s"]["mean"], "req/s": real["throughput"]["req_per_s"]},
            preemptions, hits)


def unseen(gpu, folder):
    """A record of the GPU without a measured constant."""
    catalogue = json.loads((ROOT / "src/cost/catalog/gpus.json").read_text())
    known = next(record for record in catalogue["gpus"] if record["name"] == gpu)
    path = folder / f"unseen-{gpu}.json"
    path.write_text(json.dumps({"name": "unseen", **{key: known[key] for key in DATASHEET}}))
    return str(path)


def told():
    """The errors in percent that README.md has, a list for each line of its table."""
    lines = re.findall(r"^  \| RTX [^|]*\|((?: [-+][\d.]+ % \|){4})$", (ROOT / "README.md").read_text(), re.M)
    return [[float(x) for x in re.findall(r"[-+][\d.]+", line)] for line in lines]


def judge(name, gpu, bounds, folder):
    """Prints one run's figures; returns what is beyond its bounds, or not what README.md tells."""
    bad = []
    readme = told()[(2 if bounds is UNSEEN_BOUNDS else 0) + [*CASES].index(name)]
    ours, real, preemptions, hits = replay(name, gpu, folder)
    label = name if bounds is BOUNDS else name + " unseen"
    for (key, bound), before in zip(bounds.items(), readme):
        error = 100 * (ours[key] / real[key] - 1)
        if abs(error - before) > TOLD:
            bad.append(f"{label} {key} ({before} in README.md)")
        print(f"{label:30} {key:8} {real[key]:12.5f} {ours[key]:12.5f} {error:8.2f}  {bound}")
        if abs(error) > bound:
            bad.append(f"{label} {key}")
    print(f"{label:30} preemptions {preemptions}, prefix-hit tokens {hits}")
    if gpu == "rtx-4090" and not (preemptions in PREEMPTIONS and hits in HIT_TOKENS):
        bad.append(f"{label} preemptions or hits")
    return bad


def main():
    if not RUNS.is_dir():
        print("skipped: ../shared/runs is not here")
        return 77
    bad = []
    print(f"{'run':30} {'mean of':8} {'real':>12} {'ours':>12} {'error %':>8}  bound")
    for name, gpu in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            bad += judge(name, gpu, BOUNDS, pathlib.Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            bad += judge(name, unseen(gpu, pathlib.Path(folder)), UNSEEN_BOUNDS,
                         pathlib.Path(folder))
    if bad:
        print("beyond the bounds: " + ", ".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
