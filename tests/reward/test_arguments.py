"""What AlignedReward refuses before any training, and what it makes of what it is given."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pytest
from transformers import AutoConfig

import frft
from frft.reward.arguments import check_workdir


@pytest.fixture
def foreign(base, tmp_path):
    """A reward model as other trainers leave it: no reward.json."""
    folder = tmp_path / "foreign"
    shutil.copytree(base, folder)
    for name in ("reward.json", "manifest.json"):
        (folder / name).unlink()
    return folder


def test_functions_of_pairs_take_what_load_pool_returns(base, pool, vectors, tmp_path):
    report = frft.load_pool(_written(pool, tmp_path)).report
    whole = frft.Pool(pool, report)
    model = frft.RewardModel.load(base, seed=0)
    assert frft.evaluate_reward_model(model, whole) == frft.evaluate_reward_model(model, pool)
    config, texts = frft.SelectionConfig(strategy="random", size=3), (["p"], ["c"])
    chosen, by_table = (frft.select(each, *texts, config, vectors, 0) for each in (whole, pool))
    assert chosen.train_ids == by_table.train_ids


def _written(pool, folder):
    rows = [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in pool.to_pylist()]
    path = folder / "pairs.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


class Said:
    """A Progress that notes what is said."""

    def __init__(self):
        self.lines = []

    def task(self, description, total):
        raise AssertionError((description, total))

    def say(self, text):
        self.lines.append(text)


def test_every_form_of_pairs_will_do_for_all_three(base, pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _written(pool, tmp_path)
    read = frft.load_pool("pairs.jsonl")
    for pairs in (read.table, read, "pairs.jsonl", tmp_path / "pairs.jsonl", ["pairs.jsonl"]):
        reward = frft.AlignedReward(base, pairs, held_out=pairs, gate_pairs=pairs)
        for table in (reward.pool, reward.held_out, reward.gate_pairs):
            assert table["chosen"].to_pylist() == pool["chosen"].to_pylist()


def test_the_length_of_a_foreign_model_is_its_own(foreign, pool, tiny_lm_folder):
    said = Said()
    reward = frft.AlignedReward(str(foreign), pool, progress=said)
    assert reward.training.train.max_length == reward.model.max_length == 128
    assert said.lines[1:] == [f"{foreign} scores sequences of up to 128 tokens, as its own files say."]
    # RoBERTa and its kin have positions that no token can take; their tokenizers know.
    settings = json.loads((foreign / "tokenizer_config.json").read_text())
    (foreign / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 100}))
    assert frft.AlignedReward(foreign, pool).training.train.max_length == 100


REFUSED = {
    "pool": (3, "pool is 3 .int.; it must be preference pairs: a path"),
    "held_out": ([{"prompt": "p"}], "held_out is .* .list.; it must be preference pairs"),
    "gate_pairs": (
        pa.table({"prompt": ["p"]}),
        "gate_pairs is a table without id and chosen and rejected; ",
    ),
    "config": ({"alpha": 2}, r"config must be RefreshConfig or None, got dict: .*Give frft\.RefreshConfig\(alpha=2"),
    "training": (frft.TrainConfig(), "training must be RewardModelConfig or None, got TrainConfig"),
    "backbone": (7, "backbone must be str or Path or Artifact or None, got int: 7"),
    "vectors": (frft.Embedder(), r"vectors must be VectorCache or None, got Embedder: .*Give frft\.VectorCache"),
    "store": ("stages", r"store must be ArtifactStore or None, got str: 'stages'\. Give frft\.ArtifactStore"),
    "reference_samples": ((["p"], ["c"]), r"reference_samples must be .*PolicySamples\.of\(prompts, completions\)"),
    "seed": ("0", "seed must be int, got str"),
    "progress": (True, r"progress is True, which cannot report progress. Give frft\.for_terminal"),
    "alarms": (True, "alarms is True; it must be a function"),
    "trust_remote_code": ("no", "trust_remote_code must be bool, got str: 'no'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_argument_of_another_kind_is_refused_when_the_reward_is_made(name, base, pool):
    value, message = REFUSED[name]
    with pytest.raises(frft.FrftError, match=message):
        frft.AlignedReward(base, **({"pool": pool} | {name: value}))


def test_what_would_fail_at_the_first_refresh_is_refused_when_the_reward_is_made(base, pool, foreign, tmp_path):
    with pytest.raises(frft.DataError, match="pool holds no preference pairs"):
        frft.AlignedReward(base, pool.slice(0, 0))
    by_source = frft.RefreshConfig(samples="rollouts", selection=frft.SelectionConfig(strategy="source", source="a"))
    with pytest.raises(frft.DataError, match="have: chosen_source, rejected_source"):
        frft.AlignedReward(base, pool, by_source)
    frft.AlignedReward(base, pool, by_source.model_copy(update={"alpha": 0}))
    with pytest.raises(frft.ModelError, match="no-such-model"):
        frft.AlignedReward(tmp_path / "no-such-model", pool)
    with pytest.raises(frft.ModelError, match="no-such-backbone"):
        frft.AlignedReward(base, pool, frft.RefreshConfig(init="sft"), backbone=str(tmp_path / "no-such-backbone"))
    config = AutoConfig.from_pretrained(foreign, num_labels=3)
    config.save_pretrained(foreign)
    with pytest.raises(frft.ModelError, match="has 3 outputs"):
        frft.AlignedReward(foreign, pool)


def judging(prompts, first, second):
    return [1.0] * len(prompts)


PEOPLE = frft.NamedLabeller("people", "people", None)
MISPLACED = [
    ("offline", judging, r"labeller is .*\.judging, and no refresh asks it: config.labels is offline"),
    ({"from": "queue", "budget": 4}, judging, "from: queue asks others. Set from: judge"),
    ({"from": "gold", "budget": 4}, judging, "from: gold asks others. Set from: judge"),
    ({"from": "judge", "budget": 4}, PEOPLE, "people, whom nobody can open .* asks at once. Set from: queue"),
    ({"from": "judge", "budget": 4}, 3, "labeller must be a labeller or a function .* got int: 3"),
]


@pytest.mark.parametrize(("labels", "labeller", "message"), MISPLACED)
def test_a_labeller_that_is_none_or_that_nobody_would_ask_is_refused_when_the_reward_is_made(
    labels, labeller, message, base, pool
):
    config = frft.RefreshConfig.model_validate({"samples": "rollouts", "labels": labels})
    with pytest.raises(frft.UsageError, match=message):
        frft.AlignedReward(base, pool, config, labeller=labeller)


def test_people_need_no_labeller(base, pool, tmp_path):
    config = frft.RefreshConfig.model_validate({"samples": "rollouts", "labels": {"from": "queue", "budget": 4}})
    people = frft.AlignedReward(base, pool, config, workdir=tmp_path).labeller
    assert people is not None
    assert (people.open, people.folder) == (None, tmp_path / "labels")
    named = frft.AlignedReward(base, pool, config, labeller=PEOPLE, workdir=tmp_path).labeller
    assert named == frft.NamedLabeller("people", "people", None, tmp_path / "labels")


def test_a_workdir_that_cannot_be_is_refused_and_one_that_can_is_not_made(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(frft.OutputError, match="file is no folder that you may write to"):
            check_workdir(path)
    check_workdir(tmp_path / "new" / "below")
    assert not (tmp_path / "new").exists()


MISTAKEN = [
    (lambda: frft.Embedder("all-MiniLM-L6-v2"), r"config must be EmbedderConfig or None, got str.*model_name_or_path"),
    (lambda: frft.VectorCache("cache", "all-MiniLM-L6-v2"), r"embedder must be Embedder, got str.*frft\.Embedder"),
    (lambda: frft.VectorCache(frft.Embedder(), frft.Embedder()), "root must be str or Path, got Embedder"),
    (lambda: frft.World({"seed": 3}), r"config must be WorldConfig or None, got dict.*frft\.WorldConfig"),
    (lambda: frft.PolicySamples.of(["p", "q"], ["c"]), "2 prompts but 1 completions"),
    (lambda: frft.RewardJudge("folder"), r"model must be RewardModel, got str.*frft\.RewardModel\.load"),
    (lambda: frft.GoldJudge("world"), r"world must be World, got str.*frft\.World\.load"),
    (lambda: frft.RewardModelEnsemble([], 0.1), "at least one reward model"),
    (lambda: frft.ArtifactStore(3), "root must be str or Path, got int"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKEN)
def test_other_constructors_of_the_surface_refuse_a_wrong_kind_at_once(make, message):
    with pytest.raises(frft.FrftError, match=message):
        make()


def test_a_cache_of_vectors_takes_a_path_as_text(tmp_path):
    assert frft.VectorCache(str(tmp_path), frft.Embedder()).folder.parent == tmp_path
