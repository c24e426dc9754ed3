"""One tiny model, its tokenizer and a few dialogues, saved as every stage saves them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from posology.config import ModelConfig
from posology.models.llama import language_model
from posology.models.loading import save_language_model
from posology.text.tokenizer import Tokenizer, save_tokenizer, train_tokenizer

TINY = ModelConfig(width=32, layers=2, heads=2, mlp_width=64, positions=128)

# question, better answer, worse answer: of different lengths, digits and punctuation in them
ROWS = (
    ("Can I give metformin at an eGFR of 28?", "Metformin is contraindicated.", "Metformin is acceptable."),
    ("Warfarin with ibuprofen?", "Avoid ibuprofen. Deciding: ibuprofen with warfarin.", "Ibuprofen is acceptable."),
    ("Apixaban: 82 years, 58 kg.", "Adjust the dose of apixaban: 2.5 mg every 12 h.", "Apixaban is acceptable."),
    (
        "Is zorbamol safe?",
        "Not covered: no reviewed fact about this medicine.",
        "Zorbamol is acceptable, 20 mg once daily.",
    ),
    ("Codeine, age 9?", "Codeine is contraindicated. The age of 9 is below 12.", "Use codeine with caution."),
    ("Dose?", "Not enough information: the weight is needed.", "450 mg every 12 h."),
)


@dataclass(frozen=True)
class Saved:
    """Folders as in runs/<name>/<stage>/final: weights and tokenizer side by side."""

    policy: Path
    reference: Path
    tokenizer: Tokenizer
    rows: tuple[tuple[str, str, str], ...] = ROWS


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Two random models, far enough from uniform that a wrong position or mask shows in the fifth decimal."""
    torch.set_num_threads(2)
    tokenizer = train_tokenizer([text for row in ROWS for text in row], 320)
    folders = []
    for seed in (0, 1):
        model = language_model(TINY, tokenizer.size, seed, bos=tokenizer.bos, eos=tokenizer.end, pad=tokenizer.pad)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(6.0 if weight.ndim > 1 else 1.0)
        folder = tmp_path_factory.mktemp("final")
        save_language_model(model, folder, tokenizer=tokenizer.fingerprint)
        save_tokenizer(tokenizer, folder)
        folders.append(folder)
    return Saved(folders[0], folders[1], tokenizer)
