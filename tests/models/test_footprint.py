"""Configs for many GPUs, down to the model's shape: on the meta device, where weights take no memory."""

from pathlib import Path

import pytest

from posology.config import ConfigError, load_config
from posology.models.footprint import GIB, footprint, on_meta
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
    for stage, needed in footprint(config).items():
        assert 16 * SIZES[name] // config.cluster.processes <= needed.states
        assert needed.total < 0.8 * config.cluster.gpu_gib * GIB, f"{stage}: room for kernels and fragments"
    require_cluster(config, Engine("fsdp2", 0, config.cluster.processes))


def test_other_processes_or_smaller_gpus_are_refused_before_anything_is_loaded() -> None:
    path = CONFIGS / "cluster-8b.yaml"
    with pytest.raises(ConfigError, match="made for 8 processes, and there are 2"):
        require_cluster(load_config(path), Engine("fsdp2", 0, 2))
    with pytest.raises(ConfigError, match="pretrain takes about 21 GiB a GPU, and each has 16"):
        require_cluster(load_config(path, ["cluster.gpu_gib=16"]), Engine("fsdp2", 0, 8))
    require_cluster(load_config(CONFIGS / "laptop.yaml"), Engine())
