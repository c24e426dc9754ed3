"""Configurations: every preset is valid, and each mistake gets one line that says what, where and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from posology.config import ConfigError, ModelConfig, RunConfig, UserError, dump_config, load_config, validate

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SMOKE = CONFIGS / "smoke.yaml"


def refused(*overrides: str, path: Path = SMOKE) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(path, list(overrides))
    error = caught.value
    assert error.code == 2 and "\n" not in error.message and "\n" not in error.hint
    return error


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_presets_are_valid_and_survive_being_saved(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    (tmp_path / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml") == config
    assert "learning_rate" in dump_config(config), "defaults are written out"


def test_overrides() -> None:
    overrides = ["ppo.kl_target=2", "ppo.fit.optimiser.learning_rate=3e-4", "sft.parent=runs/x/pretrain",
                 "reward.bootstrap=false", "ppo.fit.optimiser.betas=[0.8, 0.9]", "data.facts_limit=0"]  # fmt: skip
    config = load_config(SMOKE, overrides)
    assert config.ppo.kl_target == 2 and config.ppo.fit.optimiser.learning_rate == 3e-4
    assert config.sft.parent == "runs/x/pretrain" and config.reward.bootstrap is False
    assert config.ppo.fit.optimiser.betas == (0.8, 0.9) and config.data.facts_limit == 0


def test_frozen() -> None:
    with pytest.raises(ValueError):
        load_config(SMOKE).ppo.kl_target = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("ppo.kl_targt=1", "unknown config key ppo.kl_targt", "did you mean ppo.kl_target?"),
        ("ppoo.kl_target=1", "unknown config key ppoo", "did you mean ppo?"),
        ("sft.fit.optimizer.kind=muon", "unknown config key sft.fit.optimizer", "did you mean sft.fit.optimiser?"),
        ("kl_target=1", "unknown config key kl_target", "did you mean ppo.kl_target or naive.ppo.kl_target?"),
        ("tokenizer.zzz=1", "unknown config key tokenizer.zzz", "tokenizer knows vocabulary"),
        ("ppo.kl_target=7", "bad value ppo.kl_target = 7", "allowed: a number, more than 0, at most 5"),
        ("ppo.kl_target=no idea", "bad value ppo.kl_target = 'no idea'", "allowed: a number, more than 0, at most 5"),
        ("ppo.kl_target=.nan", "bad value ppo.kl_target = nan", "allowed: a number, more than 0, at most 5"),
        ("sft.fit.budget_s=.inf", "bad value sft.fit.budget_s = inf", "allowed: a number, more than 0"),
        ("sft.fit.steps=0", "bad value sft.fit.steps = 0", "allowed: a whole number, at least 1"),
        ("sft.fit.steps=1.5", "bad value sft.fit.steps = 1.5", "allowed: a whole number, at least 1"),
        ("sft.fit.steps=", "bad value sft.fit.steps = None", "allowed: a whole number, at least 1"),
        ("model.width=100", "bad value model.width = 100", "allowed: a whole number, at least 32, at most 16384, a mul"),
        ("sft.packing=maybe", "bad value sft.packing = 'maybe'", "allowed: true or false"),
        ("dpo.variant=ipoo", "bad value dpo.variant = 'ipoo'", "allowed: sigmoid, conservative, ipo"),
        ("sft.parent=[a]", "bad value sft.parent = ['a']", "allowed: text"),
        ("ppo=7", "bad value ppo = 7", "ppo is a section: its keys are parent, fit, reward, rows"),
        ("model.heads=5", "bad section model: width 64 is not a multiple of heads 5", ""),
        ("model.heads=64", "bad section model: width 64 / heads 64 is odd", ""),
        ("nonsense", "--set 'nonsense' is not of the form section.key=value", "for example --set ppo.kl_target=2"),
        ("=3", "--set '=3' is not of the form", ""),
        ("ppo..kl_target=3", "is not of the form", ""),
        ("seed.x=3", "'seed' is a value, not a section", ""),
        ("seed=[1", "'[1' is not a YAML value", ""),
        ("seed=!!python/object/apply:os.system ['true']", "is not a YAML value", ""),
    ],
)  # fmt: skip
def test_each_mistake_is_told(override: str, message: str, hint: str) -> None:
    error = refused(override)
    assert message in error.message and error.hint.startswith(hint), (error.message, error.hint)


def test_betas_and_other_shapes_are_still_explained() -> None:
    for value in ("[0.9]", "[0.9, 0.9, 0.9]", "0.9", "[0.9, 1.0]"):
        error = refused(f"sft.fit.optimiser.betas={value}")
        assert error.message.startswith("bad value sft.fit.optimiser.betas"), value
        assert error.hint == "allowed: a list of 2, each a number, at least 0, less than 1", value
    assert refused("sft.lora.targets=3").hint == "allowed: a list, each text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold a mapping of sections, found NoneType"),
        ("- a\n", "must hold a mapping of sections, found list"),
        ("a: [1\n", "is not YAML"),
        ("seed: 1\nppo:\n  rows: 2\n  rows: 3\n", ":4 gives rows a second time (first on line 3)"),
        ("seed: !!python/name:os.system\n", "is not YAML"),
        ("{}", "the config lacks pretrain"),
    ],
)
def test_files_that_are_no_configuration(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert message in refused(path=tmp_path / "x.yaml").message


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    error = refused(path=CONFIGS / "latop.yaml")
    assert "no config file" in error.message and "laptop.yaml" in error.hint
    assert refused(path=tmp_path / "none" / "x.yaml").hint == ""


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"seed: \xe9")
    assert "not text in UTF-8" in refused(path=tmp_path / "latin.yaml").message
    assert "cannot read the config file" in refused(path=tmp_path).message


def test_an_unknown_section_is_told_before_the_missing_one() -> None:
    raw: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    raw["ppp"] = raw.pop("ppo")
    with pytest.raises(ConfigError) as caught:
        validate(raw)
    assert caught.value.hint == "did you mean ppo?"


def test_an_empty_section_of_the_file_can_be_filled_by_overrides(tmp_path: Path) -> None:
    raw = {**yaml.safe_load(SMOKE.read_text()), "evaluation": None}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(raw))
    assert load_config(tmp_path / "x.yaml", ["evaluation.rows=8"]).evaluation.rows == 8


def test_every_number_has_a_range_or_is_a_seedless_choice() -> None:
    """ "Every value has a range": a number without one would let a typo train for hours."""
    free = []

    def walk(section: Any, path: str) -> None:
        for name, field in section.model_fields.items():
            if hasattr(field.annotation, "model_fields"):
                walk(field.annotation, f"{path}{name}.")
            elif field.annotation in (int, float) and not field.metadata:
                free.append(path + name)

    walk(RunConfig, "")
    assert free == []


def test_errors_are_shared() -> None:
    assert issubclass(ConfigError, UserError) and UserError("m", "h", 3).code == 3
    with pytest.raises(ValueError):
        ModelConfig(width=64, heads=3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("naive.ppo.kl_control=true", "bad section naive: the naive arm has"),
        ("naive.reward.members=3", "bad section naive: the naive arm has"),
        ("ppo.kl_control=false", "beside a naive arm the other one has"),
        ("naive.ppo.kl_targt=1", "unknown config key naive.ppo.kl_targt"),
    ],
)
def test_a_naive_arm_is_naive_and_the_other_is_not(override: str, message: str) -> None:
    assert message in refused(override, path=CONFIGS / "overoptimise.yaml").message
