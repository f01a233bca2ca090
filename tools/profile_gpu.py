#!/usr/bin/env python3
"""Measures GEMM and attention on your own GPU and writes the table that rooftrace reads.

    tools/profile_gpu.py --models llama-3.1-8b -o mine.csv
    rooftrace estimate --model llama-3.1-8b --gpu rtx-4090 --profile mine.csv
    rooftrace calibrate --ops mine.csv --gpu rtx-4090 -o mine.json

Needs Python 3.8, PyTorch 2.1 or newer (2.5 for grouped KV heads without copies) and an NVIDIA or AMD
GPU; nothing of rooftrace but the catalogue's models.json, or a Hugging Face config.json
(--models path/to/config.json). --dry-run lists the shapes and needs no PyTorch.

How: random bf16 (or fp8) operands; a few calls to warm up; then, call by call, a large buffer is
written (so that the L2 cache holds none of the operands, as in a real step; --keep-l2 leaves that
out), and CUDA events around the call are read; the median of --repeats calls counts. The buffer also
hides the CPU's launch time: what is measured is the kernel and the few microseconds between two
events. Shapes that do not fit into the free memory are left out, with a line on stderr.

Rows (docs/calibration.md): gemm m,n,k; prefill q,held; decode batch,context; all after the tensor
parallel split, one layer, times in microseconds. Attention is PyTorch's scaled_dot_product_attention:
close to an engine's kernel for prefill, less so for decode, where engines split long contexts.
"""
import argparse
import csv
import datetime
import json
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
CATALOGUE = HERE.parent / "src" / "cost" / "catalog" / "models.json"
COLUMNS = ["op", "model", "gpu", "dtype", "activation", "m", "n", "k", "q", "held", "batch",
           "context", "heads", "kv_heads", "head_dim", "us"]
TOKENS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
CHUNKS = [64, 128, 256, 512, 1024, 2048, 4096, 8192]
HELD = [0, 1024, 4096, 16384]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
CONTEXTS = [128, 512, 1024, 2048, 4096, 8192, 16384, 32768]
FLUSH_BYTES = 256 << 20  # larger than any GPU's L2
MEMORY_SHARE = 0.6       # of the free memory, for one shape's operands


class Stop(Exception):
    """A line for stderr, and the exit status."""

    def __init__(self, text, status=2):
        super().__init__(text)
        self.status = status


# ---- shapes -------------------------------------------------------------------------------------


def folded(name):
    return name.lower().replace("_", "-").replace(" ", "-")


