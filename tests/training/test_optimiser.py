"""Who is trained by what, at which rate; Muon against torch's; state that comes back bit for bit."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.optim import _muon as torch_muon
from transformers import GPT2Config, GPT2LMHeadModel

from posology.config import ModelConfig, OptimiserConfig
from posology.errors import UserError
from posology.models.heads import from_language_model
from posology.models.llama import language_model
from posology.training import optimiser as module
from posology.training.optimiser import POLAR, build, hidden_matrices, orthogonalise, schedule

POLAR_OF_TORCH = (3.4445, -4.7750, 2.0315)
MUON = OptimiserConfig(kind="muon", learning_rate=0.01, muon_learning_rate=0.02, warmup=0, decay=0.0)
TINY = ModelConfig(width=32, layers=1, heads=2, mlp_width=64, positions=64)


def test_schedule_worked_by_hand() -> None:
    rates = [schedule(step, total=10, warmup=2, decay=0.4) for step in range(11)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize(
    ("total", "warmup", "decay"), [(1, 0, 0.0), (1, 20, 1.0), (7, 3, 1.0), (50, 60, 0.4), (100, 0, 0.0)]
)
def test_schedule_is_pure_and_every_update_moves(total: int, warmup: int, decay: float) -> None:
    forward = [schedule(step, total, warmup, decay) for step in range(total)]
    backward = [schedule(step, total, warmup, decay) for step in reversed(range(total))]
    assert forward == backward[::-1]
    assert all(0 < rate <= 1 for rate in forward)


def test_llama_is_split_between_muon_and_adamw() -> None:
    model = language_model(TINY, 64, 0)
    hidden = set(hidden_matrices(model))
    layer = "model.layers.0."
    attention = {f"{layer}self_attn.{x}_proj.weight" for x in "qkvo"}
    assert hidden == attention | {f"{layer}mlp.{x}_proj.weight" for x in ("gate", "up", "down")}
    optimiser = build({"model": model}, MUON, 10)
    assert {name.removeprefix("model.") for name in optimiser.muon} == hidden
    trained = [p for group in optimiser.adamw.param_groups for p in group["params"]] + list(optimiser.muon.values())
    assert sorted(map(id, trained)) == sorted(map(id, model.parameters())), "each weight once, the tied one too"
    decays = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in optimiser.adamw.param_groups}
    assert set(decays[0.0]) == {1} and set(decays[0.01]) == {2}


def test_an_untied_head_and_a_scalar_head_are_no_hidden_matrices() -> None:
    model = language_model(TINY, 64, 0)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    assert "lm_head.weight" in dict(model.named_parameters()) and "lm_head.weight" not in set(hidden_matrices(model))
    scalar = from_language_model(model)
    assert not {"head.weight", "head.bias", "trunk.embed_tokens.weight"} & set(hidden_matrices(scalar))
    assert "trunk.layers.0.mlp.up_proj.weight" in set(hidden_matrices(scalar))


def test_adamw_alone_takes_everything() -> None:
    optimiser = build({"model": language_model(TINY, 64, 0)}, MUON.model_copy(update={"kind": "adamw"}), 10)
    assert not optimiser.muon and sum(len(g["params"]) for g in optimiser.adamw.param_groups) == 11


def test_frozen_and_shared_parameters() -> None:
    policy, critic = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    critic[0].weight = policy.weight
    policy.bias.requires_grad_(False)
    optimiser = build({"model": policy, "critic": critic}, MUON, 10)
    assert list(optimiser.parameters) == ["model.weight", "critic.0.bias", "critic.1.weight", "critic.1.bias"]
    before = policy.bias.detach().clone()
    critic(policy(torch.ones(2, 4))).sum().backward()
    optimiser.step(0)
    assert torch.equal(policy.bias, before)


def test_nothing_to_train() -> None:
    with pytest.raises(UserError, match="nothing to train"):
        build({"model": nn.ReLU()}, MUON, 10)


def test_a_module_may_have_its_own_rate() -> None:
    modules = {"model": nn.Linear(3, 1, bias=False), "critic": nn.Linear(3, 1, bias=False)}
    optimiser = build(modules, MUON.model_copy(update={"kind": "adamw", "weight_decay": 0.0}), 10, {"critic": 0.5})
    before = {name: m.weight.detach().clone() for name, m in modules.items()}
    for part in modules.values():
        part.weight.grad = torch.ones_like(part.weight)
    optimiser.step(0)
    # Adam's first step is the learning rate itself.
    assert torch.allclose(before["model"] - modules["model"].weight, torch.tensor(0.01), atol=1e-6)
    assert torch.allclose(before["critic"] - modules["critic"].weight, torch.tensor(0.5), atol=1e-6)


def test_one_factor_on_all_logits_is_learnt_by_itself() -> None:
    """The likeliest tokens stay, in their order; the rest of the model has a rate of nearly 0. State comes back."""
    torch.manual_seed(0)
    model = language_model(TINY, 64, 0)
    ids = torch.randint(64, (4, 16))
    before = model(ids).logits.detach()
    targets = before.argmax(-1)  # what the model would say: to be surer of it lowers the loss
    config = OptimiserConfig(kind="adamw", learning_rate=1e-9, scale_learning_rate=0.1, warmup=0, decay=0.0)
    optimiser = build({"model": model}, config, 20)
    resumed = None
    for step in range(20):
        if step == 10:
            twin = copy.deepcopy(model)
            resumed = build({"model": twin}, config, 20)
            resumed.load({name: tensor.clone() for name, tensor in optimiser.state().items()})
            assert "model.model.norm.weight.scale/exp_avg" in optimiser.state()
        for network, its in ((model, optimiser), *(((twin, resumed),) if resumed else ())):
            its.zero_grad()
            nn.functional.cross_entropy(network(ids).logits.flatten(0, 1), targets.flatten()).backward()
            its.step(step)
    after = model(ids).logits.detach()
    factor = (after / before).median()
    assert factor == pytest.approx(math.exp(20 * 0.1), rel=0.1)  # AdamW's steps of one sign are as long as its rate
    assert torch.allclose(after, factor * before, atol=1e-3, rtol=1e-3)
    assert torch.equal(model.model.norm.weight, twin.model.norm.weight)


def test_a_model_without_such_a_gain_is_refused() -> None:
    config = OptimiserConfig(scale_learning_rate=0.1)
    model = language_model(TINY, 64, 0)
    model.model.norm.weight.requires_grad_(False)
    other = GPT2LMHeadModel(GPT2Config(vocab_size=48, n_embd=32, n_layer=1, n_head=2, n_positions=16))
    for unfit in (model, other):
        with pytest.raises(UserError, match="no gain of a last norm") as refusal:
            build({"model": unfit}, config, 10)
        assert "scale_learning_rate: 0" in str(refusal.value.hint)


def test_rates_follow_the_schedule() -> None:
    config = MUON.model_copy(update={"weight_decay": 0.0, "momentum": 0.0, "warmup": 4})
    moves = []
    for step in (0, 3):
        layers = {"model": nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 1, bias=False))}
        optimiser = build(layers, config, 10)
        weight = layers["model"][0].weight
        weight.grad = torch.eye(4)
        before = weight.detach().clone()
        optimiser.step(step)
        moves.append(float((weight.detach() - before).norm()))
    assert moves[0] == pytest.approx(moves[1] / 4, rel=1e-3)


def spectrum(values: torch.Tensor, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix with these singular values, and its polar factor."""
    generator = torch.Generator().manual_seed(0)
    side = len(values)
    left = torch.linalg.qr(torch.randn(rows, side, generator=generator))[0]
    right = torch.linalg.qr(torch.randn(columns, side, generator=generator))[0]
    return left @ values.diag() @ right.mT, left @ right.mT


