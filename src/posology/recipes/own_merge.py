"""Write a trained model as a plain Hugging Face model, for anyone who does not have posology."""

from __future__ import annotations

from pathlib import Path

from posology.config import UserError
from posology.files import publish, require_free_space
from posology.models.source import Source, save_merged

SPARE = 2**26  # bytes for configs and the tokenizer


def own_merge(source: Source, output: Path) -> None:
    """The adapters added into the base's weights, in the type that the base is kept in. UserError where `output` exists.

    Adapters of a quantised model are added to the weights as they were before quantisation: near, not equal.
    """
    if output.exists():
        raise UserError(f"{output} is there already", "give another --output, or delete it")
    require_free_space(output, SPARE + sum(path.stat().st_size for path in source.base.glob("*.safetensors")))
    with publish(output) as folder:
        save_merged(source, folder)
