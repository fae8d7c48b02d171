"""What a training is between two steps."""

from __future__ import annotations

import pytest
import torch

from frft.errors import ArtifactError
from frft.policy.ppo.checkpoint import OPTIMIZER, TRAINED_WEIGHTS, load_state, save_state
from frft.policy.training_state import TrainingState, read_training_state
from frft.store import MANIFEST, read_json

SCALARS = {"step": 7, "kl_coef": 0.05, "seed": 3}
ALONG = {"counts": {"sequences": 12}}


def make(width=3):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.Linear(width, 1).requires_grad_(False))
    return model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)


@pytest.fixture
def saved(tmp_path):
    model, optimizer = make()
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    save_state(tmp_path / "state", model, optimizer, SCALARS, ALONG)
    return tmp_path / "state", model, optimizer


def test_what_is_trained_and_its_moments_come_back(saved):
    from safetensors.torch import load_file

    path, model, optimizer = saved
    assert load_file(path / TRAINED_WEIGHTS).keys() == {"0.weight", "0.bias"}
    other, other_optimizer = make()
    assert not torch.equal(other[0].weight, model[0].weight)
    state = load_state(path, other, other_optimizer)
    assert (state.scalars, state.along) == (SCALARS, ALONG)
    assert torch.equal(other[0].weight, model[0].weight)
    moments, found = (o.state_dict()["state"] for o in (optimizer, other_optimizer))
    assert all(torch.equal(moments[at][name], found[at][name]) for at in moments for name in moments[at])


def test_another_model_is_refused(saved):
    model, optimizer = make(width=4)
    with pytest.raises(ArtifactError, match=r"is of another model: 2 weights differ .*0\.bias, 0\.weight"):
        load_state(saved[0], model, optimizer)


@pytest.mark.parametrize("foreign", ["no state", "of fewer weights", "of other shapes", "of no dict"])
def test_a_foreign_optimizer_is_refused_before_anything_changes(saved, foreign):
    path, _, optimizer = saved
    state = optimizer.state_dict()
    if foreign == "of other shapes":
        state["state"][0]["exp_avg"] = torch.zeros(5)
    others = {
        "no state": {"weights": torch.zeros(3)},
        "of fewer weights": {**state, "param_groups": [{**state["param_groups"][0], "params": [0]}]},
        "of other shapes": state,
        "of no dict": [1, 2],
    }
    torch.save(others[foreign], path / OPTIMIZER)
    TrainingState("ppo", SCALARS, ALONG).seal(path, [path / TRAINED_WEIGHTS, path / OPTIMIZER])
    model, fresh = make()
    before = model[0].weight.detach().clone()
    with pytest.raises(ArtifactError, match=r"optimizer\.pt is not the state of this optimizer: "):
        load_state(path, model, fresh)
    assert torch.equal(model[0].weight, before)
    assert not fresh.state


@pytest.mark.parametrize("file", [TRAINED_WEIGHTS, OPTIMIZER])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "garbage"])
def test_a_damaged_state_is_refused(saved, file, damage):
    path = saved[0] / file
    if damage == "missing":
        path.unlink()
    else:
        content = {"cut": path.read_bytes()[: path.stat().st_size // 2], "empty": b"", "garbage": b"garbage"}
        path.write_bytes(content[damage])
    with pytest.raises(
        ArtifactError, match=rf"{file} differs from the manifest.*run the same command again: the steps"
    ):
        load_state(saved[0], *make())


@pytest.mark.parametrize("file", [TRAINED_WEIGHTS, OPTIMIZER, MANIFEST])
def test_a_flipped_bit_anywhere_is_refused_or_harmless(saved, file):
    path, whole = saved[0], (saved[0] / file).read_bytes()
    state, content = read_training_state(path, "ppo"), read_json(path / MANIFEST)
    detected = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (path / file).write_bytes(damaged)
        try:
            assert read_training_state(path, "ppo") == state
        except ArtifactError:
            detected += 1
        else:
            assert (file, read_json(path / MANIFEST)) == (MANIFEST, content), f"byte {place} of {file}"
    assert detected > 0.99 * len(whole)


@pytest.mark.parametrize(("key", "value"), [("step", 8), ("kl_coef", 0.06), ("seed", 4)])
def test_an_edited_scalar_is_refused(saved, key, value):
    manifest = saved[0] / MANIFEST
    edited = manifest.read_text().replace(f'"{key}": {SCALARS[key]}', f'"{key}": {value}')
    assert edited != manifest.read_text()
    manifest.write_text(edited)
    with pytest.raises(ArtifactError, match=r"manifest\.json was changed.*run the same command again: the steps"):
        load_state(saved[0], *make())


def test_an_edited_count_of_the_caller_is_refused(saved):
    manifest = saved[0] / MANIFEST
    manifest.write_text(manifest.read_text().replace('"sequences": 12', '"sequences": 13'))
    with pytest.raises(ArtifactError, match="was changed"):
        load_state(saved[0], *make())


def test_a_state_without_a_manifest_is_not_taken(saved):
    (saved[0] / MANIFEST).unlink()
    with pytest.raises(ArtifactError, match=r"early version of frft: it has no manifest\.json to verify it by"):
        load_state(saved[0], *make())


def test_the_state_of_another_algorithm_is_refused(saved):
    with pytest.raises(ArtifactError, match="by PPO, and this one is by GRPO"):
        read_training_state(saved[0], "grpo")


def test_other_files_in_the_folder_may_change(saved):
    (saved[0] / "notes.txt").write_text("mine")
    save_state(saved[0], *saved[1:], SCALARS, ALONG)
    (saved[0] / "notes.txt").write_text("mine, later")
    assert load_state(saved[0], *make()).scalars == SCALARS


def test_garbage_under_a_right_digest_is_an_error(saved):
    """The sums say that the bytes are those that were written, not that they make sense."""
    import json

    from frft.store import seal

    path = saved[0]
    content = {key: value for key, value in read_json(path / MANIFEST).items() if key not in ("files", "sha256")}
    (path / OPTIMIZER).write_bytes(b"garbage")
    seal(path, content)
    with pytest.raises(ArtifactError, match="holds no whole state of a training"):
        load_state(path, *make())
    assert json.loads((path / MANIFEST).read_text())["scalars"] == SCALARS