def from_config(path):
    """The fields that are needed here, out of a Hugging Face config.json or a record of ours."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Stop(f"{path}: cannot read: {error}") from error
    if not isinstance(config, dict):
        raise Stop(f"{path}: expected an object")
    if "hidden_size" not in config and "text_config" in config:
        config = config["text_config"]
    if "hidden" in config:
        return config
    try:
        heads = config["num_attention_heads"]
        model = {"name": path.parent.name or path.stem, "hidden": config["hidden_size"],
                 "heads": heads, "kv_heads": config.get("num_key_value_heads") or heads,
                 "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
                 "ffn": config.get("intermediate_size", 0), "vocab": config["vocab_size"]}
    except KeyError as error:
        raise Stop(f"{path}: expected a config.json, no {error.args[0]}") from error
    if "kv_lora_rank" in config:
        raise Stop(f"{path}: latent attention has no rows in these tables")
    return model


def find_model(name, catalogue):
    """A record by name, alias or path."""
    if name.endswith(".json"):
        return from_config(pathlib.Path(name))
    try:
        models = json.loads(catalogue.read_text(encoding="utf-8"))["models"]
    except (OSError, ValueError, KeyError) as error:
        raise Stop(f"{catalogue}: cannot read the catalogue of models: {error}; "
                   "--models may name a config.json instead") from error
    for model in models:
        if folded(name) in [folded(x) for x in [model["name"], *model.get("aliases", [])]]:
            if "mla" in model:
                raise Stop(f"{name}: latent attention has no rows in these tables")
            return model
    near = [model["name"] for model in models if folded(name)[:5] in model["name"]]
    raise Stop(f"unknown model \"{name}\": one of "
               + ", ".join(near or [model["name"] for model in models]))


def split(model, tp):
    """(heads, KV heads) of one GPU."""
    heads, kv_heads = model["heads"], model["kv_heads"]
    if heads % tp or (kv_heads % tp and tp % kv_heads):
        raise Stop(f"--tp {tp}: does not divide the {heads} heads and {kv_heads} KV heads of "
                   f"{model['name']}")
    return heads // tp, max(1, kv_heads // tp)


def products(model, tp):
    """(n, k) of every dense product of a step on one GPU. Experts are grouped products, which plain
    PyTorch does not have: they are not measured."""
    heads, kv_heads = split(model, tp)
    hidden, dim = model["hidden"], model["head_dim"]
    gates = 2 if model.get("gated", True) else 1
    found = [((heads + 2 * kv_heads) * dim, hidden), (hidden, heads * dim)]
    for width in (model.get("ffn", 0), model.get("moe", {}).get("shared_ffn", 0)):
        if width and width % tp:
            raise Stop(f"--tp {tp}: does not divide the {width} columns of {model['name']}")
        if width:
            found += [(gates * width // tp, hidden), (hidden, width // tp)]
    found.append((model["vocab"] // tp, hidden))
    return found


def shapes(models, options):
    """Every row that will be measured, without its time; each shape once."""
    rows, seen = [], set()

    def add(row):
        key = tuple(sorted((k, v) for k, v in row.items() if k != "model"))
        if key not in seen:
            seen.add(key)
            rows.append(row)

    for model in models:
        for tp in options.tp:
            heads, kv_heads = split(model, tp)
            of = {"model": model["name"]}
            lengths = {"heads": heads, "kv_heads": kv_heads, "head_dim": model["head_dim"]}
            if "gemm" in options.ops:
                for dtype in options.dtypes:
                    for n, k in products(model, tp):
                        for m in options.tokens:
                            add({"op": "gemm", **of, "dtype": dtype, "activation": dtype, "m": m,
                                 "n": n, "k": k})
            if "prefill" in options.ops:
                for held in HELD:
                    for q in CHUNKS:
                        add({"op": "prefill", **of, "dtype": "bf16", "q": q, "held": held,
                             "batch": 1, **lengths})
            if "decode" in options.ops:
                for batch in BATCHES:
                    for context in CONTEXTS:
                        add({"op": "decode", **of, "dtype": "bf16", "batch": batch,
                             "context": context, **lengths})
    return rows


# ---- measuring ----------------------------------------------------------------------------------


def load_torch():
    try:
        import torch
    except ImportError as error:
        raise Stop(f"PyTorch is needed to measure ({error}): python3 -m pip install torch; "
                   "--dry-run lists the shapes without it", 1) from error
    if not torch.cuda.is_available():
        raise Stop("PyTorch sees no GPU (torch.cuda.is_available() is false): is this a build with "
                   "CUDA or ROCm, and does the driver run?", 1)
    return torch


class Clock:
    """Medians of CUDA event times."""

    def __init__(self, torch, options):
        self.torch = torch
        self.options = options
        self.buffer = torch.empty(FLUSH_BYTES, dtype=torch.int8, device="cuda")

    def microseconds(self, call):
        torch = self.torch
        for _ in range(self.options.warmup):
            call()
        torch.cuda.synchronize()
        times = []
        for _ in range(self.options.repeats):
            start = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            if self.options.keep_l2:
                self.buffer[:1 << 20].zero_()  # work that hides the launch, too small to evict
            else:
                self.buffer.zero_()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            times.append(1e3 * start.elapsed_time(end))
        return statistics.median(times)


def operand_bytes(row):
    if row["op"] == "gemm":
        size = 1 if row["dtype"] == "fp8" else 2
        m, n, k = row["m"], row["n"], row["k"]
        return size * (m * k + 2 * n * k) + 2 * m * n
    tokens = row["q"] + row["held"] if row["op"] == "prefill" else row["batch"] * row["context"]
    queries = row["q"] if row["op"] == "prefill" else row["batch"]
    # keys and values, once more for kernels that expand grouped heads
    return 2 * row["head_dim"] * (tokens * (2 * row["kv_heads"] + 2 * row["heads"])
                                  + 2 * queries * row["heads"])


def gemm_call(torch, row):
    m, n, k = row["m"], row["n"], row["k"]
    x = torch.randn(m, k, dtype=torch.bfloat16, device="cuda")
    w = torch.randn(n, k, dtype=torch.bfloat16, device="cuda")
    if row["dtype"] == "bf16":
        return lambda: torch.nn.functional.linear(x, w)
    x8, w8 = x.to(torch.float8_e4m3fn), w.to(torch.float8_e4m3fn)
    one = torch.ones((), dtype=torch.float32, device="cuda")
    return lambda: torch._scaled_mm(x8, w8.t(), scale_a=one, scale_b=one,
                                    out_dtype=torch.bfloat16)


def attention_call(torch, row):
    attend = torch.nn.functional.scaled_dot_product_attention
    heads, kv_heads, dim = row["heads"], row["kv_heads"], row["head_dim"]
    if row["op"] == "prefill":
        batch, q, context = 1, row["q"], row["q"] + row["held"]
    else:
        batch, q, context = row["batch"], 1, row["context"]

    def random(count, length):
        return torch.randn(batch, count, length, dim, dtype=torch.bfloat16, device="cuda")

    query, key, value = random(heads, q), random(kv_heads, context), random(kv_heads, context)
    extra = {}
    if kv_heads != heads and version(torch) >= (2, 5):
        extra["enable_gqa"] = True
    elif kv_heads != heads:
        key = key.repeat_interleave(heads // kv_heads, dim=1)
        value = value.repeat_interleave(heads // kv_heads, dim=1)
    if row["op"] == "decode":
        return lambda: attend(query, key, value, **extra)
    if row["held"] == 0:
        return lambda: attend(query, key, value, is_causal=True, **extra)
    from torch.nn.attention.bias import causal_lower_right
    mask = causal_lower_right(q, context)
    return lambda: attend(query, key, value, attn_mask=mask, **extra)


def version(torch):
    return tuple(int(x) for x in torch.__version__.split("+")[0].split(".")[:2] if x.isdigit())


def measure(torch, rows, options):
    """Adds `us` to every row that can be measured; the others are left out."""
    clock, done = Clock(torch, options), []
    for i, row in enumerate(rows):
        free, _ = torch.cuda.mem_get_info()
        if operand_bytes(row) > MEMORY_SHARE * free:
            note(f"left out, does not fit: {describe(row)}")
            continue
        try:
            call = gemm_call(torch, row) if row["op"] == "gemm" else attention_call(torch, row)
            row = {**row, "us": round(clock.microseconds(call), 4)}
        except (RuntimeError, ImportError, AttributeError, ValueError) as error:
            note(f"left out: {describe(row)}: {str(error).splitlines()[0] if str(error) else error!r}")
            continue
        done.append(row)
        if not options.quiet and sys.stderr.isatty():
            print(f"\r{i + 1}/{len(rows)} {describe(row)} {row['us']:.1f} us   ", end="",
                  file=sys.stderr)
    if not options.quiet and sys.stderr.isatty():
        print(file=sys.stderr)
    return done


# ---- output -------------------------------------------------------------------------------------


def note(text):
    print(f"profile_gpu: {text}", file=sys.stderr)


def describe(row):
    return " ".join(str(row[c]) if c in ("op", "dtype") else f"{c}={row[c]}"
                    for c in COLUMNS if c in row and c not in ("model", "activation", "us", "gpu"))


def write_csv(out, rows):
    table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)


def write(rows, path, about):
    try:
        if path == "-":
            write_csv(sys.stdout, rows)
        elif path.endswith(".json"):
            text = ",\n".join("    " + json.dumps(row) for row in rows)
            head = "".join(f"  {json.dumps(k)}: {json.dumps(v)},\n" for k, v in about.items())
            pathlib.Path(path).write_text(f"{{\n{head}  \"rows\": [\n{text}\n  ]\n}}\n",
                                          encoding="utf-8")
        else:
            with open(path, "w", encoding="utf-8", newline="") as out:
                write_csv(out, rows)
    except OSError as error:
        raise Stop(f"{path}: cannot write: {error.strerror}", 1) from error


def numbers(text):
    values = [int(x) for x in text.split(",")]
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError("expected whole numbers from 1, with commas")
    return values


def names(*known):
    def read(text):
        values = text.split(",")
        for value in values:
            if value not in known:
                raise argparse.ArgumentTypeError(f"\"{value}\": expected some of {', '.join(known)}")
        return values
    return read


def parse(argv):
    parser = argparse.ArgumentParser(
        description="Measures GEMM and attention on this machine's GPU, as a table for rooftrace.",
        epilog="Takes some minutes a model. Stop everything else that uses the GPU first.")
    parser.add_argument("--models", required=True, metavar="NAME[,NAME...]",
                        help="models of the catalogue, or paths of config.json files")
    parser.add_argument("--tp", type=numbers, default=[1], metavar="N[,N...]",
                        help="tensor parallel degrees whose shapes are measured, on one GPU (1)")
    parser.add_argument("--dtypes", type=names("bf16", "fp8"), default=None,
                        help="of GEMMs (bf16, and fp8 where the GPU has it)")
    parser.add_argument("--ops", type=names("gemm", "prefill", "decode"),
                        default=["gemm", "prefill", "decode"], help="(gemm,prefill,decode)")
    parser.add_argument("--tokens", type=numbers, default=TOKENS, help="rows m of GEMMs")
    parser.add_argument("--gpu", default="", metavar="NAME",
                        help="name in rooftrace's catalogue that the rows are marked with (none)")
    parser.add_argument("--repeats", type=int, default=20, help="calls a row; their median (20)")
    parser.add_argument("--warmup", type=int, default=5, help="calls before them (5)")
    parser.add_argument("--keep-l2", action="store_true", help="do not empty the L2 cache")
    parser.add_argument("--catalog", type=pathlib.Path, default=CATALOGUE, metavar="FILE",
                        help="models.json of the catalogue (of this checkout)")
    parser.add_argument("--dry-run", action="store_true", help="list the shapes, measure nothing")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("-o", "--output", default="-", metavar="FILE",
                        help="table: CSV, or JSON when it ends in .json (standard output)")
    options = parser.parse_args(argv)
    if options.repeats < 1 or options.warmup < 0:
        parser.error("--repeats from 1, --warmup from 0")
    return options


def about_this(torch, options):
    now = datetime.date.today().isoformat()
    cuda = torch.version.cuda or getattr(torch.version, "hip", None)
    about = {"gpu": options.gpu} if options.gpu else {}
    return {**about, "source": "tools/profile_gpu.py on " + torch.cuda.get_device_name(0),
            "date": now, "software": f"PyTorch {torch.__version__}, CUDA {cuda}",
            "note": f"median of {options.repeats}, L2 {'kept' if options.keep_l2 else 'flushed'}"}


def run(options):
    models = [find_model(name, options.catalog) for name in options.models.split(",")]
    if options.dry_run:
        options.dtypes = options.dtypes or ["bf16", "fp8"]
        rows = shapes(models, options)
        write([{**row, "gpu": options.gpu} for row in rows], "-", {})
        note(f"{len(rows)} shapes; nothing was measured")
        return 0
    torch = load_torch()
    if options.dtypes is None:
        has_fp8 = torch.cuda.get_device_capability() >= (8, 9) and hasattr(torch, "_scaled_mm")
        options.dtypes = ["bf16", "fp8"] if has_fp8 else ["bf16"]
    about = about_this(torch, options)
    note(", ".join(f"{v}" for v in about.values() if v))
    torch.manual_seed(1)
    with torch.no_grad():
        rows = measure(torch, shapes(models, options), options)
    if not rows:
        raise Stop("no shape could be measured", 1)
    if options.gpu:
        rows = [{**row, "gpu": options.gpu} for row in rows]
    write(rows, options.output, about)
    return 0


def main(argv):
    try:
        return run(parse(argv))
    except Stop as stop:
        note(str(stop))
        return stop.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
