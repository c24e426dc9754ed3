"""Training and sampling speed of the default model, beside plain transformers: `python benchmarks/speed.py [threads]`.

Every way gets the same dialogues (40 to 110 tokens, 45 % of them scored) and the same weights; ways are timed in turn,
so that a busy machine slows all of them alike. With one thread the processor's own time is counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from posology.config import ModelConfig
from posology.models.llama import language_model
from posology.models.memory import keep_freed_memory
from posology.models.nll import token_nll
from posology.models.packed import hidden_at, segment_mask
from posology.models.precision import pick_precision
from posology.rollout.sampler import sample
from posology.text.chat import Encoded
from posology.text.packing import IGNORED, pack

VOCABULARY, TOKENS = 3072, 4096
THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
clock = time.process_time if THREADS == 1 else time.perf_counter


def dialogues() -> list[Encoded]:
    """Random dialogues of 4,096 tokens in all."""
    generator = torch.Generator().manual_seed(0)
    rows: list[Encoded] = []
    while (left := TOKENS - sum(map(len, rows))) > 0:
        length = min(int(torch.randint(40, 111, (), generator=generator)), left)
        ids = torch.randint(8, VOCABULARY, (length,), generator=generator).tolist()
        rows.append(Encoded(ids, [i >= 0.55 * length for i in range(length)]))
    return rows


def tensors(examples: list[Encoded], row: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ids, positions, segments, targets of packed rows, padded on the right."""
    rows = pack(examples, row, range(len(examples))).rows
    width = max(len(r.ids) for r in rows)

    def padded(lists: list[list[int]], value: int) -> Tensor:
        return torch.tensor([values + [value] * (width - len(values)) for values in lists])

    return (
        padded([r.ids for r in rows], 0),
        padded([r.positions for r in rows], 0),
        padded([r.segments for r in rows], 0),
        padded([r.targets for r in rows], IGNORED),
    )


def timed(ways: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Median seconds of each way, in turn, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            start = clock()
            way()
            if round_:
                seconds[name].append(clock() - start)
    return {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}


def training() -> None:
    model = language_model(ModelConfig(), VOCABULARY, 0)
    precision = pick_precision()
    examples = dialogues()
    one_each = [tensors([example], 128) for example in examples]
    width = max(ids.shape[1] for ids, *_ in one_each)
    alone = [
        torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1]), value=fill) for part in parts])
        for parts, fill in zip(zip(*one_each, strict=True), (0, 0, 0, IGNORED), strict=True)
    ]
    packed = tensors(examples, 256)

    def transformers_pass(ids: Tensor, positions: Tensor, mask: Tensor, targets: Tensor) -> None:
        model.zero_grad()
        with precision():
            logits = model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).logits
        cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum").backward()

    def stream_pass(ids: Tensor, positions: Tensor, segments: Tensor, targets: Tensor) -> None:
        model.zero_grad()
        read = targets != IGNORED
        with precision():
            nll, _ = token_nll(model, hidden_at(model, ids, positions, segments, read), targets[read])
        nll.sum().backward()

    ids, positions, segments, targets = packed
    everywhere = torch.where(segments > 0, ids, IGNORED)
    seconds = timed(
        {
            "transformers, a dialogue a row": lambda: transformers_pass(
                alone[0], alone[1], (alone[2] > 0).long(), alone[3]
            ),
            "transformers, packed rows of 256": lambda: transformers_pass(
                ids, positions, segment_mask(segments), targets
            ),
            "stream, every token scored": lambda: stream_pass(ids, positions, segments, everywhere),
            "stream": lambda: stream_pass(*packed),
        }
    )
    print(f"training, forward and backward, {precision.name}, {THREADS} threads")
    for name, value in seconds.items():
        print(f"  {name:34} {TOKENS / value:8.0f} tokens/s")


def sampling() -> None:
    model = language_model(ModelConfig(), VOCABULARY, 0).eval()
    print(f"sampling 60 tokens after 45, {pick_precision().name}, {THREADS} threads")
    for rows in (64, 256, 512):
        prompts = torch.randint(8, VOCABULARY, (rows, 45), generator=torch.Generator().manual_seed(0))

        def ours(prompts: Tensor = prompts, rows: int = rows) -> None:
            sample(model, prompts.tolist(), pad=0, end=-1, max_new_tokens=60, rows=rows, precision=pick_precision())

        def theirs(prompts: Tensor = prompts) -> None:
            with torch.no_grad(), pick_precision()():
                model.generate(
                    prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=60, min_new_tokens=60,
                    do_sample=True, top_k=0, top_p=1.0,
                )  # fmt: skip

        for name, value in timed({"generate": theirs, "ours": ours}, rounds=3).items():
            print(f"  {rows:4} rows  {name:10} {rows * 60 / value:8.0f} tokens/s")


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    training()
    sampling()
