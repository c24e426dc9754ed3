"""A note's sections: from one heading to the next. A heading is a line of its own in capitals, as in "CHIEF COMPLAINT"."""

from __future__ import annotations

import re
from itertools import pairwise

_HEADING = re.compile(r"^[ \t]*[A-Z](?:[A-Z &/-]{3,38}:?|[A-Z &/-]{1,38}:)[ \t]*$", re.MULTILINE)


def split_sections(text: str) -> list[str]:
    """The sections in order, each with its heading and without white space around it; nothing else is left out.

    What comes before the first heading is a section too, and a heading without a text of its own belongs to the next.
    A text without headings is one section.
    """
    cuts = [0, *(match.start() for match in _HEADING.finditer(text)), len(text)]
    sections: list[str] = []
    pending = ""
    for start, end in pairwise(cuts):
        pending = f"{pending}{text[start:end]}"
        if _HEADING.sub("", pending).strip():
            sections.append(pending.strip())
            pending = ""
    if pending.strip():
        sections = [*sections[:-1], f"{sections[-1]}\n\n{pending.strip()}"] if sections else [pending.strip()]
    return sections
