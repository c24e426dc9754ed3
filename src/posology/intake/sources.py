"""A path -> the files that hold its rows: one file, or a Hugging Face dataset folder on this disk.

A folder is one that `save_to_disk` wrote, or holds data files whose names say which split they are, as on the hub:
``train.csv``, ``data/validation-00000-of-00002.parquet``, ``test/part.jsonl``. Files that name no split are train.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posology.errors import ConfigError, UserError
from posology.files import read_json
from posology.intake.options import meant

FORMATS = {".csv": "CSV", ".tsv": "CSV", ".jsonl": "JSONL", ".ndjson": "JSONL", ".json": "JSONL",
           ".parquet": "Parquet", ".arrow": "Arrow"}  # fmt: skip
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_ABOUT = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}  # speak of the data


@dataclass(frozen=True)
class Source:
    """Files of one format whose rows follow one another. `split` is "" for a single file."""

    path: Path
    format: str  # a value of FORMATS
    files: tuple[Path, ...]
    split: str = ""


def find_source(path: Path, split: str = "") -> Source:
    """UserError for what is not there, or cannot be told; ConfigError for a split that there is not."""
    if path.is_dir():
        return _folder(path, split)
    if not path.exists():
        raise UserError(f"no file or folder {path}", "data are read from this disk only: give the path of a file")
    if split:
        raise ConfigError(f"{path} is a file: it has no split {split!r}", "splits are for dataset folders")
    return Source(path, _format(path), (path,))


def _format(path: Path) -> str:
    known = FORMATS.get(path.suffix.lower())
    if known is None:
        kind = f"is a {path.suffix} file" if path.suffix else "has no extension"
        raise UserError(f"{path} {kind}: what it holds cannot be told", f"known are {', '.join(FORMATS)}")
    return known


def _folder(path: Path, split: str) -> Source:
    if (path / "state.json").is_file():
        if split:
            raise ConfigError(f"{path} holds one split only, not {split!r}", "give the folder above it")
        return Source(path, "Arrow", _saved(path))
    if (path / "dataset_dict.json").is_file():
        name = _chosen(path, split, _splits_saved(path / "dataset_dict.json"))
        return Source(path, "Arrow", _saved(path / name), name)
    by_split: dict[str, list[Path]] = defaultdict(list)
    for file in _data_files(path):
        by_split[_split(file.relative_to(path))].append(file)
    if not by_split:
        raise UserError(f"{path} holds no data files", f"known are {', '.join(FORMATS)}")
    name = _chosen(path, split, list(by_split))
    files = tuple(by_split[name])
    formats = {_format(file) for file in files}
    if len(formats) > 1:
        raise UserError(f"{path}: its {name} files are of several kinds: {', '.join(sorted(formats))}", "give one file")
    return Source(path, formats.pop(), files, name)


def _data_files(path: Path) -> list[Path]:
    """Every file of a known format below a folder, but hidden ones and those that speak of the data."""
    return [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in FORMATS
        and file.name not in _ABOUT
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    ]


def _split(path: Path) -> str:
    """Which split a file's path names; the file's own name counts before its folders'."""
    for part in (path.stem, *reversed(path.parent.parts)):
        words = re.split(r"[^a-z]+", part.lower())
        for split, names in SPLITS.items():
            if any(name in words for name in names):
                return split
    return "train"


def _chosen(path: Path, split: str, names: list[str]) -> str:
    wanted = split or "train"
    if wanted in names:
        return wanted
    if not split and len(names) == 1:
        return names[0]
    raise ConfigError(f"{path} has no split {wanted!r}", meant(wanted, names))


def _splits_saved(path: Path) -> list[str]:
    listed: Any = read_json(path)
    names = listed.get("splits") if isinstance(listed, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise UserError(f"{path} names no splits", "write the dataset again with save_to_disk")
    return names


def _saved(path: Path) -> tuple[Path, ...]:
    """The Arrow files of a folder that `save_to_disk` wrote, in order."""
    state = path / "state.json"
    entries: Any = read_json(state)
    listed = entries.get("_data_files") if isinstance(entries, dict) else None
    names = [entry.get("filename") if isinstance(entry, dict) else None for entry in listed or []]
    files = tuple(path / name for name in names if isinstance(name, str) and Path(name).name == name)
    if not files or len(files) != len(names):
        raise UserError(f"{state} names no data files", "write the dataset again with save_to_disk")
    if absent := [file for file in files if not file.is_file()]:
        raise UserError(f"no file {absent[0]}", f"{state} names it: copy the folder again")
    return files
