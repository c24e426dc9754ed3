"""The tokenizer: byte-level BPE with two digits a token, tokens of several words for answers, eight special tokens and
a chat template.

A number is cut from the left into pairs of digits, the first with the space before it: " 28" is one token, in a question
and in the working that copies it, and every number of three digits is two, so that its second part is not forgotten.
Single digits are for models that compare and calculate by themselves; here the engine does both.

Merges are learnt twice (Liu et al. 2025, "SuperBPE: Space travel for language models"): inside words from all texts,
then across words, never across a sentence's end, from the answers alone. "Reason: reduced renal clearance." is then two
tokens: an answer takes half as many steps to learn and to write. Questions keep to words, so that a question in other
words is still made of the same tokens. What always comes as a whole may be one token too: a medicine's limits in a
comparison ("?30,45"), a dose (" 5 to 40 mg once daily") and how one is worked out ("min(weight*45/2,875)"), so that none is
put together of the parts of two.

Saved as a Hugging Face fast tokenizer, so that plain ``AutoTokenizer.from_pretrained`` reads it. Here the fast
tokenizer's own library is used directly: transformers is imported only when `Tokenizer.hf` is asked for.

Text is data: whatever a user writes, ``<|end|>`` included, becomes ordinary tokens. Only an answer's three
calculator marks are parsed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from string import digits
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from posology.config import UserError
from posology.text.formulary import Formulary
from posology.text.spans import CALC, END_CALC, EQUALS

PAD, BOS, USER, ASSISTANT, END = "<|pad|>", "<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIALS = (PAD, BOS, USER, ASSISTANT, END, CALC, EQUALS, END_CALC)  # ids 0 to 7, in this order
LONGEST_TOKEN = 24  # bytes of a word
LONGEST_PHRASE = 8  # words of a phrase: longer merges memorise whole template sentences
_NUMBER = r" ?[0-9]{1,2}"  # cut from the left: " 28", " 12" and "6", "0"
_WORD = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # GPT-2's words
_FIRST_CHARACTER = 0xF0000  # of Unicode's private use: token i is written as character _FIRST_CHARACTER + i

CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'user' %}{{- '<|user|>' + message['content'] }}"
    "{%- elif message['role'] == 'assistant' %}{{- '<|assistant|>' + message['content'] + '<|end|>' }}"
    "{%- else %}{{- raise_exception('roles are user and assistant, not ' + message['role']) }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
)
_MARK = re.compile("|".join(re.escape(mark) for mark in (CALC, EQUALS, END_CALC)))


@dataclass(frozen=True)
class Tokenizer:
    """Token ids for text, and back. `backend` never parses special tokens; the marks are put in by this class."""

    backend: tokenizers.Tokenizer
    source: str = field(repr=False)  # the text of tokenizer.json
    formulary: Formulary = field(default_factory=Formulary, repr=False)  # the medicines of whoever writes these tokens

    @classmethod
    def from_json(cls, source: str, where: str = "tokenizer.json") -> Tokenizer:
        """From the text of a tokenizer.json; UserError if it is damaged or lacks one of the special tokens."""
        try:
            backend = tokenizers.Tokenizer.from_str(source)
        except Exception as error:  # the library raises bare Exception
            raise UserError(f"{where} is not a tokenizer: {' '.join(str(error).split())}") from None
        if missing := [token for token in SPECIALS if backend.token_to_id(token) is None]:
            hint = "train one with `posology run`, or take a stage's final folder"
            raise UserError(f"{where} lacks the special tokens {' '.join(missing)}", hint)
        backend.encode_special_tokens = True
        backend.no_padding()
        backend.no_truncation()
        return cls(backend, source)

    @cached_property
    def hf(self) -> Any:
        """The same tokenizer as a transformers PreTrainedTokenizerFast, with the chat template."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers gives it no types
            tokenizer_object=tokenizers.Tokenizer.from_str(self.source), **_settings(), chat_template=CHAT_TEMPLATE
        )

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: number for token in SPECIALS if (number := self.backend.token_to_id(token)) is not None}

    @property
    def pad(self) -> int:
        return self._ids[PAD]

    @property
    def bos(self) -> int:
        return self._ids[BOS]

    @property
    def user(self) -> int:
        return self._ids[USER]

    @property
    def assistant(self) -> int:
        return self._ids[ASSISTANT]

    @property
    def end(self) -> int:
        return self._ids[END]

    @property
    def calc(self) -> int:
        return self._ids[CALC]

    @property
    def equals(self) -> int:
        return self._ids[EQUALS]

    @property
    def endcalc(self) -> int:
        return self._ids[END_CALC]

    @property
    def size(self) -> int:
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of tokenizer.json; written into each model's config as "posology_tokenizer"."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def encode_text(self, text: str) -> list[int]:
        """Ids of ordinary text. Special tokens in it are not parsed; half a surrogate pair becomes "?"."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self.backend.encode(clean, add_special_tokens=False).ids
        return ids

    def encode_answer(self, answer: str) -> list[int]:
        """Ids of an answer: its calculator marks are parsed, no other special token is, and no end token is added."""
        ids: list[int] = []
        at = 0
        for mark in _MARK.finditer(answer):
            ids += self.encode_text(answer[at : mark.start()])
            ids.append(self._ids[mark[0]])
            at = mark.end()
        return ids + self.encode_text(answer[at:])

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids. Calculator marks are kept, the other special tokens are dropped; broken UTF-8 becomes U+FFFD."""
        dropped = {self.pad, self.bos, self.user, self.assistant, self.end}
        text: str = self.backend.decode([i for i in ids if i not in dropped], skip_special_tokens=False)
        return text


