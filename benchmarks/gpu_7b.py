"""Speed, memory and model FLOP utilisation of LoRA on a 7B: `python benchmarks/gpu_7b.py --output gpu-7b.json`.

A Llama of Llama 2's 7B shape (Touvron et al. 2023) is drawn at random on the GPU in bf16 and written to disk, with a
tokenizer and made-up notes. Then the product's own commands run on it, each a process of its own, as a user gives them:

    posology sft --model 7b --data notes.csv ...           LoRA r 16, alpha 32, on q and v; 8 rows of up to 512 tokens a
    posology dpo --model RUN/sft --from-factual ...        step; activations recomputed; bf16. DPO: 8 pairs a step
    posology generate --model RUN/dpo ...                  8 notes at a time, greedily
    posology sft --lora qlora ...                          4 bits, where bitsandbytes is installed
    (sft once more, a few steps, under torch's profiler: which kernels take the time)

What weights have learnt plays no part in it. Seconds of a step are differences of `time_s` in the run's metrics.jsonl,
from the fourth step on: all of a step counts (making the batch, DPO's reference, the optimiser), and the loop waits for
the GPU in each. Tokens are counted in the very batches that the objective makes.

Tokens are multiplied out into floating-point operations in flops.py, where the formulas stand.

MFU and HFU: these over time and the GPU's peak for dense bf16 by its data sheet (PEAKS). The head's products, which DPO
works out in fp32, count alike. "share_of_measured" is HFU against a large matrix product's speed on the same GPU.
Decoding is bound by memory: there the share of the bandwidth is told that reading all weights for each token takes.

`--device cpu --small` runs every line in a minute, on a model of no size (and on a CPU the product leaves padding out, and
what two answers to a note have in common: there the figures count more than is worked out).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from clocks import Report, answer_clock, kernel_clock, wait
from figures import generation_figures, training_figures, utilised
from made_notes import make_tokenizer, note_of, write_notes

RUN, BASE, NOTES, FEW, VALIDATION = "gpu", "7b", "notes.csv", "few.csv", "validation.csv"
PARTS = ("prepare", "sft", "dpo", "generate", "qlora", "profile")
GRACE_S = 10  # for a command that was asked to stop, before it is killed
# Dense bf16 FLOP/s and bytes/s of memory: NVIDIA's data sheets of H100 (SXM 1,979 TFLOP/s "with sparsity", twice the
# dense rate), H200 (the same) and A100 80GB. A GPU that is not listed has no utilisation.
PEAKS = {
    "H200": (989.4e12, 4.8e12),
    "H100 80GB HBM3": (989.4e12, 3.35e12),
    "H100 PCIe": (756.5e12, 2.0e12),
    "A100-SXM4-80GB": (312e12, 2.039e12),
}


@dataclass(frozen=True)
class Size:
    """The model's shape, and how much is done with it."""

    shape: dict[str, int]
    words: int  # of the tokenizer
    max_tokens: int
    sft_steps: int
    dpo_steps: int
    few_steps: int  # of qlora and profile
    answers: int
    new_tokens: int
    product: int  # side of the matrices whose product is timed
    shard: str = "2GB"


