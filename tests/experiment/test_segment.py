"""A segment of PPO goes on at its last checkpoint, and leaves what it would have left without a stop."""

from __future__ import annotations

import shutil

import pytest
import torch

from frft.config.sections import PPOConfig, SamplingConfig
from frft.errors import ArtifactError
from frft.experiment.segment import METRICS, STATE_FOLDER, read_journals, train_segment
from frft.experiment.texts import ROLLOUTS
from frft.models import TruncationCount, load_causal_lm
from frft.policy import Critic, PPOTrainer, training_state
from frft.policy.ppo.checkpoint import OPTIMIZER, TRAINED_WEIGHTS
from frft.progress import SILENT
from frft.store import ALONE, MANIFEST, folder_digest, read_rows, seal

STEPS = 6
PROMPTS = [f"Tell me about {topic} and everything around it, please." for topic in ("bread", "tea", "rain", "maps")]


class Reward:
    """Longer is better; counts what it reads as a reward model does; is interrupted when it is asked too often."""

    def __init__(self, calls):
        # As one has counted that was used before.
        self.before_the_first, self.began = None, {}
        self.calls, self.left, self.counts = 0, calls, TruncationCount(sequences=5, prompts=2, completions=3)

    def __call__(self, prompts, completions):
        if self.calls == self.left:
            raise KeyboardInterrupt
        if not self.calls and self.before_the_first:
            self.began = self.before_the_first()
        self.calls += 1
        self.counts.sequences += len(prompts)
        self.counts.completions += sum(len(text) > 10 for text in completions)
        return [len(text) / 10 for text in completions]


@pytest.fixture
def train(tiny_lm_folder, tiny_tokenizer):
    """Train a segment with a reward that answers so many times; returns what it says, and the reward."""

    def run(path, *, save_steps, calls=-1, until=STEPS, start=None, reset_optimizer=False, from_step=0):
        config = PPOConfig(
            total_steps=STEPS,
            rollout_batch_size=4,
            mini_batch_size=4,
            num_ppo_epochs=1,
            learning_rate=1e-3,
            critic_learning_rate=1e-3,
            sampling=SamplingConfig(max_prompt_tokens=8, max_new_tokens=6),
        )
        policy, reference = (load_causal_lm(tiny_lm_folder, tiny_tokenizer) for _ in range(2))
        reward = Reward(calls)
        critic = Critic.from_causal_lm(policy)
        trainer = PPOTrainer(policy, critic, reference, tiny_tokenizer, reward, PROMPTS, config, seed=1)
        path.mkdir(exist_ok=True)
        reward.before_the_first = lambda: {
            name: each.clone() for name, each in trainer.actor_critic.state_dict().items()
        }
        settings = {
            "from_step": from_step,
            "scored": lambda: reward.counts,
            "save_steps": save_steps,
            "peers": ALONE,
            "progress": SILENT,
        }
        found = train_segment(path, trainer, start, until, reset_optimizer=reset_optimizer, **settings)
        return found.as_dict(), reward

    return run


def left_in(path) -> dict:
    """Digests of all files, and of the metrics those rows that are no times."""
    files = {file.relative_to(path) for file in path.rglob("*") if file.is_file()}
    names = {file.as_posix() for file in files if not file.parts[0].startswith("checkpoint-")}
    rows = [{key: row[key] for key in row if "second" not in key} for row in read_rows(path / METRICS)]
    return {
        "names": names,
        "metrics": rows,
        "rollouts": (path / ROLLOUTS).read_bytes(),
        **{part: folder_digest(path / part) for part in (STATE_FOLDER, "policy")},
    }


def told(said) -> dict:
    last = {key: value for key, value in said["last"].items() if "second" not in key}
    return {**said, "last": last}


@pytest.mark.parametrize(("save_steps", "calls", "repeated"), [(1, 3, 0), (2, 5, 1), (4, 3, 3), (None, 4, 0)])
def test_resumed_is_the_same_as_uninterrupted(train, tmp_path, save_steps, calls, repeated, monkeypatch):
    monkeypatch.setattr("frft.experiment.checkpoints.SHARE_OF_TIME", 1.0)
    expected, _ = train(tmp_path / "whole", save_steps=save_steps)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(stopped, save_steps=save_steps, calls=calls)
    found, reward = train(stopped, save_steps=save_steps)
    if save_steps is not None:
        assert reward.calls == STEPS - calls + repeated, "it went on at the checkpoint"
    assert left_in(stopped) == left_in(tmp_path / "whole")
    assert told(found) == told(expected)
    assert found["scoring_truncated"]["sequences"] == found["rollouts_truncated"]["sequences"] == 4 * STEPS
    assert found["rollouts_truncated"]["prompts_truncated"] == 4 * STEPS
    assert [row["step"] for row in read_rows(stopped / METRICS)] == list(range(1, STEPS + 1))


