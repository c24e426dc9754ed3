"""From a config's text to a mapping, and from what is wrong with it to one line: where, what, and what is allowed.

The schema is config.py's; here any pydantic model will do.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from posology.errors import ConfigError


def read_yaml(path: Path) -> dict[str, Any]:
    """A file's mapping. ConfigError for what cannot be read, is no YAML or no mapping, or gives a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"no config file {path}", f"there is: {', '.join(near)}" if near else "") from None
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping of sections, found {type(raw).__name__}")
    _refuse_duplicates(tree, path)
    return raw


def _refuse_duplicates(node: yaml.Node | None, path: Path) -> None:
    """YAML itself lets the last of two equal keys win, in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"{path}:{line} gives {key.value} a second time (first on line {seen[key.value]})")
            seen[key.value] = line
            _refuse_duplicates(value, path)


def override(raw: dict[str, Any], item: str) -> None:
    """Set one value, given as "section.key=value", in place. ConfigError for what is not of that form."""
    key, equals, value = item.partition("=")
    *parents, last = (part.strip() for part in key.split("."))
    if not equals or not last or not all(parents):
        raise ConfigError(f"--set {item!r} is not of the form section.key=value", "for example --set ppo.kl_target=2")
    node = raw
    for name in parents:
        child = node.get(name)
        if child is None:  # absent, or a section left empty in the file
            child = node[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {item!r}: {name!r} is a value, not a section")
        node = child
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {item!r}: {value!r} is not a YAML value") from None


def explain(problem: Any, root: type[BaseModel]) -> ConfigError:
    """One of pydantic's problems with the schema `root` in our words: path, value, what is allowed."""
    parts = [str(part) for part in problem["loc"]]
    path, kind = ".".join(parts) or "config", problem["type"]
    if kind == "extra_forbidden":
        return _unknown_key(parts, root)
    if parts[-1:] and parts[-1].isdecimal():  # an item of a list
        parts = parts[:-1]
        path, kind = (".".join(parts), "") if kind == "missing" else (path, kind)
    if kind == "missing":
        return ConfigError(f"the config lacks {path}", "add it, or start from configs/laptop.yaml")
    value = problem.get("input")
    if kind == "model_type":
        return ConfigError(
            f"bad value {path} = {value!r}", f"{path} is a section: its keys are {_list(_keys(root, parts))}"
        )
    allowed = _allowed(root, parts) or problem["msg"].removeprefix("Value error, ")
    if isinstance(value, dict):  # a section whose values do not go together
        return ConfigError(f"bad section {path}: {problem['msg'].removeprefix('Value error, ')}")
    return ConfigError(f"bad value {path} = {value!r}", f"allowed: {allowed}")


def _unknown_key(parts: list[str], root: type[BaseModel]) -> ConfigError:
    *parents, name = parts
    known = _keys(root, parents)
    path = ".".join(parts)
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return ConfigError(f"unknown config key {path}", f"did you mean {'.'.join([*parents, near[0]])}?")
    elsewhere = [key for key in _paths(root) if key.rpartition(".")[2] == name]
    if elsewhere:
        return ConfigError(f"unknown config key {path}", f"did you mean {' or '.join(elsewhere[:3])}?")
    place = ".".join(parents) or "the config"
    return ConfigError(f"unknown config key {path}", f"{place} knows {_list(known)}")


def _section(root: type[BaseModel], parents: list[str]) -> type[BaseModel] | None:
    """The section class at a path; None where the path leads to a plain value or nowhere."""
    model: Any = root
    for name in parents:
        field = model.model_fields.get(name)
        model = _section_class(field.annotation) if field else None
        if model is None:
            return None
    found: type[BaseModel] = model
    return found


def _section_class(annotation: Any) -> type[BaseModel] | None:
    """The section class that a field holds, the field's "or none" aside; None for a plain value."""
    classes = [annotation, *get_args(annotation)]
    return next((found for found in classes if isinstance(found, type) and issubclass(found, BaseModel)), None)


def _keys(root: type[BaseModel], parents: list[str]) -> list[str]:
    section = _section(root, parents)
    return list(section.model_fields) if section else []


def _paths(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Every key below a section, as "ppo.fit.steps"."""
    paths = []
    for name, field in section.model_fields.items():
        paths.append(prefix + name)
        if inner := _section_class(field.annotation):
            paths += _paths(inner, f"{prefix}{name}.")
    return paths


BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "multiple_of": "a multiple of"}
PLAIN = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _allowed(root: type[BaseModel], parts: list[str]) -> str:
    """What a field takes, in words: "a number, more than 0, at most 5"; "" for shapes that pydantic words better."""
    section = _section(root, parts[:-1])
    field = section.model_fields.get(parts[-1]) if section and parts else None
    return _range(field.annotation, field.metadata) if field else ""


def _range(annotation: Any, rules: list[Any]) -> str:
    if get_origin(annotation) is Annotated:
        annotation, *extra = get_args(annotation)
        rules = [rule for item in extra for rule in getattr(item, "metadata", [item])]
    if get_origin(annotation) is Literal:
        return _list(get_args(annotation))
    if get_origin(annotation) is UnionType:  # of a value and None
        annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
    if get_origin(annotation) is tuple:
        first, *rest = get_args(annotation)
        count = "a list" if rest == [Ellipsis] else f"a list of {1 + len(rest)}"
        return f"{count}, each {_range(first, [])}"
    if annotation not in PLAIN:
        return ""
    limits = [f"{words} {getattr(rule, key)}" for rule in rules for key, words in BOUNDS.items() if hasattr(rule, key)]
    return ", ".join([PLAIN[annotation], *limits])


def _list(names: Any) -> str:
    return ", ".join(str(name) for name in names)
