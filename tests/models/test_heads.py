from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid

from posology.config import LoraConfig, UserError
from posology.models.heads import ScalarModel, from_language_model, last_real, load_scalar_model, save_scalar_model


def with_head(model: ScalarModel, seed: int = 0) -> ScalarModel:
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(model.head.weight, generator=generator)
    return model.eval()


def padded(rows: list[list[int]], side: str) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    pads = [[0] * (width - len(row)) for row in rows]
    ids = [pad + row if side == "left" else row + pad for pad, row in zip(pads, rows, strict=True)]
    ones = [[1] * len(row) for row in rows]
    mask = [pad + one if side == "left" else one + pad for pad, one in zip(pads, ones, strict=True)]
    return torch.tensor(ids), torch.tensor(mask).bool()


ROWS = [[1, 2, 30, 31, 3, 50, 4], [1, 2, 30, 3, 4], [1, 2, 9, 9, 9, 9, 9, 3, 80, 81, 4]]


def test_the_first_score_is_zero_and_a_first_loss_is_ln_2(tiny: Any) -> None:
    model = from_language_model(tiny())
    scores = model(*padded(ROWS, "right"))
    assert scores.tolist() == [0.0, 0.0, 0.0]
    assert float(-logsigmoid(scores[0] - scores[1]).detach()) == pytest.approx(0.693147, abs=1e-6)


def test_the_head_lies_where_the_trunk_does(tiny: Any) -> None:
    model = from_language_model(tiny().to("meta"))  # any device but the CPU shows it: a reward model failed so on a GPU
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_padding_on_either_side_or_none_gives_one_score(tiny: Any) -> None:
    model = with_head(from_language_model(tiny()))
    left, right = model(*padded(ROWS, "left")), model(*padded(ROWS, "right"))
    alone = torch.cat([model(*padded([row], "right")) for row in ROWS])
    assert left.shape == (3,)
    assert left.std() > 0.1
    near = 1e-6 * float(right.detach().abs().max())
    torch.testing.assert_close(left, right, rtol=0, atol=near)
    torch.testing.assert_close(alone, right, rtol=0, atol=near)


def test_the_score_is_the_value_at_the_last_real_token(tiny: Any) -> None:
    model = with_head(from_language_model(tiny()))
    ids, mask = padded(ROWS, "right")
    values = model.values(ids, mask)
    assert (values[~mask] == 0).all()
    torch.testing.assert_close(
        values[torch.arange(3), torch.tensor([6, 4, 10])], model(ids, mask), rtol=1e-5, atol=1e-5
    )
    assert last_real(mask.flip(1)).tolist() == [10, 10, 10]


def test_a_constant_on_every_score_has_no_gradient(tiny: Any) -> None:
    model = with_head(from_language_model(tiny()))
    scores = model(*padded(ROWS[:2], "right"))
    (-logsigmoid(scores[0] - scores[1])).backward()
    assert model.head.bias.grad is not None
    assert abs(float(model.head.bias.grad)) < 1e-7
    assert float(model.head.weight.grad.abs().max()) > 1e-3
    assert float(model.trunk.layers[0].self_attn.q_proj.weight.grad.abs().max()) > 0