def test_going_back_keeps_the_logs_and_the_checkpoint_and_nothing_else(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", save_steps=1, calls=3)
    for name in ("logs", ".checkpoint-4.unfinished", "policy"):
        (tmp_path / "stopped" / name).mkdir()
        (tmp_path / "stopped" / name / "from-before").write_text("")
    train(tmp_path / "stopped", save_steps=1)
    left = {file.relative_to(tmp_path / "stopped").as_posix() for file in tmp_path.rglob("from-before")}
    assert left == {"logs/from-before"}


def test_a_segment_that_was_done_is_not_trained_again(train, tmp_path):
    """It was stopped between its end and its manifest."""
    expected, _ = train(tmp_path / "done", save_steps=1)
    left = left_in(tmp_path / "done")
    found, reward = train(tmp_path / "done", save_steps=1)
    assert reward.calls == 1, "from the last checkpoint, one step before the end"
    assert told(found) == told(expected)
    assert left_in(tmp_path / "done") == left


def test_a_later_segment_goes_on_from_an_earlier_one(train, tmp_path):
    train(tmp_path / "whole", save_steps=1)
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, save_steps=1, until=2)
    with pytest.raises(KeyboardInterrupt):
        train(second, save_steps=1, calls=2, start=first)
    _, reward = train(second, save_steps=1, start=first)
    assert reward.calls == 2
    assert folder_digest(second / STATE_FOLDER) == folder_digest(tmp_path / "whole" / STATE_FOLDER)


def test_a_policy_that_starts_again_has_the_weights_of_sft_and_the_steps_that_are_left(
    train, tmp_path, tiny_lm_folder, tiny_tokenizer
):
    _, whole = train(tmp_path / "whole", save_steps=1)
    expected, reward = train(tmp_path / "again", save_steps=1, from_step=2)
    sft = load_causal_lm(tiny_lm_folder, tiny_tokenizer).state_dict()
    own = {name.removeprefix("policy."): each for name, each in reward.began.items() if name.startswith("policy.")}
    assert own.keys() == sft.keys()
    assert all(torch.equal(own[name], sft[name]) for name in sft)
    # The critic, too, is the one that the arm started with.
    assert all(torch.equal(reward.began[name], whole.began[name]) for name in whole.began)
    rows = read_rows(tmp_path / "again" / METRICS)
    assert [row["step"] for row in rows] == list(range(3, STEPS + 1))
    assert rows[0]["kl_sft_k1"] == rows[0]["kl_sft_k3"] == 0
    state = torch.load(tmp_path / "again" / STATE_FOLDER / OPTIMIZER, weights_only=True)
    assert {int(moments["step"]) for moments in state["state"].values()} == {STEPS - 2}
    # The learning rate of the last step, as in a training that was never interrupted.
    assert [group["lr"] for group in state["param_groups"]] == pytest.approx([1e-3 / STEPS] * 2)
    # Prompts go on where the steps are; completions are drawn with the random numbers of these steps.
    prompts = {name: [row["prompt"] for row in read_rows(tmp_path / name / ROLLOUTS)] for name in ("whole", "again")}
    assert prompts["again"] == prompts["whole"][2 * 4 :]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", save_steps=1, calls=2, from_step=2)
    found, resumed = train(tmp_path / "stopped", save_steps=1, from_step=2)
    assert resumed.calls == STEPS - 2 - 2
    assert left_in(tmp_path / "stopped") == left_in(tmp_path / "again")
    assert told(found) == told(expected)


def test_the_optimizers_moments_can_be_forgotten_between_segments(train, tmp_path):
    train(tmp_path / "first", save_steps=1, until=2)
    updates = {}
    for name, reset in (("kept", False), ("forgotten", True)):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / name, save_steps=1, calls=2, start=tmp_path / "first", reset_optimizer=reset)
        # Going on within the segment forgets nothing.
        train(tmp_path / name, save_steps=1, start=tmp_path / "first", reset_optimizer=reset)
        state = torch.load(tmp_path / name / STATE_FOLDER / OPTIMIZER, weights_only=True)["state"]
        updates[name] = {int(moments["step"]) for moments in state.values()}
    assert updates == {"kept": {STEPS}, "forgotten": {STEPS - 2}}
    first_steps = [read_rows(tmp_path / name / METRICS)[0]["kl_sft_k1"] for name in updates]
    assert first_steps[0] == first_steps[1], "weights are kept"