def test_polynomials_bring_every_singular_value_near_one() -> None:
    x = torch.logspace(math.log10(0.002), 0, 10_000, dtype=torch.float64)
    for a, b, c in POLAR:
        x = a * x + b * x**3 + c * x**5
    assert 0.66 < float(x.min()) < float(x.max()) < 1.34


@pytest.mark.parametrize("shape", [(48, 48), (48, 128), (128, 48)])
@pytest.mark.parametrize("fast", [True, False])
def test_orthogonalise(shape: tuple[int, int], fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_has_bf16", lambda: fast)
    matrix, polar = spectrum(torch.logspace(-1.5, 0, 48), *shape)
    out = orthogonalise(37 * matrix).float()
    values = torch.linalg.svdvals(out)
    assert (0.5 if fast else 0.66) < float(values.min()) < float(values.max()) < 1.36
    assert float((out * polar).sum() / out.norm() / polar.norm()) > 0.95
    assert torch.isfinite(orthogonalise(torch.zeros(shape))).all()


@pytest.mark.parametrize("shape", [(24, 64), (64, 24)])
def test_muon_agrees_with_torch(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Momentum, decay and scaling are torch.optim.Muon's; so is the iteration when it is given torch's triples."""
    monkeypatch.setattr(module, "POLAR", (POLAR_OF_TORCH,) * 5)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    theirs = torch_muon._zeropower_via_newtonschulz(matrix.clone(), POLAR_OF_TORCH, 5, 1e-7).float()
    assert float((orthogonalise(matrix).float() - theirs).norm() / theirs.norm()) < 0.06, "both round to bfloat16"
    monkeypatch.setattr(module, "POLAR", (POLAR_OF_TORCH,) * 4)
    assert float((orthogonalise(matrix).float() - theirs).norm() / theirs.norm()) > 0.12, "the bound above can fail"

    monkeypatch.setattr(module, "orthogonalise", lambda x: x)
    monkeypatch.setattr(torch_muon, "_zeropower_via_newtonschulz", lambda x, *_: x)
    layer, twin = nn.Linear(shape[1], shape[0], bias=False), nn.Linear(shape[1], shape[0], bias=False)
    twin.load_state_dict(layer.state_dict())
    optimiser = build({"model": layer}, MUON.model_copy(update={"weight_decay": 0.1}), 10)
    reference = torch.optim.Muon(twin.parameters(), lr=0.02, momentum=0.95, weight_decay=0.1)
    for step in range(4):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        layer.weight.grad, twin.weight.grad = gradient, gradient.clone()
        optimiser.step(step)
        reference.step()
    assert torch.allclose(layer.weight, twin.weight, atol=1e-7)


def test_state_comes_back_bit_for_bit() -> None:
    def fresh() -> tuple[nn.Module, module.Optimiser]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 1))
        return model, build({"model": model}, MUON, 10)

    def advance(model: nn.Module, optimiser: module.Optimiser, step: int) -> None:
        optimiser.zero_grad()
        model(torch.arange(7)).pow(2).sum().backward()
        optimiser.step(step)

    model, optimiser = fresh()
    for step in range(3):
        advance(model, optimiser, step)
    saved = {name: value.clone() for name, value in optimiser.state().items()}
    assert {name.rpartition("/")[2] for name in saved} == {"momentum", "exp_avg", "exp_avg_sq", "step"}
    twin, other = fresh()
    twin.load_state_dict(model.state_dict())
    other.load(saved)
    for step in (3, 4):
        advance(model, optimiser, step)
        advance(twin, other, step)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    assert not torch.equal(saved["model.1.weight/momentum"], other.state()["model.1.weight/momentum"]), (
        "a copy, not a view"
    )


def test_state_of_other_parameters_is_refused() -> None:
    optimiser = build({"model": nn.Linear(3, 1)}, MUON, 10)
    with pytest.raises(UserError, match=r"model\.gone/exp_avg"):
        optimiser.load({"model.gone/exp_avg": torch.zeros(3)})
    with pytest.raises(UserError, match=r"\(4, 4\)"):
        optimiser.load({"model.weight/exp_avg": torch.zeros(4, 4)})


def test_each_module_is_clipped_by_itself() -> None:
    modules = {"model": nn.Linear(2, 1, bias=False), "critic": nn.Linear(2, 1, bias=False)}
    optimiser = build(modules, MUON.model_copy(update={"clip": 1.0}), 10)
    modules["model"].weight.grad = torch.tensor([[0.3, 0.4]])
    modules["critic"].weight.grad = torch.tensor([[30.0, 40.0]])
    assert optimiser.clip() == pytest.approx(math.hypot(0.5, 50))
    assert torch.allclose(modules["model"].weight.grad, torch.tensor([[0.3, 0.4]]))
    assert torch.allclose(modules["critic"].weight.grad, torch.tensor([[0.6, 0.8]]))


def test_clip_tells_of_a_gradient_that_is_not_finite() -> None:
    layer = nn.Linear(2, 1, bias=False)
    optimiser = build({"model": layer}, MUON, 10)
    layer.weight.grad = torch.tensor([[float("nan"), 1.0]])
    assert not math.isfinite(optimiser.clip())
