#!/usr/bin/env python3
"""rooftrace calibrate on real measurements: operator tables of three sources and the head of a real
vLLM run. Bounds are loose: accuracy itself is another page's business; constants of the stage come out
near the catalogue's, which were fitted on parts of the same tables. Prints what it finds; skips,
77, where ../shared is absent.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")
HEAD = 100  # requests of the run
SPREAD = 2.2  # factor by which constants may differ from the catalogue's: the widest spread of GPUs

TABLES = [  # words of the command, stage, largest median error, fitted and left out, in percent
    (["vidur/layer_ops_a40.csv", "--gpu", "a40"], "gemm", 9),
    (["vllm/vllm_dense.csv", "vllm/vllm_attention_rtx4090-llama-3.1-8b.csv", "--where",
      "gpu:RTX4090", "--model", "llama-3.1-8b", "--gpu", "rtx-4090"], "gemm", 7),
    (["nvidia/gemm.csv", "--where", "gpu:h200_sxm", "dtype:bfloat16", "--gpu", "h200-sxm"], "gemm",
     8),
    (["nvidia/comm.csv", "--where", "gpu:h100_sxm", "impl:vLLM_custom_graph", "--gpu", "h100-sxm"],
     "all_reduce", 15),
]


def calibrate(*argv):
    answer = subprocess.run([ROOFTRACE, "calibrate", *map(str, argv)], capture_output=True,
                            text=True, check=False)
    if answer.returncode != 0:
        sys.exit(f"calibrate {argv}: {answer.stderr}")
    return answer.stdout


def check_tables():
    for words, stage, bound in TABLES:
        words = [SHARED / "measured" / word if word.endswith(".csv") else word for word in words]
        text = calibrate("--ops", *words)
        line = re.search(rf"^{stage} +all +(\d+) +(.*)$", text, re.M)
        _, median, _, _, left_out = (float(x) for x in line.group(2).split())
        print(f"{words[0].name:24} {words[-1]:20} {stage:10} {line.group(1):>6} rows, median "
              f"{median} %, left out {left_out} % (bound {bound})")
        if not (median <= bound and left_out <= bound):
            sys.exit("beyond the bound")
        prefix = stage.replace("_", "")
        constants = re.findall(rf"^({prefix}_\w+) +(\S+) +(\S+) +\d+$", text, re.M)
        if len(constants) < 4:
            sys.exit(f"constants of {stage}:\n{text}")
        for key, before, after in constants:
            if not 1 / SPREAD < float(after) / float(before) < SPREAD:
                sys.exit(f"{key}: {after}, in the catalogue {before}")


def check_run():
    name = "rtx4090-llama-3.1-8b"
    record = json.loads((SHARED / "runs" / f"{name}.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        log = (SHARED / "runs" / f"{name}.csv").read_text().splitlines()[:HEAD + 1]
        (folder / "log.csv").write_text("\n".join(log) + "\n")
        (folder / "s.json").write_text(json.dumps({
            "workload": {"trace": str(SHARED / "runs" / f"{name}.jsonl"), "format": "jsonl",
                         "block_size": record["kv_cache"]["block_size"]},
            "model": "llama-3.1-8b",
            "pools": [{"gpu": "rtx-4090", "engine": {
                "num_gpu_blocks": record["kv_cache"]["num_gpu_blocks"],
                "max_num_seqs": record["engine_kwargs"]["max_num_seqs"],
                "max_num_batched_tokens": record["engine_kwargs"]["max_num_batched_tokens"]}}]}))
        text = calibrate("--requests", folder / "log.csv", "--scenario", folder / "s.json")
    print(text)
    for metric, bound in (("TTFT", 5), ("TPOT", 3), ("E2E", 3)):
        line = re.search(rf"^judged +{metric} +mean +(.*)$", text, re.M).group(1).split()
        before, after = abs(float(line[3])), abs(float(line[5]))
        if after > bound or after > before + 1:
            sys.exit(f"judged {metric}: {before} % before, {after} % after the fit")


def main():
    if not (SHARED / "measured").is_dir() or not (SHARED / "runs").is_dir():
        print("skipped: ../shared is not here")
        return 77
    check_tables()
    check_run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
