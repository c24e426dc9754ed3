"""How names are compared: of drugs, conditions and whatever else people write in more than one way."""

from __future__ import annotations


def plain(text: str) -> str:
    """Lower case, single spaces; hyphens and slashes count as spaces where names are compared."""
    return " ".join(text.casefold().replace("-", " ").replace("/", " ").split())
