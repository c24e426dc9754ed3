"""Memory on a CPU: freed blocks kept for the next step, given back between stages, and few compiled kernels kept."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from posology.models.quiet import quiet

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
KEPT = 2**29  # bytes of free memory at the end of the heap that are kept
KERNELS = 64  # products of different shapes whose compiled code oneDNN keeps; its own default is 1,024


def keep_few_kernels() -> None:
    """Ask oneDNN to keep the code of few shapes. To be called before the first product; the environment has the last word.

    Each step has another number of tokens, so kernels hardly ever fit again, and a thousand of them take a gigabyte.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS))


def keep_freed_memory() -> bool:
    """Ask glibc's malloc to reuse large blocks; returns whether it agreed. Elsewhere nothing happens.

    A training step frees and asks again for the same hundred megabytes. By default the C library gives them back each
    time, and the system hands out zeroed pages anew: 15,000 page faults, a twentieth of a step's time on two cores.
    One arena for all threads: the thread that works out gradients would otherwise keep free blocks of its own.
    """
    settings = ((M_MMAP_THRESHOLD, 2**30), (M_TRIM_THRESHOLD, KEPT), (M_ARENA_MAX, 1))
    library = _glibc()
    return library is not None and all(library.mallopt(name, value) for name, value in settings)


def release_memory() -> None:
    """Give what is free back to the system: between stages, so that a process is as large as its largest stage."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def checkpoint_activations(model: Any) -> None:
    """Keep one tensor a layer for the backward pass and compute the rest again (Chen et al. 2016): less memory, a third
    more time. Families whose layers cannot are left as they are."""
    if getattr(model, "supports_gradient_checkpointing", False):
        with quiet():
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def dropout_off(model: nn.Module) -> None:
    """`model.eval()`, but layers that recompute their activations go on doing so (they do in training mode alone)."""
    model.eval()
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing:
            module.training = True  # of the layer itself: what drops is inside


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a step failed for want of memory: CUDA has an exception of its own, other devices have words for it."""
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _glibc() -> Any:
    """The C library where it is glibc, otherwise None."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018  # musl has neither
    except (OSError, AttributeError):
        return None
    return library