def test_a_save_that_was_cut_short_leaves_the_one_before(train, tmp_path, monkeypatch):
    def cut_short(folder, *given):
        if folder.name.startswith(".checkpoint-3"):
            raise KeyboardInterrupt
        return seal(folder, *given)

    monkeypatch.setattr(training_state, "seal", cut_short)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", save_steps=1)
    monkeypatch.undo()
    _, reward = train(tmp_path / "stopped", save_steps=1)
    assert reward.calls == STEPS - 2
    train(tmp_path / "whole", save_steps=1)
    assert left_in(tmp_path / "stopped") == left_in(tmp_path / "whole")


@pytest.fixture
def stopped(train, tmp_path):
    """A segment that was stopped in its fifth step, with a checkpoint of its third and journals of four."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", save_steps=3, calls=4)
    assert [row["step"] for row in read_rows(tmp_path / "stopped" / METRICS)] == [1, 2, 3, 4]
    return tmp_path / "stopped"


@pytest.mark.parametrize("name", [METRICS, ROLLOUTS])
@pytest.mark.parametrize("damage", ["cut before the checkpoint", "a row removed", "a digit edited", "removed"])
def test_a_damaged_journal_stops_the_resume_and_a_new_start_has_the_same_outcome(
    train, stopped, tmp_path, name, damage
):
    lines = (stopped / name).read_bytes().splitlines(keepends=True)
    if damage == "removed":
        (stopped / name).unlink()
    else:
        digit = lines[0].replace(b'"step": 1', b'"step": 2', 1)
        damaged = {"cut before the checkpoint": lines[:2], "a row removed": lines[1:], "a digit edited": [digit]}
        (stopped / name).write_bytes(b"".join(damaged[damage] + (lines[1:] if damage == "a digit edited" else [])))
    with pytest.raises(ArtifactError, match=rf"{name} has not the rows .*Delete {stopped} and run the same command"):
        train(stopped, save_steps=3)
    shutil.rmtree(stopped)
    train(stopped, save_steps=3)
    train(tmp_path / "whole", save_steps=3)
    assert left_in(stopped) == left_in(tmp_path / "whole")


@pytest.mark.parametrize("file", [TRAINED_WEIGHTS, OPTIMIZER, MANIFEST])
def test_a_damaged_checkpoint_stops_the_resume_and_without_it_the_outcome_is_the_same(train, stopped, tmp_path, file):
    damaged = stopped / "checkpoint-3" / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"checkpoint-3.*Delete \S*checkpoint-3 and run the same command again"):
        train(stopped, save_steps=3)
    shutil.rmtree(stopped / "checkpoint-3")
    _, reward = train(stopped, save_steps=3)
    assert reward.calls == STEPS, "from the start"
    train(tmp_path / "whole", save_steps=3)
    assert left_in(stopped) == left_in(tmp_path / "whole")


def test_a_diagnosis_reads_what_the_checkpoint_says_and_what_is_beyond_it(stopped, tmp_path):
    assert [row.step for row in read_journals(stopped)[0]] == [1, 2, 3, 4]
    assert [row.step for row in read_journals(stopped)[1]] == [step for step in (1, 2, 3, 4) for _ in range(4)]
    for name in (METRICS, ROLLOUTS):
        whole = (stopped / name).read_bytes()
        damaged = bytearray(whole)
        damaged[damaged.index(b'"step": 2') + 8] ^= 1
        for content in (bytes(damaged), whole[: len(whole) // 2], None):
            (stopped / name).unlink() if content is None else (stopped / name).write_bytes(content)
            with pytest.raises(ArtifactError, match=rf"{name} has not the rows"):
                read_journals(stopped)
        (stopped / name).write_bytes(whole)
    manifest = stopped / "checkpoint-3" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"bytes": ', '"bytes": 1'))
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        read_journals(stopped)
    (tmp_path / "begun").mkdir()
    assert read_journals(tmp_path / "begun") == ([], [])


def test_a_journal_that_is_cut_during_the_training_is_noticed_at_its_end(train, tmp_path, monkeypatch):
    path, original = tmp_path / "cut", Reward.__call__

    def cuts(self, prompts, completions):
        if self.calls == STEPS - 1:
            (path / ROLLOUTS).write_bytes((path / ROLLOUTS).read_bytes().split(b"\n", 1)[1])
        return original(self, prompts, completions)

    monkeypatch.setattr(Reward, "__call__", cuts)
    with pytest.raises(ArtifactError, match=rf"{ROLLOUTS} was changed while it was being written"):
        train(path, save_steps=None)


def test_links_in_the_folder_of_a_stopped_segment_are_not_followed(train, stopped, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    for name in ("checkpoint-9", "checkpoint-last", "policy"):
        (stopped / name).symlink_to(outside)
    _, reward = train(stopped, save_steps=3)
    assert reward.calls == STEPS - 3, "it went on from checkpoint-3"
    assert [file.name for file in outside.iterdir()] == ["mine.txt"]
