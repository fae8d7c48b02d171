"""What the loop does next: a script in the place of the stages, which says what looks find and gates decide.

The real stages run in tests/e2e; here it is only who is called when, and with what.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from frft.config.model import RunConfig
from frft.experiment.loop import run_arm
from frft.results import LookInfo
from frft.reward import GateInfo, Refresh
from frft.store import Artifact

from ..completed import completed

OVER = ("over-optimisation",)


def artifact(digest, **info):
    return Artifact(Path(digest), "scripted", digest, info, seconds=0.0, peak_memory=0)


class Script:
    """Steps 0 to 8, looks after every second one.

    Args:
        arm: the settings of the arm "a".
        found: what fires at a look, by step.
        accepts: what the gate says of each refresh in turn; then it accepts.
    """

    def __init__(self, arm, found=None, accepts=(), *, stop=False):
        self.config = RunConfig.model_validate(
            {
                "data": {"pairs": "x"},
                "ppo": {"total_steps": 8},
                "monitor": {"every": 2, "stop": stop},
                "arms": {"vanilla": {"alpha": 0}, "a": arm},
            }
        )
        self.look_steps, self.cuts = {0, 2, 4, 6, 8}, sorted({0, 2, 4, 6, 8, *self.config.arm("a").refresh_steps(8)})
        self.sft = artifact("sft")
        self.found, self.accepts, self.told, self.starts = found or {}, list(accepts), [], []

    def reward(self, config):
        return SimpleNamespace(refreshes=[])

    def train(self, policy, reward, anchor, config, *, until_step, reset_optimizer):
        self.told.append(("train", until_step, anchor.digest, reset_optimizer))
        self.starts.append(policy.digest)
        return artifact(f"policy {until_step}")

    def look(self, step, policy, reward, began, since):
        self.told.append(("look", step, began.digest, [each.digest for each in since]))
        found = {"fired": list(self.found.get(step, ())), "drift": None}
        return artifact(f"look {step}", **completed(LookInfo, found).as_dict())

    def refresh(self, reward, policy, since, config, step):
        del step
        self.told.append(("refresh", policy.digest, [each.digest for each in since]))
        if config.selection.strategy == "none":
            return None, None
        accepted = self.accepts.pop(0) if self.accepts else True
        made = Refresh(
            artifact("selection"),
            artifact("model"),
            artifact("gate", **completed(GateInfo, {"accepted": accepted}).as_dict()),
        )
        reward.refreshes.append(made)
        return made, None

    def calls(self, kind):
        return [call[1:] for call in self.told if call[0] == kind]


def test_looks_compare_with_the_last_refresh_that_was_accepted():
    script = Script({"alpha": 2, "when": "alarms"}, {4: OVER, 6: OVER}, accepts=[False, True])
    arm = run_arm(script, "a")
    assert arm.refreshed_after == [4, 6]
    assert script.calls("look") == [
        (0, "sft", []),
        (2, "sft", ["policy 2"]),
        (4, "sft", ["policy 2", "policy 4"]),
        # The refresh after step 4 was refused: the reward is the same one, and so is what it is compared with.
        (6, "sft", ["policy 2", "policy 4", "policy 6"]),
        (8, "policy 6", ["policy 8"]),
    ]
    assert script.calls("refresh")[1] == ("policy 6", ["policy 2", "policy 4", "policy 6"])


@pytest.mark.parametrize(("accepted", "anchor", "reset"), [(True, "policy 4", True), (False, "sft", False)])
def test_a_refused_refresh_moves_no_anchor_and_resets_no_optimizer(accepted, anchor, reset):
    script = Script({"at_steps": [4], "kl_anchor": "previous", "reset_optimizer": True}, accepts=[accepted])
    run_arm(script, "a")
    assert script.calls("train") == [(2, "sft", False), (4, "sft", False), (6, anchor, reset), (8, anchor, False)]


def test_a_refresh_without_data_moves_the_anchor_and_leaves_what_looks_compare_with():
    script = Script(
        {"at_steps": [4], "selection": {"strategy": "none"}, "kl_anchor": "previous", "reset_optimizer": True}
    )
    run_arm(script, "a")
    assert script.calls("train")[2:] == [(6, "policy 4", True), (8, "policy 4", False)]
    assert script.calls("look")[-1] == (8, "sft", ["policy 2", "policy 4", "policy 6", "policy 8"])


@pytest.mark.parametrize("data", [{}, {"selection": {"strategy": "none"}}])
def test_the_policy_starts_from_sft_again_after_a_refresh_that_was_accepted(data):
    script = Script({"alpha": 3, "at_steps": [0, 2, 6], "restart_policy": True, **data}, accepts=[True, False, True])
    arm = run_arm(script, "a")
    # A refresh without data has no gate to refuse it; before the first step there is nothing to start again.
    restarts = [2, 6] if data else [6]
    assert arm.restarted_after == restarts
    assert script.starts == ["sft", *("sft" if step in restarts else f"policy {step}" for step in (2, 4, 6))]
    assert script.calls("train") == [(step, "sft", False) for step in (2, 4, 6, 8)]
    # What the policy wrote before is not what this one writes.
    assert script.calls("look")[-1] == (8, "sft", ["policy 8"])
    assert arm.policy.digest == "policy 8"


def test_alpha_is_the_most_refreshes_that_looks_decide():
    script = Script({"alpha": 2, "when": "alarms"}, dict.fromkeys((0, 2, 4, 6, 8), OVER))
    # Not before the first step, and not after the last, where it would change nothing.
    assert run_arm(script, "a").refreshed_after == [2, 4]


@pytest.mark.parametrize(
    ("arm", "found", "accepts", "stopped", "refreshed"),
    [
        ({"alpha": 0}, {4: OVER}, (), 4, []),
        ({"alpha": 0}, {4: ("policy stuck",)}, (), None, []),
        ({"alpha": 0}, {8: OVER}, (), None, []),
        # A refresh is there to mend it; where the gate refuses it, nothing has been mended.
        ({"alpha": 1, "when": "alarms"}, {4: OVER}, (True,), None, [4]),
        ({"alpha": 1, "when": "alarms"}, {4: OVER}, (False,), 4, [4]),
        ({"alpha": 1, "when": "alarms"}, {2: OVER, 4: OVER}, (True,), 4, [2]),
        ({"alpha": 1, "at_steps": [4]}, {4: OVER}, (True,), None, [4]),
    ],
)
def test_an_arm_stops_at_over_optimisation_unless_it_is_refreshed_then(arm, found, accepts, stopped, refreshed):
    done = run_arm(Script(arm, found, accepts, stop=True), "a")
    assert (done.stopped_after, done.refreshed_after) == (stopped, refreshed)
    assert len(done.segments) == (stopped or 8) // 2
    assert not run_arm(Script(arm, found, accepts), "a").stopped_after
