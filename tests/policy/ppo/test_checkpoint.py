"""What a training is between two steps."""

from __future__ import annotations

import pytest
import torch

from frft.errors import ArtifactError
from frft.policy.ppo.checkpoint import OPTIMIZER, TRAINED_WEIGHTS, load_state, save_state


def make(width=3):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.Linear(width, 1).requires_grad_(False))
    return model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)


@pytest.fixture
def saved(tmp_path):
    model, optimizer = make()
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    save_state(tmp_path / "state", model, optimizer, {"step": 7})
    return tmp_path / "state", model, optimizer


def test_what_is_trained_and_its_moments_come_back(saved):
    from safetensors.torch import load_file

    path, model, optimizer = saved
    assert load_file(path / TRAINED_WEIGHTS).keys() == {"0.weight", "0.bias"}
    other, other_optimizer = make()
    assert not torch.equal(other[0].weight, model[0].weight)
    assert load_state(path, other, other_optimizer) == {"step": 7}
    assert torch.equal(other[0].weight, model[0].weight)
    moments, found = (o.state_dict()["state"] for o in (optimizer, other_optimizer))
    assert all(torch.equal(moments[at][name], found[at][name]) for at in moments for name in moments[at])


def test_another_model_is_refused(saved):
    model, optimizer = make(width=4)
    with pytest.raises(ArtifactError, match=r"is of another model: 2 weights differ .*0\.bias, 0\.weight"):
        load_state(saved[0], model, optimizer)


@pytest.mark.parametrize("file", [TRAINED_WEIGHTS, OPTIMIZER])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "garbage"])
def test_a_damaged_state_is_refused(saved, file, damage):
    path = saved[0] / file
    if damage == "missing":
        path.unlink()
    else:
        content = {"cut": path.read_bytes()[: path.stat().st_size // 2], "empty": b"", "garbage": b"garbage"}
        path.write_bytes(content[damage])
    with pytest.raises(ArtifactError, match="holds no whole state of a training"):
        load_state(saved[0], *make())
