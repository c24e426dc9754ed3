"""Where a step's numbers meet: over micro-batches, and over the processes that torchrun started.

`single` is one process. `ddp` keeps a whole model in each process and sums gradients. `fsdp2` spreads weights,
gradients and optimiser state over the processes (models/sharded.py). All of it by torch.distributed itself.

Every process makes the whole step's micro-batches, which costs nothing, and takes its rows of each: so what one step
learns from does not depend on the number of processes, and its weight is known to all without asking.

`ddp` is not torch's DistributedDataParallel, which sums gradients in hooks of its own forward pass. Ours calls trunk
and head apart (models/stream.py), and a stage trains several modules; DDP would also average, where the loss is
divided by the whole step's weight already. What is left of it is a sum of gradients in buckets after the last
micro-batch, which is written out here. It does not overlap with the backward pass, as DDP's does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # it is documented, and not in __all__

from posology.errors import ConfigError, UserError
from posology.models.sharded import filled, is_sharded, shard, skeleton
from posology.seeds import seed_of
from posology.training.objective import B, Metrics

BUCKET = 2**23  # values whose gradients are summed at a time
PATIENCE = timedelta(hours=2)  # for a process that waits while process 0 works alone; torchrun ends all if one dies


@dataclass(frozen=True)
class Engine:
    """Process `rank` of `world`. Every process must call the methods that talk to the others, in the same order."""

    kind: str = "single"
    rank: int = 0
    world: int = 1
    device: str = "cpu"  # what this process computes on

    @property
    def leader(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    # -- who does what ----------------------------------------------------------------------------------------------

    @property
    def mine(self) -> slice:
        """This process's rows of a micro-batch: every `world`-th."""
        return slice(self.rank, None, self.world)

    def share(self, batch: B) -> tuple[B, bool]:
        """This process's rows of a micro-batch, and whether they count.

        Where there are fewer rows than processes, some get the first row to keep step with the others (who wait for
        them at every sharded layer): its loss, gradient and metrics must be multiplied by 0.
        """
        if self.world == 1:
            return batch, True
        counts = self.rank < batch.rows_in
        return batch.rows(self.mine if counts else slice(0, 1)), counts

    def block(self, rows: int) -> slice:
        """This process's neighbouring rows of `rows`: where neighbours have something in common (answers to one prompt)."""
        return slice(self.rank * rows // self.world, (self.rank + 1) * rows // self.world)

    def alone(self, work: Callable[[], object]) -> None:
        """`work()` by process 0, while the others wait: what it makes are files, which they read afterwards."""
        if self.leader:
            work()
        self.wait()

    # -- numbers that meet ------------------------------------------------------------------------------------------

    def totals(self, values: Sequence[float]) -> list[float]:
        """The sum of each number over all processes: the identity for one."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def total(self, value: float) -> float:
        return self.totals([value])[0]

    def largest(self, value: float) -> float:
        return self._reduced([value], dist.ReduceOp.MAX)[0]

    def as_leader(self, value: int) -> int:
        """What process 0 says, told to all."""
        return int(self.total(value if self.leader else 0))

    def wait(self) -> None:
        """Until all processes have come here."""
        self.total(0.0)

    def _reduced(self, values: Sequence[float], how: Any) -> list[float]:
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        with _others_lost():
            dist.all_reduce(tensor, how)
        numbers: list[float] = tensor.tolist()
        return numbers

    def add_up(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over all processes, in place. Whoever filled in only some rows of zeros gets
        all of them so, bit for bit."""
        if self.world == 1:
            return
        with _others_lost():
            for tensor in tensors:
                part = tensor.contiguous()
                dist.all_reduce(part)
                tensor.copy_(part)

    # -- weights and gradients --------------------------------------------------------------------------------------

    def place(self, modules: Iterable[nn.Module], *, bf16: bool) -> dict[int, nn.Module]:
        """fsdp2: spread the modules' weights over all processes. Returns a weightless copy of each, by its id."""
        if self.kind != "fsdp2":
            return {}
        from torch.distributed.device_mesh import init_device_mesh

        mesh = init_device_mesh(self.device, (self.world,))
        bones = {}
        for module in modules:
            if any(True for _ in module.parameters()):
                bones[id(module)] = skeleton(module)
                shard(module, mesh, bf16=bf16 and self.device == "cuda")
        return bones

    def loads_on(self, device: torch.device) -> torch.device:
        """Where a model is read to: fsdp2 takes it from the CPU layer by layer, since a GPU may not hold all of it."""
        return torch.device("cpu") if self.kind == "fsdp2" else device

    def whole(self, modules: Mapping[str, nn.Module], bones: Mapping[int, nn.Module]) -> dict[str, nn.Module]:
        """The modules as one process would have them, for process 0 to save: sharded ones gathered on the CPU."""
        return {
            name: filled(bones[id(module)], module, here=self.leader) if id(module) in bones else module
            for name, module in modules.items()
        }

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """ddp: give every process the sum of all processes' gradients; one that only some have counts 0 for the rest.

        FSDP2 has summed its own in the backward pass.
        """
        if self.kind != "ddp" or self.world == 1:
            return
        every = list(parameters)
        there = torch.tensor([parameter.grad is not None for parameter in every], dtype=torch.uint8)
        with _others_lost():
            dist.all_reduce(there, dist.ReduceOp.MAX)
        for bucket in _buckets([parameter for parameter, some in zip(every, there.tolist(), strict=True) if some]):
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            with _others_lost():
                dist.all_reduce(flat)
            for parameter, value in zip(bucket, torch.split(flat, [p.numel() for p in bucket]), strict=True):
                parameter.grad = value.view_as(parameter)

    # -- proof ------------------------------------------------------------------------------------------------------

    def check(self, parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, object]:
        """UserError unless the engine asked for is the one that runs. Returns what was found, for the manifest.

        `parameters` are trained, `tensors` all that is kept: where not sharded they must be equal in all processes, bit
        for bit, at the start and after any step.
        """
        if self.kind == "single":
            return {"kind": "single", "world": 1}
        found = {"kind": self.kind, "world": self.world, "backend": dist.get_backend()}
        if dist.get_world_size() != self.world or self.total(1.0) != self.world:
            raise UserError(f"engine = {self.kind}: {self.world} processes were asked for and others answer")
        odd = [name for name, tensor in parameters.items() if is_sharded(tensor) != (self.kind == "fsdp2")]
        if odd:
            state = "not sharded" if self.kind == "fsdp2" else "sharded"
            raise UserError(f"engine = {self.kind} was asked for and is not running: {odd[0]} is {state}")
        copies = {name: tensor for name, tensor in tensors.items() if not is_sharded(tensor)}
        sums = torch.tensor([_fingerprint(tensor) for tensor in copies.values()], dtype=torch.int64)
        lowest, highest = sums.clone(), sums
        if len(sums):
            with _others_lost():
                dist.all_reduce(lowest, dist.ReduceOp.MIN)
                dist.all_reduce(highest, dist.ReduceOp.MAX)
        if apart := [name for name, same in zip(copies, (lowest == highest).tolist(), strict=True) if not same]:
            raise UserError(f"the processes have drifted apart: {apart[0]} is not the same in all {self.world}")
        return {**found, "sharded_tensors": len(tensors) - len(copies), "equal_tensors": len(copies)}

    def seed(self, seed: int, *names: str | int) -> None:
        """Set torch's global generators to a named stream, so that dropout is a pure function of the step."""
        torch.manual_seed(seed_of(seed, *names, self.rank))


def open_engine(asked: str, device: str = "cpu") -> Engine:
    """The engine of this process, joined to the others that torchrun started; asked again, the same one.

    ConfigError where `asked` and the way in which the command was started do not go together.
    """
    world = int(os.environ.get("WORLD_SIZE", "0")) if "RANK" in os.environ else 0  # 0: not started by torchrun
    if asked == "single":
        if world > 1:
            hint = "add --set engine=ddp or --set engine=fsdp2, or start one process"
            raise ConfigError(
                f"torchrun started {world} processes, and engine = single would train {world} times", hint
            )
        return Engine()
    if not world:
        hint = "torchrun --nproc-per-node 2 -m -- posology ..., or --set engine=single"
        raise ConfigError(f"engine = {asked} works under torchrun, which did not start this process", hint)
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if not dist.is_initialized():
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        with _others_lost():
            # numbers that processes exchange lie on the CPU; gradients and weights where the model is
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    return Engine(asked, dist.get_rank(), dist.get_world_size(), "cuda" if cuda else "cpu")


def is_first(word: str) -> bool:
    """Whether this process is the first of its run to ask so; process 0 where none can be asked any more."""
    host, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "0")
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = TCPStore(host, int(port), is_master=False, timeout=timedelta(seconds=5))
        return int(store.add(f"posology/{word}/{again}", 1)) == 1
    except (RuntimeError, ValueError, TimeoutError):
        return os.environ.get("RANK", "0") == "0"


