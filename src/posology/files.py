"""Files that are either whole or absent: atomic writes, JSONL, hashes, free space.

A reader never sees half a file: data go to a temporary name in the same folder, are fsynced, and take their name by
rename. A folder is published the same way, with a manifest of SHA-256 sums that tells later whether it is still whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from posology.errors import UserError

MANIFEST = "sha256.json"  # inside a published folder: the size and SHA-256 of every file
TEMPORARY = ".tmp-"  # names that begin so are unfinished and may be deleted by whoever made them


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, or leave it as it was. UserError when the disk is full or not writable."""
    with atomic_stream(path) as write:
        write(data)


@contextmanager
def atomic_stream(path: Path) -> Iterator[Callable[[bytes], None]]:
    """``with atomic_stream(path) as write:`` piece by piece; at the end the pieces replace `path`, all at once.

    When the body raises, `path` stays as it was. UserError when the disk is full or not writable.
    """
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(temporary, "wb")  # noqa: SIM115 (closed by `with` below; what the body raises is not ours)

        def write(data: bytes) -> None:
            with _writing(path):
                file.write(data)

        with file:
            yield write
            with _writing(path):
                file.flush()
                os.fsync(file.fileno())
        with _writing(path):
            os.replace(temporary, path)
            _fsync_dir(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def atomic_write_text(path: Path, text: str) -> None:
    """`atomic_write_bytes` in UTF-8."""
    atomic_write_bytes(path, text.encode("utf-8"))


def atomic_write_json(path: Path, data: Any) -> None:
    """`atomic_write_text` of indented JSON. NaN and infinity are not JSON: they raise ValueError."""
    atomic_write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Parse a JSON file. UserError when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no file {path}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}", "restore it, or delete it and make it again") from None


def read_jsonl(path: Path, *, torn_tail: bool = False) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file, line by line; blank lines are passed over. UserError names file and line.

    `torn_tail` forgives a last line without its newline: what a process that was killed while it wrote leaves behind.
    """
    for _, row in read_numbered_jsonl(path, torn_tail=torn_tail):
        yield row


def read_numbered_jsonl(path: Path, *, torn_tail: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """`read_jsonl` with each object's line number, for whoever finds fault with what it says."""
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by `with` below; opened apart so that only this error is caught)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if torn_tail and not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"{path}:{number} is not JSON: {error}", "each line must hold one JSON object"
                ) from None
            if not isinstance(row, dict):
                kind = type(row).__name__
                raise UserError(f"{path}:{number} holds a {kind}, not a JSON object", "one JSON object a line: {...}")
            yield number, row


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Replace `path` by one JSON object a line (atomic)."""
    atomic_write_text(path, "".join(_line(row) for row in rows))


def append_jsonl(path: Path, row: dict[str, Any]) -> None:
    """Add one line in one write. It has reached the system when this returns: killing the process does not lose it."""
    try:
        with open(path, "ab", buffering=0) as file:
            file.write(_line(row).encode("utf-8"))
    except OSError as error:
        raise cannot_write(path, error) from error


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex digest of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def hash_files(folder: Path, *patterns: str) -> str:
    """One hex digest over the names and contents of the files that any pattern matches (``"**/*.toml"``), in order."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    lines = [f"{path.relative_to(folder).as_posix()} {sha256_file(path)}" for path in found]
    return sha256_text("\n".join(sorted(lines)))


def require_free_space(path: Path, bytes_needed: int) -> None:
    """UserError, before anything is written, when the disk that holds `path` has less room than `bytes_needed`."""
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise UserError(
            f"no room for {path}: {_megabytes(bytes_needed)} needed, {_megabytes(free)} free; nothing was written",
            "free some space and give the same command again",
        )


def cannot_write(path: Path, error: OSError) -> UserError:
    """What to tell the user about a write that failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"the disk of {path} is full", "free some space and give the same command again")
    return UserError(f"cannot write {path}: {error.strerror or error}", "check that the folder exists and is yours")


def write_manifest(folder: Path) -> dict[str, str]:
    """Write `folder`/sha256.json: size and SHA-256 of every file below. Returns file name -> hash."""
    files = {
        name.as_posix(): {"bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
        for name in _files(folder)
    }
    atomic_write_json(folder / MANIFEST, {"files": files})
    return {name: str(entry["sha256"]) for name, entry in files.items()}


def verify_manifest(folder: Path) -> list[str]:
    """What is wrong with a published folder, in words; [] when every file in its manifest is there and unchanged."""
    try:
        files = read_json(folder / MANIFEST)["files"]
        expected = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return [f"{MANIFEST} is missing or damaged"]
    problems = []
    for name, (size, digest) in expected.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif path.stat().st_size != size:
            problems.append(f"{name} has {path.stat().st_size} bytes, not {size}")
        elif sha256_file(path) != digest:
            problems.append(f"{name} has changed (its SHA-256 differs)")
    return problems


def publish_dir(temporary: Path, final: Path) -> None:
    """Give a finished folder its name: fsync every file, then rename. An older `final` is replaced.

    Whoever is killed in between leaves either the old folder, the new one, or none: never a mixture.
    """
    try:
        for name in _files(temporary):
            with open(temporary / name, "rb") as file:
                os.fsync(file.fileno())
        for folder in [temporary, *(path for path in temporary.rglob("*") if path.is_dir())]:
            _fsync_dir(folder)
        final.parent.mkdir(parents=True, exist_ok=True)
        old = final.with_name(f"{TEMPORARY}old-{final.name}")
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            os.rename(final, old)
        os.rename(temporary, final)
        _fsync_dir(final.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise cannot_write(final, error) from error


@contextmanager
def publish(final: Path) -> Iterator[Path]:
    """``with publish(stage.final) as folder:`` fill `folder`; on leaving, it gets its manifest and its name.

    When the body raises, nothing is published and what it wrote is deleted.
    """
    temporary = fresh_dir(final.with_name(TEMPORARY + final.name))
    try:
        yield temporary
        write_manifest(temporary)
        publish_dir(temporary, final)
    except OSError as error:
        raise cannot_write(final, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def fresh_dir(path: Path) -> Path:
    """An empty folder at `path`; what a killed process left there is deleted."""
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def _files(folder: Path) -> list[Path]:
    """Every file below `folder` except manifests and unfinished ones, relative and in a fixed order."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name.as_posix() != MANIFEST and not name.name.startswith(TEMPORARY))


def _fsync_dir(folder: Path) -> None:
    """A rename is safe from a power cut once its folder is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MB" if count >= 2**20 else f"{count:,} bytes"
