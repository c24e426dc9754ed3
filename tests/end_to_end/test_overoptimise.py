"""Two arms of PPO from another run's fine-tuned model, as `posology run --parent` makes them, and again when interrupted."""

from pathlib import Path

import yaml

from .conftest import KILLED, SMOKE, Finished, posology

FIT = {"steps": 8, "budget_s": 5, "checkpoint_every": 4}


def config(folder: Path) -> Path:
    """The smoke run with a second arm, without DPO, and with a small exam."""
    tree = yaml.safe_load(SMOKE.read_text())
    del tree["dpo"]
    tree["reward"] |= {"members": 2}
    tree["ppo"] |= {"monitor_every": 1, "fit": FIT}
    tree["naive"] = {
        "reward": {**tree["reward"], "members": 1, "limit": 16, "likelihood": False},
        "ppo": {**tree["ppo"], "reward": "reward-naive", "kl_control": False, "kl_coefficient": 0.0},
    }
    tree["evaluation"] |= {"max_new_tokens": 8, "samples": 1, "sampled_prompts": 4}
    path = folder / "two-arms.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_two_arms_share_a_parent_resume_and_stand_in_one_report(smoke: Finished, tmp_path: Path) -> None:
    command = ("run", "--config", str(config(tmp_path)), "--parent", str(smoke.path / "sft"))
    assert posology(*command, cwd=tmp_path, kill="ppo-naive:5").returncode == KILLED
    done = posology(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on from step 4" in done.stderr
    run = tmp_path / "runs" / "two-arms"
    assert not (run / "sft").exists() and not (run / "dpo").exists()
    assert "16" in (run / "reward-naive" / "manifest.json").read_text()
    assert "Reward hacking, shown and stopped" in (run / "report.html").read_text()
