#!/usr/bin/env python3
"""tools/profile_gpu.py: the shapes of --dry-run, clear errors without PyTorch, a GPU or a model, and
its measuring loop against a stand-in for PyTorch whose clock is a formula: what it writes is read by
rooftrace. No GPU is needed.
"""
import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "profile_gpu.py"
ROOFTRACE = os.environ.get("ROOFTRACE", "rooftrace")

NO_TORCH = "raise ImportError('none here')\n"
NO_GPU = """class cuda:
    @staticmethod
    def is_available():
        return False
"""
# Every call takes as many microseconds as its operands have rows; an operand remembers its shape.
STAND_IN = """
import contextlib, types
__version__ = "2.6.0+cu124"
version = types.SimpleNamespace(cuda="12.4")
bfloat16, float32, int8, float8_e4m3fn = "bf16", "f32", "i8", "f8"
clock = [0.0]
class Tensor:
    def __init__(self, *shape):
        self.shape = shape
    def to(self, dtype):
        return self
    def t(self):
        return Tensor(*reversed(self.shape))
    def zero_(self):
        clock[0] += 1000
    def __getitem__(self, key):
        return self
    def repeat_interleave(self, times, dim):
        return self
def empty(*shape, dtype=None, device=None):
    return Tensor(*shape)
randn = empty
def ones(shape, dtype=None, device=None):
    return Tensor(1)
def manual_seed(seed):
    pass
@contextlib.contextmanager
def no_grad():
    yield
def took(us):
    clock[0] += us
def _scaled_mm(x, w, scale_a, scale_b, out_dtype):
    took(5 + x.shape[0] / 2)
class Event:
    def __init__(self, enable_timing):
        pass
    def record(self):
        self.at = clock[0]
    def elapsed_time(self, other):
        return (other.at - self.at) / 1e3
class functional:
    @staticmethod
    def linear(x, w):
        took(5 + x.shape[0])
    @staticmethod
    def scaled_dot_product_attention(q, k, v, **kwargs):
        if q.shape[2] == 8192:
            raise RuntimeError("no kernel for this")
        took(10 + k.shape[0] * k.shape[2] / 100)
nn = types.SimpleNamespace(functional=functional)
class cuda:
    Event = Event
    is_available = staticmethod(lambda: True)
    synchronize = staticmethod(lambda: None)
    mem_get_info = staticmethod(lambda: (8 << 30, 9 << 30))
    get_device_capability = staticmethod(lambda: (9, 0))
    get_device_name = staticmethod(lambda i: "Stand-in")
"""
BIAS = "def causal_lower_right(q, k):\n    return (q, k)\n"


def run(*argv, torch=NO_TORCH):
    with tempfile.TemporaryDirectory() as folder:
        package = pathlib.Path(folder) / "torch"
        (package / "nn" / "attention").mkdir(parents=True)
        (package / "__init__.py").write_text(torch)
        if torch is STAND_IN:
            for sub in ("nn", "nn/attention"):
                (package / sub / "__init__.py").write_text("")
            # importing torch.nn.attention.bias replaces torch.nn: put the functions there, too
            (package / "nn" / "__init__.py").write_text("from torch import functional\n")
            (package / "nn" / "attention" / "bias.py").write_text(BIAS)
        return subprocess.run([sys.executable, str(TOOL), *argv], capture_output=True, text=True,
                              check=False, env={**os.environ, "PYTHONPATH": folder,
                                                "PYTHONDONTWRITEBYTECODE": "1"})


def check(condition, what, answer):
    if not condition:
        sys.exit(f"{what}: exit {answer.returncode}\n{answer.stdout[:2000]}\n{answer.stderr}")


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(answer.stdout)))


def test_dry_run():
    answer = run("--models", "llama-3.1-8b", "--dry-run")
    rows = rows_of(answer)
    check(answer.returncode == 0 and len(rows) == 244, "dry run", answer)
    products = {(r["n"], r["k"]) for r in rows if r["op"] == "gemm"}
    check(products == {("6144", "4096"), ("4096", "4096"), ("28672", "4096"), ("4096", "14336"),
                       ("128256", "4096")}, "products of llama-3.1-8b", answer)
    check({r["us"] for r in rows} == {""}, "nothing measured", answer)
    answer = run("--models", "Qwen/Qwen3-32B,llama-3.1-8b", "--tp", "1,4", "--ops", "decode",
                 "--dry-run")
    heads = {(r["heads"], r["kv_heads"]) for r in rows_of(answer)}
    check(heads == {("64", "8"), ("16", "2"), ("32", "8"), ("8", "2")}, "heads after TP", answer)


