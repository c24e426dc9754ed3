"""What costs nothing, on the same page: answers to every case that need no model (or only a look at the training set).

The untrained model's answers come as a stage named `UNTRAINED` in answers.jsonl.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from posology.curriculum.records import Case, Dialogue

UNTRAINED = "untrained"
_ALWAYS = {
    "always contraindicated": "{Drug} is contraindicated.",
    "always OK": "{Drug} is acceptable.",
    "always abstain": "Not covered: no reviewed fact about this medicine.",
}
_SENTENCES = {
    "CONTRAINDICATED": "{Drug} is contraindicated.",
    "AVOID": "Avoid {drug}.",
    "ADJUST": "Adjust the dose of {drug}.",
    "CAUTION": "Use {drug} with caution.",
    "OK": "{Drug} is acceptable.",
    "INSUFFICIENT": "Not covered: no reviewed fact about this medicine.",
}
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")


def baseline_answers(cases: Mapping[str, Case], train: Sequence[Dialogue] = ()) -> dict[str, dict[str, str]]:
    """Baseline name -> case id -> answer."""
    out = {name: {key: say(text, case.drug) for key, case in cases.items()} for name, text in _ALWAYS.items()}
    if train:
        common = majority_sentence(train)
        out["majority"] = {key: say(common, case.drug) for key, case in cases.items()}
        nearest = nearest_answers([case.question for case in cases.values()], train)
        out["nearest training question"] = dict(zip(cases, nearest, strict=True))
    out["the judge itself"] = {key: case.answer for key, case in cases.items()}
    return out


def say(sentence: str, drug: str) -> str:
    """A sentence about a drug."""
    return sentence.format(drug=drug, Drug=drug[:1].upper() + drug[1:])


def majority_sentence(train: Sequence[Dialogue]) -> str:
    """The most frequent verdict sentence of the training answers (ties: the worst verdict)."""
    counts = Counter(opening(dialogue.answer) for dialogue in train)
    return _SENTENCES[max(_SENTENCES, key=lambda verdict: counts[verdict])]


def opening(answer: str) -> str:
    """The verdict that a canonical answer opens with; "" where it is none of ours."""
    first = answer.split(".", 1)[0].lower()
    for verdict, cue in (
        ("CONTRAINDICATED", "contraindicated"), ("AVOID", "avoid "), ("ADJUST", "adjust the dose"),
        ("CAUTION", "with caution"), ("OK", "acceptable"),
    ):  # fmt: skip
        if cue in first:
            return verdict
    return "INSUFFICIENT" if first.startswith(("not enough", "not covered")) else ""


def nearest_answers(questions: Sequence[str], train: Sequence[Dialogue], block: int = 256) -> list[str]:
    """The answer to the training question with the highest TF-IDF cosine (the first of equals).

    Words in more than a fifth of the training questions are left out, where others remain.
    """
    vocabulary: dict[str, int] = {}
    train_counts = _counts([dialogue.prompt for dialogue in train], vocabulary, grow=True)
    frequency = np.bincount(train_counts.indices, minlength=len(vocabulary))
    weight = np.log((1 + len(train)) / (1 + frequency)) + 1
    if (rare := frequency <= len(train) / 5).any():
        weight = weight * rare
    known, asked = (
        _unit(_weighted(counts, weight)) for counts in (train_counts, _counts(questions, vocabulary, grow=False))
    )
    transposed = known.T.tocsr()
    out: list[str] = []
    for start in range(0, len(questions), block):
        scores = (asked[start : start + block] @ transposed).toarray()
        out += [train[int(index)].answer for index in scores.argmax(axis=1)]
    return out


def _counts(texts: Sequence[str], vocabulary: dict[str, int], *, grow: bool) -> sparse.csr_matrix:
    """Which words stand in which text, as ones (texts, words)."""
    rows, columns = [], []
    for row, text in enumerate(texts):
        for word in dict.fromkeys(_WORD.findall(text.lower())):
            if grow:
                vocabulary.setdefault(word, len(vocabulary))
            if word in vocabulary:
                rows.append(row)
                columns.append(vocabulary[word])
    shape = (len(texts), len(vocabulary))
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)


def _weighted(counts: sparse.csr_matrix, weight: np.ndarray) -> sparse.csr_matrix:
    matrix = counts.multiply(weight).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _unit(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.diags(1 / np.maximum(norms, 1e-12)) @ matrix