SEVEN_B = Size(
    {"vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
     "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096},
    words=4096, max_tokens=512, sft_steps=30, dpo_steps=16, few_steps=10, answers=16, new_tokens=64, product=8192,
)  # fmt: skip
SMALL = Size(
    {"vocab_size": 2048, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
     "num_key_value_heads": 2, "max_position_embeddings": 512},
    words=1024, max_tokens=512, sft_steps=6, dpo_steps=5, few_steps=5, answers=4, new_tokens=8, product=256,
    shard="100KB",
)  # fmt: skip


# What one process does ------------------------------------------------------------------------------------------------


def prepare(report: Report, size: Size, device: str, given: str) -> None:
    """The machine and its ceilings; then tokenizer, notes and model in the folder that this process works in."""
    import torch

    from posology.files import sha256_file
    from posology.provenance import commit, machine, versions

    report.note(machine=machine(), versions=versions(), commit=given or commit(), gpu=gpu(device))
    try:
        report.note(ceilings=ceilings(device, size.product))
    except RuntimeError as error:
        report.note(ceilings_error=str(error)[:500])
    began = time.monotonic()
    texts = [f"{note}\n{summary}" for note, summary in map(note_of, range(300))]
    tokenizer = make_tokenizer(texts, size.words)
    rows = size.sft_steps * 8
    write_notes(Path(NOTES), tokenizer, size.max_tokens, 0, rows)
    write_notes(Path(FEW), tokenizer, size.max_tokens, 0, size.few_steps * 8)
    write_notes(Path(VALIDATION), tokenizer, size.max_tokens, rows, 8)
    report.note(notes_seconds=time.monotonic() - began)

    from transformers import AutoModelForCausalLM, LlamaConfig

    began = time.monotonic()
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            LlamaConfig(**size.shape, bos_token_id=0, eos_token_id=0), dtype=torch.bfloat16
        )
    parameters = sum(p.numel() for p in model.parameters())
    report.note(parameters=parameters, shape=size.shape, made_seconds=time.monotonic() - began)
    began = time.monotonic()
    model.save_pretrained(BASE, max_shard_size=size.shard)
    tokenizer.save_pretrained(BASE)
    report.note(saved_seconds=time.monotonic() - began)
    began, shard = time.monotonic(), next(Path(BASE).glob("*.safetensors"))
    sha256_file(shard)  # each command hashes the whole model before it loads it
    report.note(hashed_bytes_per_s=shard.stat().st_size / (time.monotonic() - began))


def gpu(device: str) -> dict[str, Any] | None:
    """The GPU with its peaks; None on a CPU."""
    import torch

    if device != "cuda":
        return None
    about = torch.cuda.get_device_properties(0)
    flops, bandwidth = next((peak for name, peak in PEAKS.items() if name in about.name), (None, None))
    return {
        "name": about.name, "memory_bytes": about.total_memory, "multiprocessors": about.multi_processor_count,
        "cuda": torch.version.cuda, "peak_bf16_flops": flops, "peak_bytes_per_s": bandwidth,
    }  # fmt: skip


def ceilings(device: str, side: int) -> dict[str, float]:
    """What this machine reaches: a bf16 product of random square matrices, and a copy (bytes read and written)."""
    import torch

    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    big = torch.empty(16 * side * side, device=device, dtype=torch.bfloat16)
    other = torch.empty_like(big)
    return {
        "matmul_side": side,
        "matmul_flops": 2 * side**3 / seconds_of(lambda: a @ b, device),
        "copy_bytes_per_s": 2 * big.numel() * 2 / seconds_of(lambda: other.copy_(big), device),
    }


def seconds_of(work: Callable[[], object], device: str, rounds: int = 10) -> float:
    """Median seconds of `work`, after three calls to warm up."""
    taken = []
    for _ in range(3 + rounds):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - began)
    return median(taken[3:])


def command(report: Report, arguments: Sequence[str], device: str, around: Any = nullcontext) -> None:
    """`posology ARGUMENTS` in this process, inside `around(report)`; its exit code, seconds and peaks of memory."""
    began = time.monotonic()
    import torch

    from posology.cli import main

    report.note(command=" ".join(["posology", *arguments]), import_seconds=time.monotonic() - began)
    began, sys.argv = time.monotonic(), ["posology", *arguments]
    code: Any = 0
    try:
        with around(report):
            main()
    except SystemExit as done:
        code = done.code
    finally:
        report.note(exit_code=code, seconds=time.monotonic() - began)
        if device == "cuda":
            kept = torch.cuda.max_memory_reserved()
            report.note(peak_allocated_bytes=torch.cuda.max_memory_allocated(), peak_reserved_bytes=kept)


