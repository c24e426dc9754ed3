"""What made a result: the code's commit, the kind of machine, the versions of the packages. No name, no path."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("posology", "torch", "transformers", "tokenizers", "peft", "safetensors", "numpy")


def commit() -> str | None:
    """The commit of the source tree that runs, "+" where files were changed since; None outside a checkout of it."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    asked = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def machine() -> dict[str, Any]:
    """The kind of machine that results hold for: no host name, no user, no path."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count(),
            "python": platform.python_version()}  # fmt: skip


def versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree, or an optional package
            continue
    return found