def close_engine() -> None:
    """Leave the other processes in order."""
    if dist.is_initialized():
        dist.destroy_process_group()


@dataclass
class Meter:
    """Means over the units of a step: each micro-batch counts as much as its weight."""

    _sums: dict[str, float] = field(default_factory=dict)
    _weights: dict[str, float] = field(default_factory=dict)

    def add(self, metrics: Mapping[str, float], weight: float) -> None:
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * weight
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def means(self, engine: Engine) -> Metrics:
        """The mean of each metric over all processes; 0/0 where nothing was counted, which is not a number."""
        both = engine.totals([*self._sums.values(), *self._weights.values()])
        sums, weights = both[: len(self._sums)], both[len(self._sums) :]
        return {
            name: total / weight if weight else float("nan")
            for name, total, weight in zip(self._sums, sums, weights, strict=True)
        }


def to_train(modules: Mapping[str, nn.Module]) -> None:
    """Dropout on. An objective that wants it off says so in its `loss` (PPO)."""
    for module in modules.values():
        module.train()


@contextmanager
def _others_lost() -> Iterator[None]:
    """A process that ends takes its connections with it: that is what the others notice first."""
    try:
        yield
    except RuntimeError as error:  # the base of all of torch.distributed's errors
        why = " ".join(str(error).split())[:200]
        hint = "what ended it stands above; the same command goes on from the last checkpoint"
        raise UserError(f"another process of this run has ended or cannot be reached ({why})", hint) from None


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Neighbours of one type and device, BUCKET values at a time."""
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        other = bucket and (parameter.dtype, parameter.device) != (bucket[0].dtype, bucket[0].device)
        if bucket and (other or sum(p.numel() for p in bucket) + parameter.numel() > BUCKET):
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket


def _fingerprint(tensor: Tensor) -> int:
    """A sum over the tensor's bits: equal for equal tensors, in whatever order it is added up."""
    words = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return int(tensor.detach().contiguous().reshape(-1).view(words).sum(dtype=torch.int64))
