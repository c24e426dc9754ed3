"""The house rules of docs: imports point down, never sideways, never up; torch lives in half of the house."""

import ast
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import posology

SOURCE = Path(posology.__file__).parent
LAYERS = (
    ("errors", "naming", "config_text", "config", "own_config", "files", "seeds", "provenance", "runs", "parents"),
    ("knowledge", "intake", "text", "models"),
    ("curriculum", "training", "rollout"),
    ("objectives", "evaluation", "annotation"),
    ("recipes", "report", "web"),
    ("cli",),
)
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
GROUND = (
    "errors",
    "naming",
    "files",
    "seeds",
    "config_text",
    "config",
    "own_config",
    "provenance",
    "runs",
    "parents",
)  # inside layer 0, a later module may import an earlier one
WITH_TORCH = {"models", "training", "rollout", "objectives", "recipes"}
TORCH = {"torch", "safetensors.torch", "peft", "accelerate", "bitsandbytes"}
MODULES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN = {"pickle", "dill", "marshal", "shelve"}


def room_of(path: Path) -> str:
    """ "training/fit.py" -> "training"; "__init__.py" and "__main__.py" of the package itself are the front door."""
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return part if part in LAYER else "front door"


def imports_of(path: Path) -> set[str]:
    """Dotted names that a module imports, wherever the import stands; "from a import b" gives a and a.b."""
    found: set[str] = set()
    package = ("posology", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def rooms_imported(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports_of(path) if name.startswith("posology.")}
    return {name for name in names if name in LAYER}


def complaint(room: str, other: str) -> str | None:
    """Why `room` may not import `other`; None if it may."""
    if room in (other, "front door"):
        return None
    if LAYER[room] == LAYER[other] == 0:
        return None if GROUND.index(other) < GROUND.index(room) else "points up inside layer 0"
    if LAYER[other] > LAYER[room]:
        return "points up"
    return "points sideways" if LAYER[other] == LAYER[room] else None


def test_the_rules_can_fail() -> None:
    assert complaint("training", "objectives") == "points up"
    assert complaint("rollout", "training") == complaint("models", "text") == "points sideways"
    assert complaint("files", "config") == "points up inside layer 0"
    assert complaint("recipes", "curriculum") is complaint("training", "training") is complaint("runs", "files") is None
    fit = imports_of(SOURCE / "training" / "fit.py")
    assert {"posology.training.objective", "posology.runs.Stage"} <= fit and rooms_imported(SOURCE / "runs.py") == {
        "errors", "files", "provenance",
    }  # fmt: skip


def test_every_room_is_on_the_plan() -> None:
    rooms = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms - {"__init__", "__main__"} <= set(LAYER)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module(path: Path) -> None:
    room, imported = room_of(path), imports_of(path)
    wrong = {other: why for other in rooms_imported(path) if (why := complaint(room, other))}
    assert not wrong
    roots = {name.split(".")[0] for name in imported}
    if room not in WITH_TORCH:
        assert not {name for name in imported if name in TORCH or name.split(".")[0] in TORCH}, "torch below the stairs"
    if room in ("curriculum", "knowledge", "evaluation"):
        assert "transformers" not in roots
    assert not roots & FORBIDDEN, "no pickle anywhere"


def test_trainers_import_no_reader() -> None:
    for path in MODULES:
        if room_of(path) in ("training", "objectives", "recipes"):
            assert not {"report", "web", "cli"} & rooms_imported(path), path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_code_from_data(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        assert name not in ("eval", "exec", "torch.load", "torch.save", "yaml.load", "os.system"), (name, node.lineno)
        for keyword in node.keywords:
            on = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            assert not (keyword.arg in ("shell", "trust_remote_code") and on), (keyword.arg, node.lineno)


def run(script: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_help_loads_no_torch_and_is_quick() -> None:
    script = (
        "import sys; sys.argv = ['posology', '--help']\n"
        "from posology.cli import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "heavy = {'torch', 'transformers', 'peft', 'numpy', 'scipy', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "Not for care of patients" in " ".join(run(script).split())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # Processor seconds, which a busy machine stretches less than the clock's; 0.5 s is meant, on an idle one.
    assert min(times) < 0.9, times


def test_ground_floor_loads_no_torch() -> None:
    script = "import posology.config, posology.files, posology.seeds, posology.runs, sys; print('torch' in sys.modules)"
    assert run(script) == "False\n"
