"""Models for many GPUs, down to their shape: on the meta device, where weights take no memory."""

import json
from pathlib import Path

import pytest
import torch

from posology.config import ConfigError, load_config
from posology.models.estimate import BF16, GIB, Sharding, on_meta, own_estimate, taught_estimates
from posology.own_config import OwnLoraConfig
from posology.recipes.pipeline import require_cluster
from posology.training.engine import Engine

CONFIGS = Path(__file__).parents[2] / "configs"
# width * (2 width + 2 kv width + 3 MLP width) + 2 norms a layer; the tied embedding; the last norm
SIZES = {
    "cluster-8b": 32 * (4096 * (2 * 4096 + 2 * 1024 + 3 * 14336) + 2 * 4096) + 32768 * 4096 + 4096,
    "cluster-70b": 80 * (8192 * (2 * 8192 + 2 * 1024 + 3 * 28672) + 2 * 8192) + 32768 * 8192 + 8192,
}


@pytest.mark.parametrize("name", SIZES)
def test_the_shape_is_what_the_name_says(name: str) -> None:
    config = load_config(CONFIGS / f"{name}.yaml")
    model = on_meta(config.model, config.tokenizer.vocabulary)
    assert all(p.is_meta for p in model.parameters())
    assert sum(p.numel() for p in model.parameters()) == SIZES[name]
    attention = model.model.layers[-1].self_attn
    heads, shared = config.model.heads, config.model.kv_heads or config.model.heads
    assert attention.q_proj.weight.shape[0] == heads * attention.head_dim == config.model.width
    assert attention.k_proj.weight.shape[0] == shared * attention.head_dim and heads % shared == 0


@pytest.mark.parametrize("name", SIZES)
def test_it_fits_the_gpus_that_it_names(name: str) -> None:
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.cluster is not None
    for stage, needed in taught_estimates(config).items():
        assert 16 * SIZES[name] // config.cluster.processes <= needed.weights + needed.optimiser
        assert needed.total < 0.8 * config.cluster.gpu_gib * GIB, f"{stage}: room for kernels and fragments"
    require_cluster(config, Engine("fsdp2", 0, config.cluster.processes))


def test_other_processes_or_smaller_gpus_are_refused_before_anything_is_loaded() -> None:
    path = CONFIGS / "cluster-8b.yaml"
    with pytest.raises(ConfigError, match="made for 8 processes, and there are 2"):
        require_cluster(load_config(path), Engine("fsdp2", 0, 2))
    with pytest.raises(ConfigError, match="pretrain takes about 21 GiB a GPU, and each has 16"):
        require_cluster(load_config(path, ["cluster.gpu_gib=16"]), Engine("fsdp2", 0, 8))
    require_cluster(load_config(CONFIGS / "laptop.yaml"), Engine())


LLAMA_3 = {
    "8B": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 14336},
    "70B": {"hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "intermediate_size": 28672},
}
ROWS = [("8B", "lora", 0), ("8B", "lora", 8), ("8B", "none", 8), ("70B", "lora", 8), ("70B", "none", 64)]


@pytest.mark.parametrize(("name", "kind", "world"), ROWS)
def test_the_table_of_the_docs_is_what_the_estimate_says(name: str, kind: str, world: int, tmp_path: Path) -> None:
    shape = {**LLAMA_3[name], "num_key_value_heads": 8, "vocab_size": 128256, "model_type": "llama"}
    (tmp_path / "config.json").write_text(json.dumps({**shape, "tie_word_embeddings": False}))
    sharding = Sharding(world, BF16) if world else None
    found = own_estimate(
        tmp_path, OwnLoraConfig(kind="lora" if kind == "lora" else "none"), torch.device("cuda"), rows=1, tokens=512,
        checkpointing=True, sharding=sharding,
    )  # fmt: skip
    weight = 2 if kind == "lora" else 4
    assert found.weights + found.optimiser == pytest.approx(
        (weight * found.parameters + (16 if kind == "lora" else 12) * found.trained) / (world or 1), rel=1e-9
    )
    trained = "LoRA, r 16" if kind == "lora" else "all weights"
    processes = f"{world}, `fsdp2`" if world else "any, `ddp`"
    page = (CONFIGS.parent / "docs" / "many-gpus.md").read_text()
    assert f"| {name} | {trained} | {processes} | {found.total / GIB:.1f} |" in page