def train_tokenizer(
    texts: Iterable[str], vocabulary: int, answers: Iterable[str] = (), phrases: int = 0, whole: Iterable[str] = ()
) -> Tokenizer:
    """Learn byte-level BPE merges: words from `texts`, and up to `phrases` of the tokens across words from `answers`.

    Each text of `whole` becomes one token wherever it stands, within `vocabulary`. The same corpus gives the same
    bytes, in whatever order its texts come. One too small for `vocabulary` gives fewer tokens: read `Tokenizer.size`.
    """
    kept = sorted(set(whole))
    room = vocabulary - phrases - len(kept)
    if room < len(SPECIALS) + 256:
        held = f"256 bytes, {len(SPECIALS)} special tokens, {phrases} phrases and {len(kept)} texts kept whole"
        raise UserError(f"a vocabulary of {vocabulary} cannot hold {held}", "raise tokenizer.vocabulary")
    words = _train_words(sorted(texts), room)
    merges = _phrase_merges(words, answers, phrases) if phrases else []
    return _join(words, merges, kept) if merges or kept else words


def _train_words(corpus: Sequence[str], vocabulary: int) -> Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(f"{_NUMBER}|{_WORD}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    backend.train_from_iterator(corpus, trainer)
    # One BOS on plain text in other programs; the chat template brings its own and asks for none.
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, SPECIALS.index(BOS))]
    )
    return Tokenizer.from_json(backend.to_str(pretty=True))


def _phrase_merges(words: Tokenizer, answers: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The first `count` merges across words. The library learns them on texts in which each token is one character."""
    names = {number: name for name, number in words.backend.get_vocab(with_added_tokens=True).items()}
    apart = {*range(len(SPECIALS)), *(number for number, name in names.items() if set(name) & set(digits))}
    lines: Counter[str] = Counter()
    for answer in answers:
        line = ""
        for number in words.encode_answer(answer):
            if number not in apart:
                line += chr(_FIRST_CHARACTER + number)
            if number in apart or names[number].endswith("."):  # digits, marks and a sentence's end stay outside
                lines[line] += 1
                line = ""
        lines[line] += 1
    texts = [line for line, times in sorted(lines.items()) for _ in range(times) if len(line) > 1]
    alphabet = len({character for text in texts for character in text})
    backend = tokenizers.Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=alphabet + count, min_frequency=2, max_token_length=LONGEST_PHRASE, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)

    def name(characters: str) -> str:
        return "".join(names[ord(character) - _FIRST_CHARACTER] for character in characters)

    return [(name(left), name(right)) for left, right in json.loads(backend.to_str())["model"]["merges"]]


def _join(words: Tokenizer, merges: Sequence[tuple[str, str]], whole: Sequence[str]) -> Tokenizer:
    """The tokenizer with these merges after its own, and `whole` as tokens; text is no longer cut at spaces, only at
    numbers. Its own merges never cross a space, so words are put together as before.
    """
    plan = json.loads(words.source)
    vocabulary = plan["model"]["vocab"]
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
        plan["model"]["merges"].append([left, right])
    plan["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": _NUMBER}
    backend = tokenizers.Tokenizer.from_str(json.dumps(plan))
    backend.add_tokens([tokenizers.AddedToken(text, normalized=False) for text in whole])
    return Tokenizer.from_json(backend.to_str(pretty=True))


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, special_tokens_map.json, chat_template.jinja and formulary.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.formulary.save(folder)
    settings = {**_settings(), "tokenizer_class": "PreTrainedTokenizerFast"}
    names = {key: value for key, value in _settings().items() if key.endswith("_token")}
    (folder / "tokenizer.json").write_bytes(tokenizer.source.encode())
    (folder / "tokenizer_config.json").write_bytes(_json(settings))
    (folder / "special_tokens_map.json").write_bytes(_json(names))
    (folder / "chat_template.jinja").write_bytes(CHAT_TEMPLATE.encode())


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer saved in `folder`. UserError if it is missing, damaged, or has not our special tokens."""
    path = Path(folder) / "tokenizer.json"
    try:
        source = path.read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        hint = "the tokenizer is made by `posology run`; each stage's final folder holds a copy"
        raise UserError(f"no tokenizer in {folder}", hint) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: it is not UTF-8 text") from None
    return replace(Tokenizer.from_json(source, str(path)), formulary=Formulary.load(Path(folder)))


def _settings() -> dict[str, Any]:
    return {
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [USER, ASSISTANT, CALC, EQUALS, END_CALC],
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
