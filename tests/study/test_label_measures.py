"""What labels cost, were and brought: by hand, by brute force, and in a small cell that asks for some."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.labels import read_queue
from frft.store import write_json
from frft.study import load_study, report
from frft.study.cell import digest, labels_by_gold, record_path, run_cell
from frft.study.label_table import LABELS_BOUGHT_COLUMNS, label_rows
from frft.study.measured import MEASURES
from frft.study.summary import summarise
from frft.worlds import World

from .conftest import SMALL, labelled, typed

GAINS = {"vanilla": 0.0, "random": 0.1, "density": 0.3, "source": 0.2, "part1": 0.1, "oracle": 1.0}


@pytest.fixture
def record(make_record):
    return labelled(make_record("centre", 6, GAINS), "density", 50, audit=20, gate=10, right=0.9)


def measured(record: dict, arm: str) -> dict[str, float | None]:
    (cell,) = typed([record])
    names = "labels", "audit_labels", "gate_labels", "distinct_labels", "label_passes", "labels_by_gold"
    return {name: MEASURES[name](cell, arm) for name in (*names, "audit_used_first", "audit_used")}


def test_every_use_counts_and_labels_that_are_used_again_count_once(record):
    # Two refreshes of 50 to train, 20 to audit and 10 of a gate. Each saw 1240 pairs; of its 600, first 100 and
    # then 200 have fresh labels.
    assert measured(record, "density") == {
        "labels": 160,
        "audit_labels": 40,
        "gate_labels": 20,
        "distinct_labels": 100,
        "label_passes": pytest.approx(1240 * (100 + 200) / 600 / 100),
        "labels_by_gold": pytest.approx(0.9),
        "audit_used_first": 0.5,
        "audit_used": 1.0,
    }


def test_an_arm_that_asks_for_none_has_none(record):
    for arm in ("vanilla", "random"):
        found = measured(record, arm)
        assert [found.pop(name) for name in ("labels", "audit_labels", "gate_labels")] == [0, 0, 0]
        assert set(found.values()) == {None}


def test_what_the_reward_model_says_itself_costs_nothing(record):
    for refresh in record["arms"]["density"]["refreshes"]:
        refresh["labels"]["labeller"] = "self"
        refresh["audit"] = refresh["gate"] = None
    found = measured(record, "density")
    assert (found["labels"], found["distinct_labels"]) == (0, 100)


def test_a_ceiling_of_gold_pairs_has_their_number(record):
    for refresh in record["arms"]["oracle"]["refreshes"]:
        refresh["selection"]["counts"]["pool_rows"] = 600
        refresh["reward_model"]["replayed"] = 300
    found = measured(record, "oracle")
    # Of 600 pairs in a training half are replayed; 480 are drawn from the labelled ones at each of two refreshes.
    assert (found["labels"], found["distinct_labels"]) == (1200, 960)
    assert found["label_passes"] == pytest.approx(2 * 1240 * 300 / 600 / 960)


def test_labels_weigh_alike_in_the_share_that_is_right(record):
    for refresh, n, share in zip(record["arms"]["density"]["refreshes"], (30, 10), (0.6, 1.0), strict=True):
        refresh["labels_by_gold"] |= {"n": n, "accuracy": share}
    assert measured(record, "density")["labels_by_gold"] == pytest.approx((30 * 0.6 + 10) / 40)


def test_the_page_has_a_table_of_labels_for_the_arms_that_asked(averaging, make_record):
    gains = [GAINS | {"density": each} for each in (0.3, 0.5, 0.25)]
    records = [
        labelled(make_record("centre", 6 + n, each), "density", 50 + 10 * n, audit=20) for n, each in enumerate(gains)
    ]
    results = summarise(averaging, typed(records), [])
    rows = {row[0]: row for row in label_rows(results.points["centre"])}
    assert list(rows) == ["density", "oracle"]
    assert {len(row) for row in rows.values()} == {len(LABELS_BOUGHT_COLUMNS)}
    found = dict(zip(LABELS_BOUGHT_COLUMNS, rows["density"], strict=True))
    assert [found[name] for name in ("labels", "of audits", "of gates", "trained on")] == ["160", "40", "0", "120"]
    assert (found["used after audit, first"], found["last"]) == ("50.0 %", "100.0 %")
    by_hand = np.mean([100 * 0.3 / 140, 100 * 0.5 / 160, 100 * 0.25 / 180])
    assert results.points["centre"].arms["density"].gain_per_100_labels.mean == pytest.approx(by_hand)
    assert found["per 100 labels"].startswith(f"{by_hand:+.2f} [")
    page = report.markdown(results, "frft")
    assert page.count("| arm | labels | of audits |") == 1
    assert "- **labels**: fresh labels that all refreshes" in page
    assert results.points["centre"].arms["random"].gain_per_100_labels is None


def test_a_study_that_asks_for_no_labels_has_no_figures_of_any(averaging, make_record):
    results = summarise(averaging, typed([make_record("centre", seed, GAINS) for seed in (6, 7)]), [])
    assert label_rows(results.points["centre"]) == []
    for arm in results.as_dict()["points"]["centre"]["arms"].values():
        assert not {name for name in arm if "label" in name and not name.startswith("off_policy")}
        assert not {"audit_used", "audit_used_first"} & set(arm)


def test_how_often_labels_are_right_is_that_of_the_gold_reward():
    world = World(WorldConfig(lambda_=4))
    pairs = world.pairs(0, 200)
    prompts, chosen, rejected = (pairs[name].to_pylist() for name in ("prompt", "chosen", "rejected"))
    # One pair after the other.
    by_hand = [
        float(world.gold([prompt], [one])[0] - world.gold([prompt], [other])[0])
        for prompt, one, other in zip(prompts, chosen, rejected, strict=True)
    ]
    found = labels_by_gold(world, pairs)
    told = [each for each in by_hand if each]
    assert found.accuracy == pytest.approx(np.mean([each > 0 for each in told]))
    assert 0.5 < found.accuracy < 1
    assert (found.n, found.without_order) == (len(told), 200 - len(told))
    exchanged = pa.table({"prompt": prompts, "chosen": rejected, "rejected": chosen})
    assert labels_by_gold(world, exchanged).accuracy == pytest.approx(1 - found.accuracy)


def test_the_command_prints_the_table_of_labels(make_record, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    settings = ["seeds=2", "points.centre.more_arms=[]", "arms.density={selection: {strategy: random}}"]
    settings += [f"points.{name}=null" for name in load_study("averaging").config.points if name != "centre"]
    for cell in load_study("averaging", settings).cells:
        record = labelled(make_record("centre", cell.seed, GAINS), "density", 50)
        # As if this version had finished it.
        write_json(record_path(tmp_path, cell), record | {"digest": digest(cell)})
    assert main(["study", "averaging", *settings, "--store", "none", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out.split("Fresh labels at centre:")[1]
    row = next(line for line in said.splitlines() if "density" in line)
    assert "100" in row
    assert "80.0 %" in row
    assert "| density |" in (tmp_path / "study.md").read_text().split("| arm | labels | of audits |")[1]


@pytest.mark.slow
def test_a_cell_says_what_its_labels_were(tmp_path):
    arms = "[vanilla, random, oracle]"
    settings = [
        *(each for each in SMALL if each.startswith("base.")),
        "primary=random", "perfect=null", f"everywhere={arms}", "points.centre.more_arms=[few, wrong]",
        "base.refresh.alpha=2", "base.refresh.at_steps=[1, 3]",
        "arms.few={selection: {strategy: random}, labels: {from: gold, budget: 20, audit: 8}}",
        "arms.wrong={replay: 0, selection: {strategy: none}, labels: {from: gold, budget: 20, noise: 0.45}}",
    ]  # fmt: skip
    study = load_study("averaging", settings)
    record = run_cell(study.cell("centre", 6), tmp_path)
    few, wrong = (record.arms[name].refreshes for name in ("few", "wrong"))
    assert [each.labels_by_gold.accuracy for each in few] == [1.0, 1.0]
    assert [each.labels_by_gold for each in record.arms["random"].refreshes] == [None, None]
    # The files of labels themselves, which a study deletes later.
    files = [*(tmp_path / "stages").glob("labels-*/labels.jsonl"), *(tmp_path / "stages").glob("audit-*/labels.jsonl")]
    answers = sum(len(list(read_queue(path).answers())) for path in files)
    assert answers == MEASURES["labels"](record, "few") + MEASURES["labels"](record, "wrong")
    pairs = sum(pq.read_table(path).num_rows for path in (tmp_path / "stages").glob("labels-*/pairs.parquet"))
    distinct = (MEASURES["distinct_labels"](record, name) for name in ("few", "wrong"))
    assert pairs == sum(distinct)
    assert MEASURES["labels"](record, "few") <= 40
    assert MEASURES["labels"](record, "wrong") == 40
    assert MEASURES["audit_labels"](record, "few") == sum(each.audit.asked for each in few) > 0
    assert any(each.labels_by_gold.accuracy < 1 for each in wrong)
    # Nothing but fresh labels is trained on, so that each pass of the optimizer is one over them.
    passes = sum(each.pairs_seen for each in wrong) / MEASURES["distinct_labels"](record, "wrong")
    assert MEASURES["label_passes"](record, "wrong") == pytest.approx(passes)
    # Of 16 selected pairs and 4 test pairs at each refresh, all are of the policy's own texts.
    assert MEASURES["labels"](record, "oracle") == 2 * 20
    assert MEASURES["distinct_labels"](record, "oracle") == 2 * 16
    results = summarise(study, [record], [])
    assert [row[0] for row in label_rows(results.points["centre"])] == ["oracle", "few", "wrong"]