def test_scores_are_fp32_under_bf16(tiny: Any) -> None:
    model = with_head(from_language_model(tiny()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(*padded(ROWS, "right")).dtype == torch.float32
        assert model.values(*padded(ROWS, "right")).dtype == torch.float32


def test_the_language_model_stays_as_it_was(tiny: Any) -> None:
    language_model = tiny()
    model = from_language_model(language_model)
    with torch.no_grad():
        model.trunk.embed_tokens.weight.zero_()
    assert language_model.lm_head.weight.abs().sum() > 0


@pytest.mark.parametrize("lora", [None, LoraConfig(kind="lora", rank=4)])
def test_saved_and_loaded_gives_the_same_scores(tiny: Any, tmp_path: Path, lora: LoraConfig | None) -> None:
    model = with_head(from_language_model(tiny(), lora))
    torch.nn.init.constant_(model.head.bias, 0.5)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
        assert weight.requires_grad == (lora is None or "lora" in name or name.startswith("head"))
    save_scalar_model(model, tmp_path, tokenizer="a" * 64)
    again = load_scalar_model(tmp_path, tokenizer="a" * 64)
    batch = padded(ROWS, "left")
    torch.testing.assert_close(again(*batch), model(*batch), rtol=1e-5, atol=1e-4)
    assert (tmp_path / "trunk" / "config.json").is_file()
    assert (tmp_path / "adapter").is_dir() == (lora is not None)
    from transformers import AutoModel

    assert AutoModel.from_pretrained(tmp_path / "trunk").config.hidden_size == 32


def test_likelihood_reads_mean_and_largest_surprise_of_own_tokens(tiny: Any, tmp_path: Path) -> None:
    """Worked out again from the language model's own logits, one token at a time."""
    lm = tiny().eval()
    model = from_language_model(lm, likelihood=True).eval()
    ids, mask = padded(ROWS, "right")
    own = torch.zeros_like(mask)
    own[0, 5:7], own[1, 4], own[2, [8, 10]] = True, True, True  # row 2: token 9 was inserted by the calculator
    assert model(ids, mask, scored_BT=own).tolist() == [0.0, 0.0, 0.0]
    with torch.no_grad():
        model.head.weight[0, -2], model.head.weight[0, -1] = 1.0, 10.0
        scores = model(ids, mask, scored_BT=own)
        logp = torch.log_softmax(lm(ids).logits, -1)
        for row in range(3):
            places = own[row].nonzero().flatten().tolist()
            surprise = [-float(logp[row, t - 1, ids[row, t]]) for t in places]
            expected = -5 * sum(surprise) / len(surprise) - 10 * max(surprise)
            assert float(scores[row]) == pytest.approx(expected, rel=1e-4)
    save_scalar_model(model, tmp_path)
    torch.testing.assert_close(load_scalar_model(tmp_path)(ids, mask, scored_BT=own), scores)


def test_likelihood_needs_tied_embeddings(tiny: Any) -> None:
    lm = tiny()
    lm.config.tie_word_embeddings = False
    with pytest.raises(UserError, match="not tied"):
        from_language_model(lm, likelihood=True)


def test_damaged_folders_are_one_line_errors(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"scalar\.json is missing"):
        load_scalar_model(tmp_path)
    save_scalar_model(from_language_model(tiny()), tmp_path, tokenizer="a" * 64)
    with pytest.raises(UserError, match="do not belong together"):
        load_scalar_model(tmp_path, tokenizer="b" * 64)
    head = tmp_path / "head.safetensors"
    whole = head.read_bytes()
    head.write_bytes(whole[:40])
    with pytest.raises(UserError, match="cannot read the reward model"):
        load_scalar_model(tmp_path)
    head.write_bytes(whole)
    (tmp_path / "trunk" / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="cannot read the model"):
        load_scalar_model(tmp_path)


def test_surprise_is_what_cross_entropy_says(tiny: Any) -> None:
    """The two extra numbers: -5 times the mean and -1 times the largest -log p of the scored tokens, with gradient."""
    model = with_head(from_language_model(tiny(), likelihood=True))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.weight[0, -2:] = torch.tensor([0.2, 1.0])
    ids, mask = padded(ROWS, "right")
    scored = mask & (torch.arange(ids.shape[1]) > 3)
    scores = model(ids, mask, scored_BT=scored)
    language_model = tiny()
    for row, score in zip(range(3), scores.detach().tolist(), strict=True):
        logits = language_model(ids[row : row + 1, : int(mask[row].sum())]).logits[0]
        nll = torch.nn.functional.cross_entropy(logits[3:-1], ids[row, 4 : int(mask[row].sum())], reduction="none")
        assert score == pytest.approx(-float(nll.detach().mean() + nll.detach().max()), rel=1e-4)
    scores.sum().backward()
    assert model.trunk.embed_tokens.weight.grad.abs().sum() > 0