# The parts ------------------------------------------------------------------------------------------------------------


def child(part: str, report: Report, size: Size, options: argparse.Namespace) -> None:
    """One part, in a process of its own."""
    device, notes = options.device, ["--validation", VALIDATION]
    shared = ["--epochs", "1", "--max-tokens", str(size.max_tokens), "--device", device, "--precision", "bf16"]
    if part == "prepare":
        prepare(report, size, device, options.commit)
    elif part == "sft":
        command(report, ["sft", "--model", BASE, "--data", NOTES, *notes, "--run", RUN, *shared], device)
        report.note(**training_figures(Path("runs") / RUN, Path(BASE), "sft", size.shape, size.max_tokens, device))
    elif part == "dpo":
        few = Path(f"{part}.csv")
        write_first(Path(NOTES), few, size.dpo_steps * 8)
        pairs = ["--from-factual", str(few), *notes]
        command(report, ["dpo", "--model", newest("sft"), *pairs, "--run", RUN, *shared], device)
        report.note(**training_figures(Path("runs") / RUN, Path(BASE), "dpo", size.shape, size.max_tokens, device))
    elif part == "generate":
        few = Path(f"{part}.csv")
        write_first(Path(NOTES), few, size.answers)
        asked = ["generate", "--model", newest("dpo", "sft"), "--input", str(few), "--output", "answers.jsonl",
                 "--greedy", "--rows", str(max(size.answers // 2, 1)), "--max-new-tokens", str(size.new_tokens),
                 "--device", device]  # fmt: skip
        command(report, asked, device, answer_clock)
        report.note(**generation_figures(report.facts.get("groups", [])))
    else:  # qlora, profile
        if part == "qlora" and importlib.util.find_spec("bitsandbytes") is None:
            report.note(skipped="bitsandbytes is not installed")
            return
        kind = ["--lora", "qlora"] if part == "qlora" else []
        around = kernel_clock if part == "profile" else nullcontext
        command(report, ["sft", "--model", BASE, "--data", FEW, "--run", part, *kind, *shared], device, around)
        if part == "qlora":
            report.note(**training_figures(Path("runs") / part, Path(BASE), "sft", size.shape, size.max_tokens, device))


def newest(*stages: str) -> str:
    """The first of the run's stages that is finished; the base where an earlier part has failed."""
    there = (f"runs/{RUN}/{stage}" for stage in stages)
    return next((path for path in there if (Path(path) / "final").is_dir()), BASE)


def write_first(source: Path, target: Path, count: int) -> None:
    """The first `count` rows of a CSV whose rows are lines."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(lines[: count + 1]), encoding="utf-8")


def run_part(part: str, work: Path, options: argparse.Namespace, limit_s: float) -> dict[str, Any]:
    """Start a part, stop it at its limit, and return what it wrote down; never raises for what went wrong in it."""
    report, said = work / f"{part}.json", work / f"{part}.log"
    line = [sys.executable, str(Path(__file__).resolve()), "--child", part, "--device", options.device,
            "--commit", options.commit, *(["--small"] if options.small else [])]  # fmt: skip
    began = time.monotonic()
    with open(said, "wb") as log:
        process = subprocess.Popen(line, cwd=work, stdout=log, stderr=subprocess.STDOUT, env=environment())
        late = False
        try:
            process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            late = True
            process.send_signal(signal.SIGINT)  # the product saves at the next step and ends; figures so far are kept
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=GRACE_S)
            process.kill()
            process.wait()
    found: dict[str, Any] = {"wall_seconds": time.monotonic() - began}
    with suppress(OSError, ValueError):
        found |= json.loads(report.read_text(encoding="utf-8"))
    tail = said.read_text(encoding="utf-8", errors="replace").replace(str(work), "WORK")
    found["memory_line"] = next((row for row in tail.splitlines() if row.startswith("memory: about")), None)
    if late:
        found["error"] = f"stopped after {limit_s:.0f} s"
    elif process.returncode or found.get("exit_code"):
        found["error"] = f"exit {process.returncode or found['exit_code']}"
    if "error" in found:
        found["said"] = tail[-3000:]
    return found


def environment() -> dict[str, str]:
    """The package of this checkout first, no colours, nothing fetched."""
    source = str(Path(__file__).resolve().parents[1] / "src")
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def table(results: dict[str, Any]) -> str:
    """The parts in lines, for a terminal."""
    lines = [
        f"{'part':9} {'wall s':>6} {'step ms':>8} {'tokens/s':>9} {'padded/s':>9} {'GiB':>6} {'kept':>6} {'MFU':>6} {'HFU':>6}"
    ]
    for name, part in results["parts"].items():
        cells = [
            (part.get("wall_seconds"), "6.1f"), (part.get("median_step_ms", part.get("ms_a_token_of_all_rows")), "8.1f"),
            (part.get("tokens_per_s"), "9.0f"), (part.get("padded_tokens_per_s"), "9.0f"),
            (gib(part.get("peak_allocated_bytes")), "6.2f"), (gib(part.get("peak_reserved_bytes")), "6.2f"),
            (part.get("mfu"), "6.1%"), (part.get("hfu"), "6.1%"),
        ]  # fmt: skip
        shown = [format(value, kind) if value is not None else f"{'-':>{kind.split('.')[0]}}" for value, kind in cells]
        lines.append(" ".join([f"{name:9}", *shown, str(part.get("error") or part.get("skipped") or "")]).rstrip())
    return "\n".join(lines)


def gib(value: float | None) -> float | None:
    return None if value is None else value / 2**30


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    asked.add_argument("--small", action="store_true", help="a tiny model, to try the script out")
    asked.add_argument("--output", type=Path, default=Path("gpu-7b.json"))
    asked.add_argument("--parts", default=",".join(PARTS), help="which, with commas; `prepare` always comes first")
    asked.add_argument("--budget-s", type=float, default=90, help="seconds that a part may take")
    asked.add_argument("--total-s", type=float, default=240, help="seconds that all parts together may take")
    asked.add_argument("--work", type=Path, help="new folder for model and runs; by default one that is deleted again")
    asked.add_argument("--commit", default="", help="of this code, where it is no checkout")
    asked.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    options = asked.parse_args()
    size = SMALL if options.small else SEVEN_B
    if options.child:
        report = Report(Path(f"{options.child}.json").resolve())
        try:
            child(options.child, report, size, options)
        except BaseException as error:
            report.note(exception=f"{type(error).__name__}: {error}"[:1000])
            traceback.print_exc()
            sys.exit(1)
        return

    work = Path(tempfile.mkdtemp(prefix="gpu-7b-")) if options.work is None else options.work.resolve()
    work.mkdir(parents=True, exist_ok=options.work is None)  # runs that are there would be gone on with
    began, results = time.monotonic(), {"benchmark": "LoRA on a 7B", "small": options.small, "parts": {}}
    asked_for = [part for part in PARTS if part == "prepare" or part in options.parts.split(",")]
    try:
        for part in asked_for:
            left = options.total_s - (time.monotonic() - began) - GRACE_S
            if left < 1:
                results["parts"][part] = {"skipped": f"no time left of {options.total_s:.0f} s"}
                continue
            print(f"{part} ...", file=sys.stderr, flush=True)
            limit = options.budget_s * (2 if part == "prepare" else 1)  # 13 GB are written, to whatever disk there is
            found = run_part(part, work, options, min(limit, left))
            if part == "prepare":
                shared = ("machine", "versions", "commit", "gpu", "ceilings", "shape", "parameters")
                results |= {key: found.pop(key) for key in shared if key in found}
            results["parts"][part] = found | utilised(found, results)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")  # after each part
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    print(table(results))
    sys.exit(any("error" in part for part in results["parts"].values()))


if __name__ == "__main__":
    main()
