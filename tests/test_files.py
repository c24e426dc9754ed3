"""Files are whole or absent, damage is seen, and errors say what to do."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posology.errors import UserError
from posology.files import (
    append_jsonl,
    atomic_stream,
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    fresh_dir,
    hash_files,
    publish,
    read_json,
    read_jsonl,
    require_free_space,
    sha256_file,
    sha256_text,
    verify_manifest,
    write_jsonl,
    write_manifest,
)

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_hashes_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == sha256_text("abc") == ABC


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    atomic_write_text(path, "old")
    atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"new" and names(tmp_path) == ["deep", "deep/file"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk of .* is full"), (errno.EIO, "cannot write")])
def test_a_failed_write_keeps_the_old_file(
    broken: str, number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    atomic_write_text(path, "old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(UserError, match=words):
        atomic_write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and names(tmp_path) == ["file"]


def test_an_unwritable_place_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write") as caught:
        atomic_write_text(tmp_path / "file" / "below", "x")
    assert caught.value.hint


def test_json_round_trip_and_refusals(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    atomic_write_json(path, {"ü": [1, 2.5, None]})
    assert read_json(path) == {"ü": [1, 2.5, None]} and "ü" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError):
        atomic_write_json(path, {"x": float("nan")})
    assert read_json(path) == {"ü": [1, 2.5, None]}
    with pytest.raises(UserError, match="no file"):
        read_json(tmp_path / "none.json")
    for bad in (b"{", b"\xff\xfe"):
        path.write_bytes(bad)
        with pytest.raises(UserError, match="damaged"):
            read_json(path)


ROWS = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9) | st.none(), max_size=3), max_size=5
)


@given(ROWS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_jsonl_round_trip(tmp_path: Path, rows: list) -> None:
    """Whatever the text: line separators of Unicode, quotes, control characters."""
    write_jsonl(tmp_path / "a", rows)
    assert list(read_jsonl(tmp_path / "a")) == rows
    (tmp_path / "b").unlink(missing_ok=True)
    (tmp_path / "b").touch()
    for row in rows:
        append_jsonl(tmp_path / "b", row)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n\n[2]\n')
    with pytest.raises(UserError, match=r"x\.jsonl:3 holds a list"):
        list(read_jsonl(path))
    path.write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(UserError, match=r"x\.jsonl:2 is not JSON"):
        list(read_jsonl(path, torn_tail=True))
    with pytest.raises(UserError, match="cannot read"):
        list(read_jsonl(tmp_path / "none"))


def test_a_torn_tail_is_forgiven_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    assert list(read_jsonl(path, torn_tail=True)) == [{"a": 1}]
    with pytest.raises(UserError, match=r":2 is not JSON"):
        list(read_jsonl(path))


def test_space_is_asked_of_the_disk_that_will_hold_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    real = shutil.disk_usage(tmp_path)

    def usage(path: Path) -> object:
        asked.append(Path(path))
        return real._replace(free=5 * 2**20)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    require_free_space(tmp_path / "not" / "yet" / "there", 5 * 2**20)
    assert asked == [tmp_path]
    with pytest.raises(UserError, match=r"no room for .*there: 6 MB needed, 5 MB free; nothing was written"):
        require_free_space(tmp_path / "not" / "yet" / "there", 6 * 2**20)


def filled(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"12345")
    (folder / "sub" / "b.bin").write_bytes(b"")
    write_manifest(folder)
    return folder


def test_manifest_of_an_unharmed_folder(tmp_path: Path) -> None:
    folder = filled(tmp_path / "x")
    assert verify_manifest(folder) == []
    assert set(json.loads((folder / "sha256.json").read_text())["files"]) == {"a.bin", "sub/b.bin"}


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: (f / "a.bin").unlink(), "a.bin is missing"),
        (lambda f: (f / "a.bin").write_bytes(b"1234"), "a.bin has 4 bytes, not 5"),
        (lambda f: (f / "a.bin").write_bytes(b"12346"), "a.bin has changed"),
        (lambda f: (f / "sub" / "b.bin").write_bytes(b"x"), "sub/b.bin has 1 bytes, not 0"),
        (lambda f: (f / "sha256.json").unlink(), "sha256.json is missing or damaged"),
        (lambda f: (f / "sha256.json").write_text("[]"), "sha256.json is missing or damaged"),
        (lambda f: (f / "sha256.json").write_text('{"files": {"a.bin": 3}}'), "sha256.json is missing or damaged"),
    ],
)  # fmt: skip
def test_manifest_sees_harm(harm, words: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "x")
    harm(folder)
    assert any(words in problem for problem in verify_manifest(folder))


def test_publish(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with publish(tmp_path / "final") as folder:
            (folder / "x").write_text(text)
            assert not (tmp_path / "final" / "x").exists() or (tmp_path / "final" / "x").read_text() == "old"
    assert (tmp_path / "final" / "x").read_text() == "new"
    assert verify_manifest(tmp_path / "final") == [] and names(tmp_path) == ["final", "final/sha256.json", "final/x"]


def test_publish_of_a_failed_body_keeps_the_old(tmp_path: Path) -> None:
    with publish(tmp_path / "final") as folder:
        (folder / "x").write_text("old")
    with pytest.raises(ZeroDivisionError), publish(tmp_path / "final") as folder:
        (folder / "x").write_text("half")
        _ = 1 / 0
    assert (tmp_path / "final" / "x").read_text() == "old" and ".tmp-final" not in names(tmp_path)


def test_publish_clears_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / ".tmp-final").mkdir()
    (tmp_path / ".tmp-final" / "stale").write_text("")
    with publish(tmp_path / "final") as folder:
        (folder / "x").write_text("")
    assert names(tmp_path / "final") == ["sha256.json", "x"]


def test_fresh_dir_where_a_file_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        fresh_dir(tmp_path / "file" / "x")


def test_hash_files_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        for name in ("a.toml", "sub/b.toml", "c.txt") if folder == "one" else ("c.txt", "sub/b.toml", "a.toml"):
            atomic_write_text(tmp_path / folder / name, name)
    one, two = tmp_path / "one", tmp_path / "two"
    before = hash_files(one, "**/*.toml")
    assert before == hash_files(two, "**/*.toml") == hash_files(two, "**/*.toml", "*.toml") != hash_files(two, "**/*")
    (two / "c.txt").write_text("not asked for")
    assert hash_files(two, "**/*.toml") == before
    (two / "a.toml").rename(two / "d.toml")
    assert hash_files(two, "**/*.toml") != before


def test_a_stream_replaces_its_file_at_the_end_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_stream(path) as write:
        write(b"one ")
        assert not path.exists()
        write(b"two")
    assert path.read_bytes() == b"one two"
    with pytest.raises(OSError, match="the body's own"), atomic_stream(path) as write:
        write(b"three")
        raise OSError("the body's own")
    assert path.read_bytes() == b"one two" and [file.name for file in path.parent.iterdir()] == ["a.txt"]