def test_config():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "config.json"
        path.write_text(json.dumps({"hidden_size": 512, "num_attention_heads": 8,
                                    "num_key_value_heads": 2, "intermediate_size": 1024,
                                    "vocab_size": 1000}))
        answer = run("--models", str(path), "--dry-run", "--ops", "gemm", "--dtypes", "bf16",
                     "--tokens", "1")
        check([(r["n"], r["k"]) for r in rows_of(answer)] ==
              [("768", "512"), ("512", "512"), ("2048", "512"), ("512", "1024"), ("1000", "512")],
              "products of a config.json", answer)
        path.write_text("{}")
        answer = run("--models", str(path), "--dry-run")
        check(answer.returncode == 2 and "expected a config.json" in answer.stderr, "{}", answer)


def test_errors():
    for argv, torch, status, text in (
            (["--models", "llama-3.1-8b"], NO_TORCH, 1, "PyTorch is needed"),
            (["--models", "llama-3.1-8b"], NO_GPU, 1, "sees no GPU"),
            (["--models", "llama-3.1-9b", "--dry-run"], NO_TORCH, 2, "llama-3.1-8b"),
            (["--models", "deepseek-v3", "--dry-run"], NO_TORCH, 2, "latent"),
            (["--models", "/nowhere.json", "--dry-run"], NO_TORCH, 2, "/nowhere.json"),
            (["--models", "llama-3.1-8b", "--tp", "3", "--dry-run"], NO_TORCH, 2, "--tp 3"),
            (["--models", "llama-3.1-8b", "--ops", "x", "--dry-run"], NO_TORCH, 2, "--ops"),
            (["--models", "llama-3.1-8b", "--repeats", "0", "--dry-run"], NO_TORCH, 2, "repeats"),
            (["--models", "llama-3.1-8b", "--catalog", "/nowhere", "--dry-run"], NO_TORCH, 2,
             "/nowhere"),
            (["--models", "llama-3.1-8b", "-o", "/nowhere/x.csv"], STAND_IN, 1, "/nowhere/x.csv")):
        answer = run(*argv, torch=torch)
        check(answer.returncode == status and text in answer.stderr and
              "Traceback" not in answer.stderr, " ".join(argv), answer)


def test_measuring():
    with tempfile.TemporaryDirectory() as folder:
        for name in ("t.csv", "t.json"):
            path = pathlib.Path(folder) / name
            answer = run("--models", "llama-3.1-8b", "--gpu", "rtx-4090", "-o", str(path),
                         torch=STAND_IN)
            check(answer.returncode == 0 and "Stand-in" in answer.stderr, "measuring", answer)
            if name == "t.csv":
                rows = list(csv.DictReader(path.open()))
            else:
                rows = json.loads(path.read_text())["rows"]
            time = {(r["op"], r["dtype"], str(r.get("m", ""))): float(r["us"]) for r in rows}
            check(time["gemm", "bf16", "64"] == 69 and time["gemm", "fp8", "64"] == 37, "times",
                  answer)
            check("no kernel for this" in answer.stderr and "does not fit" in answer.stderr and
                  {r["gpu"] for r in rows} == {"rtx-4090"}, "what is left out", answer)
            answer = subprocess.run([ROOFTRACE, "estimate", "--model", "llama-3.1-8b", "--gpu",
                                     "rtx-4090", "--profile", str(path), "--json"],
                                    capture_output=True, text=True, check=False)
            check(answer.returncode == 0, "estimate", answer)
            sources = json.loads(answer.stdout)
            check(sources["prefill_sources"]["gemm"] == "measured" and
                  sources["decode_sources"]["decode"] == "interpolated", "sources", answer)


def main():
    test_dry_run()
    test_config()
    test_errors()
    test_measuring()
    return 0


if __name__ == "__main__":
    sys.exit(main())
