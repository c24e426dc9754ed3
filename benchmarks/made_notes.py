"""Made-up clinical notes with summaries, and a tokenizer for them: what gpu_7b.py trains on."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DRUGS = ("metformin", "lisinopril", "warfarin", "atorvastatin", "amlodipine", "apixaban", "furosemide", "metoprolol",
         "omeprazole", "sertraline", "prednisone", "allopurinol", "levothyroxine", "gabapentin")  # fmt: skip
DOSES, OFTEN = (5, 10, 20, 25, 40, 50, 100, 250, 500), ("once daily", "twice daily", "three times daily", "at bedtime")
SIDES, PARTS_OF_BODY = ("left", "right"), ("knee", "shoulder", "hip", "ankle", "wrist")
DENIED = ("chest pain", "dyspnea", "fever", "nausea", "vomiting", "dizziness", "headache", "cough")
ASIDES = (
    "Slept {a} hours and walked {b} minutes in the afternoon.", "Blood pressure {c} over {d}, pulse {d}, seated.",
    "The daughter came along and asked about the visit of week {a}.", "Weight {d} kg, {a} kg less than in spring.",
    "Laboratory values of the {a}th were discussed and agreed upon.", "Gait is steady over {b} metres without a stick.",
    "The wound measures {a} by {b} mm and its edges are clean.", "Potassium {a}.{b} mmol/L, creatinine {d} umol/L.",
    "Lives on floor {a} with a lift; a neighbour helps with shopping.", "Reviewed the letter of {b} March together.",
)  # fmt: skip


def note_of(number: int) -> tuple[str, str]:
    """Note and summary `number`: medicines, a side and findings to be right or wrong about, then asides without end."""
    draw = random.Random(number)
    taken = [f"{drug} {draw.choice(DOSES)} mg {draw.choice(OFTEN)}" for drug in draw.sample(DRUGS, draw.randint(3, 6))]
    where = f"{draw.choice(SIDES)} {draw.choice(PARTS_OF_BODY)}"
    denied = draw.sample(DENIED, 2)
    asides = (
        draw.choice(ASIDES).format(a=draw.randint(2, 9), b=draw.randint(10, 40), c=draw.randint(100, 180), d=draw.randint(50, 99))
        for _ in range(60)
    )  # fmt: skip
    note = [f"Patient aged {draw.randint(30, 90)} takes {'; takes '.join(taken)}.", f"Pain in the {where} for a week.",
            f"Denies {denied[0]} and {denied[1]}.", *asides]  # fmt: skip
    summary = f"Takes {', '.join(taken)}. Pain in the {where}. Denies {denied[0]} and {denied[1]}."
    return " ".join(note), summary


def make_tokenizer(texts: Sequence[str], words: int) -> Any:
    """Byte-level BPE with one end token, as GPT-2 has it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words, special_tokens=["<eos>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


def write_notes(path: Path, tokenizer: Any, max_tokens: int, first: int, count: int) -> None:
    """Rows of 82 to 95 % of `max_tokens`: a wrong summary may be a little longer than the right one."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "clinical_note", "model_summary", "label"])
        for number in range(first, first + count):
            note, summary = note_of(number)
            room = int(max_tokens * random.Random(-number).uniform(0.82, 0.95)) - 16
            ids = tokenizer(note)["input_ids"][: room - len(tokenizer(summary)["input_ids"])]
            note = tokenizer.decode(ids).rpartition(". ")[0] + "."
            table.writerow([f"n{number}", note, summary, "factual"])
