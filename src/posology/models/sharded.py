"""A model whose weights are spread over several processes: torch's FSDP2 (fully_shard), and the way back.

Each process keeps its part of each weight as a DTensor. A layer's weights are gathered when it is run, forward and
backward, and given up again afterwards; its gradients are summed over the processes and each keeps its part.

What FSDP2 needs is imported where a model is sharded: it takes half as long to import as torch itself, and every
command that reads a model would wait for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor

R = TypeVar("R")
FORWARD = "sharded_forward"  # a sharded model's attribute: what runs any work as its forward pass


def shard(model: nn.Module, mesh: DeviceMesh, *, bf16: bool = False) -> None:
    """Spread the weights of `model` over `mesh`, in place: each layer by itself, what is left (embedding, last norm,
    head) together, so that a head tied to its embedding stays tied.

    Gradients are summed, not averaged: the loop has divided the loss by the weight of the whole step already. With
    `bf16` the layers are gathered in bfloat16 (half the traffic), and gradients are summed in float32; embedding, norm
    and head stay float32, since log-probabilities are compared between models.
    """
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    policy = (
        # autocast casts what products need; the residual stream stays float32, as in one process
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
        if bf16
        else MixedPrecisionPolicy()
    )
    for layer in layers_of(model):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, mp_policy=policy)
    # The root, too, gives its weights up after a forward pass: what is read in between are always the parts.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
    setattr(model, FORWARD, _call)
    register_fsdp_forward_method(model, FORWARD)


def _call(work: Callable[..., R], *arguments: Any) -> R:
    return work(*arguments)


def through(model: Any, work: Callable[..., R], *arguments: Any) -> R:
    """`work(*arguments)`; where `model` is sharded, as its forward pass, so that its weights are there.

    Our passes call trunk and head apart, which FSDP2 would not notice. `work` returns a tensor or a tuple of tensors:
    what the gradient comes back through. Every process must come by, and equally often.
    """
    forward: Callable[..., R] = getattr(model, FORWARD, _call)
    return forward(work, *arguments)


def layers_of(model: nn.Module) -> Iterator[nn.Module]:
    """The repeated layers of a transformer: the longest list of modules in it, whatever the family calls it."""
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList)]
    return iter(max(lists, key=len, default=()))


def is_sharded(tensor: Tensor) -> TypeGuard[DTensor]:
    return hasattr(tensor, "full_tensor")  # so that its type need not be imported


def whole(tensor: Tensor) -> Tensor:
    """The tensor with all processes' parts, on each of them; one that is not sharded is returned as it is."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's part; of one that is not sharded, all of it."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def like(value: Tensor, tensor: Tensor) -> Tensor:
    """A whole value, the same in each process, laid out and placed as `tensor` is; a copy."""
    value = value.to(tensor.device, copy=True)
    if not is_sharded(tensor):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(tensor, DTensor)
    return distribute_tensor(value, tensor.device_mesh, tensor.placements, src_data_rank=None)


def skeleton(model: nn.Module) -> nn.Module:
    """A copy without weights (they lie on the meta device), with all else that a model is: to be filled by `filled`.

    To be made before `model` is sharded: a sharded module cannot be copied.
    """
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in model.parameters()
    }
    return copy.deepcopy(model, memo)


def filled(bones: nn.Module, model: nn.Module, *, here: bool) -> nn.Module:
    """`bones` with the whole weights of the sharded `model`, on the CPU; tied weights stay tied.

    Every process must call it; the weights are kept where `here` is true.
    """
    weights: dict[int, nn.Parameter] = {}
    for (name, bone), (other, parameter) in zip(bones.named_parameters(), model.named_parameters(), strict=True):
        assert name == other, f"{name} of the copy is {other} of the model"
        value = whole(parameter.detach())
        if here:
            weights[id(bone)] = nn.Parameter(value.cpu(), parameter.requires_grad)
    if here:
        for part in bones.modules():
            for key, bone in list(part.named_parameters(recurse=False, remove_duplicate=False)):
                part.register_parameter(key, weights[id(bone)])
        for (_, copied), (_, buffer) in zip(bones.named_buffers(), model.named_buffers(), strict=True):
            copied.copy_(buffer)
    return bones
