"""`frft label` as a person uses and misuses it."""

from __future__ import annotations

import json
import re

import pytest

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.labels import open_queue, read_queue
from frft.preferences import load_pool
from frft.worlds import World, write_world

PROMPT = "\n\nHuman: How do I bake {} loaves?\n\nAssistant:"


@pytest.fixture
def samples(write_rows):
    rows = [
        {"prompt": PROMPT.format(n), "completion": f" Mix {k} eggs.", "model": "mine"}
        for n in range(20)
        for k in range(3)
    ]
    return str(write_rows("samples.jsonl", [*rows, {**rows[0], "completion": " "}, {**rows[0], "prompt": "Alone?"}]))


def drawn(samples, tmp_path, *more):
    path = tmp_path / "queue.jsonl"
    assert main(["label", "pick", "--samples", samples, "--out", str(path), "--budget", "20", *more]) == 0
    return path


def test_picking_says_what_there_was(samples, tmp_path, capsys):
    path = drawn(samples, tmp_path, "--test-share", "0.2", "--repeat-share", "0.1", "--step", "40", "--seed", "3")
    said = " ".join(capsys.readouterr().out.split())
    assert "20 questions (14 train, 4 test, 2 hidden repetitions)" in said
    assert "Read 62 completions; left out: 1 without text, 1 alone for a prompt. To choose from" in said
    assert "To choose from: 60 pairs, on 20 prompts" in said
    queue = read_queue(path)
    assert {(question.step, question.policy) for question in queue.questions.values()} == {(40, "mine")}
    assert queue.head.read == {"samples": [samples], "not_in": []}
    assert (
        main(["label", "pick", "--samples", samples, "--out", str(tmp_path / "all"), "--budget", "99", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["counts"] == {
        "read": 62, "blank": 1, "repeated": 0, "alone": 1, "nul": 0, "asked_before": 0, "candidates": 60, "prompts": 20,
        "train": 60, "test": 0, "repeat": 0, "questions": 60}  # fmt: skip


def test_one_question_is_said_in_the_singular(write_rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_rows("pool.jsonl", [{"prompt": "p", "chosen": " yes", "rejected": " no"}])
    said = {
        command: answered(command, capsys)
        for command in (
            "pick --pairs pool.jsonl --purpose audit --budget 1 --out one.jsonl",
            "status one.jsonl",
            "export one.jsonl --format jsonl --out sent.jsonl",
            "ask one.jsonl --judge annotations:pool.jsonl --budget 1",
            "status one.jsonl ",
            "audit one.jsonl --labeller-accuracy 0.9",
            "export one.jsonl --format pairs --purpose audit --out labelled.jsonl",
            "pick --pairs pool.jsonl --unlabelled --budget 2 --out two.jsonl",
        )
    }
    text = "\n".join(said.values())
    for noun in ("question", "pair", "prompt", "label"):
        assert f"1 {noun}" in text, noun
    wrong = re.findall(
        r"\b1 (?:question|pair|prompt|label|answer|repetition|row|completion)s\b|\b1 \S+ (?:are|were|have|do)\b", text
    )
    assert not wrong, text
    assert "Wrote two.jsonl: 1 question (1 train). Read 1 pair. To choose from: 1 pair, on 1 prompt." in text


def answered(command, capsys):
    assert main(["label", *command.split()]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --samples or --pairs"),
        (["--samples", "samples.jsonl", "--pairs", "samples.jsonl"], "either --samples or --pairs"),
        (["--pairs", "samples.jsonl", "--step", "3"], "leave them out with --pairs"),
        (["--pairs", "samples.jsonl", "--completion-key", "x"], "leave them out with --pairs"),
        (["--samples", "samples.jsonl", "--prompt-key", "x"], "named by --samples-prompt-key"),
        (["--samples", "samples.jsonl", "--unlabelled"], "--unlabelled describes --pairs"),
        (["--samples", "samples.jsonl", "--step", "-1"], "at least 0"),
        (["--samples", "samples.jsonl", "--test-share", "2"], "share of test questions"),
        (["--samples", "two.jsonl"], "of several models: mine, other"),
        (["--samples", "samples.jsonl", "--budget", "0"], "at least 1"),
        (["--samples", "samples.jsonl", "--out", "samples.jsonl"], "Name another file"),
        (["--samples", "samples.jsonl", "--out", "there"], "never overwritten"),
        (["--samples", "samples.jsonl", "--purpose", "audit"], "Give --pairs instead"),
        (["--pairs", "samples.jsonl", "--by", "source"], "give --purpose audit"),
        (["--pairs", "pairs.jsonl", "--pick", "representative"], "give --samples instead"),
        (["--pairs", "pairs.jsonl", "--purpose", "audit", "--unlabelled"], "said to have none"),
        (["--samples", "samples.jsonl", "--pick", "gap"], "give one (--reward-model)"),
        (["--samples", "samples.jsonl", "--pick", "gap", "--reward-model", "a", "b"], "reads one reward model"),
        (["--samples", "samples.jsonl", "--reward-model", "a"], "reads no reward model (--reward-model)"),
        (["--samples", "samples.jsonl", "--max-length", "9"], "that of --reward-model"),
        (["--samples", "samples.jsonl", "--store", "none"], "with --pick representative alone"),
        (["--samples", "samples.jsonl", "--quantile", "0.2"], "--quantile 0.2 is read with --pick gap alone"),
        (["--samples", "samples.jsonl", "--max-candidates", "9"], "--max-candidates is for rules other than random"),
        (["--samples", "samples.jsonl", "--test-share", "2"], "is 2 (--test-share) and that of repetitions 0 (--rep"),
        (["--samples", "samples.jsonl", "--pick", "gap", "--reward-model", "a", "--purpose", "test"], "at random"),
    ],
)  # fmt: skip
def test_what_cannot_be_picked_is_refused(arguments, said, samples, write_rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_rows("pairs.jsonl", [{"prompt": "p", "chosen": "yes", "rejected": "no"}])
    write_rows("two.jsonl", [{"prompt": "p", "completion": each, "model": each} for each in ("mine", "other")])
    (tmp_path / "there").touch()
    out = [] if "--out" in arguments else ["--out", "queue.jsonl"]
    budget = [] if "--budget" in arguments else ["--budget", "5"]
    before = sorted(tmp_path.iterdir())
    assert main(["label", "pick", *arguments, *out, *budget]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.iterdir()) == before


def test_sources_of_a_pool_are_audited(write_rows, tmp_path, capsys):
    rows = [
        {"prompt": PROMPT.format(n), "chosen": f" {good} {n}.", "rejected": f" {bad} {n}.", "annotator": annotator}
        for n in range(60)
        for annotator, good, bad in (("right", "Yes", "No"), ("wrong", "No", "Yes"))
    ]
    pool, path = str(write_rows("pool.jsonl", rows)), tmp_path / "audit.jsonl"
    pick = ["label", "pick", "--pairs", pool, "--out", str(path), "--budget", "30", "--purpose", "audit"]
    assert main([*pick, "--by", "nobody"]) == 2
    assert "no column 'nobody'" in " ".join(capsys.readouterr().err.split())
    assert main([*pick, "--by", "annotator"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Audited with another source, which has a pair of the same texts: 60 pairs" in said
    assert "right (30), wrong (30)" in said
    queue = read_queue(path)
    assert queue.head.read["by"] == ["annotator"]
    # What goes to labellers elsewhere says nothing of sources.
    assert main(["label", "export", str(path), "--out", str(tmp_path / "out"), "--format", "jsonl"]) == 0
    asked = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert "annotator" not in str(asked)
    assert "sources" not in str(asked)
    answers = write_rows("answers.jsonl", [
        {"question": row["question"], "choice": "left" if "Yes" in row["left"] else "right", "labeller": "Ann"}
        for row in asked
    ])  # fmt: skip
    assert main(["label", "audit", str(path), "--labeller-accuracy", "0.9"]) == 2
    assert "Nobody has answered yet" in capsys.readouterr().err
    assert main(["label", "import", str(path), str(answers)]) == 0
    capsys.readouterr()
    assert main(["label", "audit", str(path), "--labeller-accuracy", "0.9"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "right (30 questions): use. Its labels are right more often than not" in said
    assert "wrong (30 questions): refuse. Its labels are right less often than not" in said
    assert main(["label", "audit", str(path), "--labeller-accuracy", "0.9", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sources"]
    assert {name: (each["audit"]["decision"], each["audit"]["agreements"]) for name, each in found.items()} == {
        "right": ("use", 30), "wrong": ("refuse", 0)}  # fmt: skip
    for more, said in (
        (["--labeller-accuracy", "0.4"], "right more often than not"),
        (["--at-most", "0"], "at least 1"),
        (["--labeller", "Bob"], "nobody here is called Bob"),
    ):
        given = [] if "--labeller-accuracy" in more else ["--labeller-accuracy", "0.9"]
        assert main(["label", "audit", str(path), *given, *more]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    later = str(tmp_path / "later.jsonl")
    assert main([*pick[:5], later, *pick[6:], "--by", "annotator", "--not-in", str(path)]) == 0
    assert "Left out, because of conversations that are in the files of --not-in: 30 pairs." in " ".join(
        capsys.readouterr().out.split()
    )
    both = ["label", "audit", str(path), later, "--labeller-accuracy", "0.9", "--at-most", "60", "--json"]
    assert main(both) == 0
    assert {each["open"] for each in json.loads(capsys.readouterr().out)["sources"].values()} == {30}
    assert main(["label", "audit", str(path)]) == 2
    assert "have repetitions drawn" in " ".join(capsys.readouterr().err.split())


def test_a_rule_picks_by_a_reward_model_and_says_what_it_saw(samples, tiny_lm_folder, tmp_path, capsys):
    from frft.reward import RewardModel

    model = tmp_path / "model"
    RewardModel.load(tiny_lm_folder, seed=0, max_length=64).save(model)
    rule = ["--pick", "d_optimal", "--reward-model", str(model)]
    first = drawn(samples, tmp_path, *rule, "--max-candidates", "40", "--prior-precision", "0.5")
    said = " ".join(capsys.readouterr().out.split())
    assert "The rule d_optimal looked at 40 pairs, drawn at random; not looked at: 20 more." in said
    assert "Labelled before (--not-in), and taken into account: 0 pairs." in said
    queue = read_queue(first)
    assert {question.pick for question in queue.questions.values()} == {"d_optimal"} == {queue.head.pick}
    assert queue.head.rule == {"prior_precision": 0.5, "max_candidates": 40}
    assert queue.head.read["reward_model"] == [str(model)]
    rows = [{"question": name, "choice": ("left", "tie")[n % 2], "labeller": "Ann"}
            for n, name in enumerate(queue.questions)]  # fmt: skip
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["label", "import", str(first), str(answers)]) == 0
    command = ["label", "pick", "--samples", samples, "--budget", "20", "--not-in", str(first), *rule]
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "second"), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert (counts["labelled"], counts["looked_at"], counts["not_looked_at"]) == (10, 40, 0)


def test_a_gold_reward_labels_and_the_labels_train(tmp_path, capsys):
    """From a world's texts to pairs whose chosen side is the one with more gold reward."""
    dials = {"pool_size": 20, "demonstrations": 20, "evaluation_prompts": 20, "train_prompts": 20, "categories": 3}
    world = World(WorldConfig(**dials))
    write_world(world, tmp_path / "world")
    prompts = world.prompts(0, 20, "evaluation")
    rows = [
        {"prompt": prompt, "completion": text}
        for source in range(2)
        for prompt, text in zip(prompts, world.write(prompts, source), strict=True)
    ]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = drawn(str(tmp_path / "samples.jsonl"), tmp_path, "--repeat-share", "0.1")
    judge = f"gold:{tmp_path / 'world'}"
    ask = ["label", "ask", str(path), "--judge", judge, "--labeller", "gold"]
    capsys.readouterr()
    assert main([*ask, "--budget", "9"]) == 0
    assert "Stopped at the budget in labels" in capsys.readouterr().out
    assert main([*ask, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answered"], found["counts"]["pending"], found["stopped"]) == (11, 0, None)
    assert main([*ask, "--budget-tokens", "9"]) == 2
    assert "budget is in tokens" in capsys.readouterr().err
    assert main(["label", "status", str(path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)["labellers"]["gold"]
    assert summary["consistency"]["same"] == summary["consistency"]["repeats"] == 2
    queue = read_queue(path)
    for answer in queue.answers("gold"):
        question = queue.questions[answer.question]
        left, right = world.gold([question.prompt] * 2, [question.left, question.right])
        assert answer.choice == ("left" if left > right else "right" if right > left else "tie")


def test_a_later_draw_leaves_out_what_was_asked_before(samples, tmp_path, capsys):
    first = drawn(samples, tmp_path, "--repeat-share", "0.1")
    second = tmp_path / "second.jsonl"
    command = ["label", "pick", "--samples", samples, "--budget", "99", "--out"]
    assert main([*command, str(second), "--not-in", str(first)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "To choose from: 42 pairs" in said
    assert "Left out, because in the files of --not-in: 18 pairs." in said

    def pairs(path):
        return {(each.prompt, frozenset((each.left, each.right))) for each in read_queue(path).questions.values()}

    assert len(pairs(first)) + len(pairs(second)) == len(pairs(first) | pairs(second)) == 60
    assert main([*command, str(tmp_path / "third"), "--not-in", str(first), str(second)]) == 1
    assert "; 60 pairs asked about before" in " ".join(capsys.readouterr().err.split())
    assert main(["label", "export", str(tmp_path / "none"), "--out", str(second), "--format", "csv"]) == 2
    assert "No such file" in capsys.readouterr().err


def test_answers_go_out_as_pairs_and_come_in_as_rows(samples, tmp_path, capsys):
    path = drawn(samples, tmp_path, "--step", "40")
    asked, pairs = tmp_path / "asked.jsonl", tmp_path / "pairs.jsonl"
    export = ["label", "export", str(path), "--out"]
    assert main([*export, str(asked), "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in asked.read_text().splitlines()]
    asked.write_text("".join(json.dumps({**row, "choice": "left"}) + "\n" for row in rows))
    assert main(["label", "import", str(path), str(asked)]) == 2
    assert "name one for all by --labeller" in " ".join(capsys.readouterr().err.split())
    assert main(["label", "import", str(path), str(asked), "--labeller", "Ann"]) == 0
    assert "20 answers added" in capsys.readouterr().out
    assert main([*export, str(pairs), "--format", "pairs"]) == 0
    assert main(["data", str(pairs), "--json"]) == 0
    assert [(row["chosen"], row["step"]) for row in map(json.loads, pairs.read_text().splitlines())] == [
        (row["left"], 40) for row in rows
    ]
    for more, said in (
        (["--format", "pairs", "--open-for", "Ann"], "belongs to questions"),
        (["--format", "csv", "--purpose", "test"], "Leave them out"),
        (["--format", "csv", "--consensus"], "Leave them out"),
        (["--format", "pairs", "--consensus"], "3 labellers or more, and there are 1"),
        (["--format", "pairs", "--labellers", "Bob"], "nobody here is called Bob. There are: Ann."),
    ):
        assert main([*export, str(tmp_path / "out"), *more]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert main([*export, str(path), "--format", "csv"]) == 2
    assert "the file of labels itself" in capsys.readouterr().err


def test_a_damaged_file_is_status_1_and_names_its_line(samples, tmp_path, capsys):
    path = drawn(samples, tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], lines[4].replace(b"eggs", b"hens"), *lines[5:]]))
    for verb in (["status"], ["ask", "--judge", "gold:x"]):
        assert main(["label", verb[0], str(path), *verb[1:]]) == 1
        assert f"{path}, line 5: damaged" in "".join(capsys.readouterr().err.split("\n"))
    assert main(["label", "status", samples]) == 1
    assert main(["label", "status", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_an_interrupted_judge_keeps_its_answers_and_says_so(write_rows, tmp_path, monkeypatch, capsys):
    from frft.evaluation import StoredAnnotations

    rows = [{"prompt": f"p{n}", "completion": side} for n in range(50) for side in ("yes", "no")]
    path = tmp_path / "queue.jsonl"
    samples = str(write_rows("fifty.jsonl", rows))
    assert main(["label", "pick", "--samples", samples, "--out", str(path), "--budget", "50"]) == 0
    kept = [{"prompt": f"p{n}", "first": "yes", "second": "no", "preference": 1} for n in range(50)]
    ask = ["label", "ask", str(path), "--judge", f"annotations:{write_rows('kept.jsonl', kept)}"]
    whole, calls = StoredAnnotations.prefer, []

    def interrupted(self, *texts):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, *texts)

    with monkeypatch.context() as patch:
        patch.setattr(StoredAnnotations, "prefer", interrupted)
        assert main(ask) == 130
    assert "interrupted. Answers so far are kept, and the same command goes on" in capsys.readouterr().err
    assert main([*ask, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answered"], found["counts"]["answered"]) == (18, 50)
    queue = read_queue(path)
    assert {getattr(queue.questions[each.question], each.choice) for each in queue.answers()} == {"yes"}


def test_what_a_policy_wrote_with_a_nul_character_is_not_asked_about(tmp_path, capsys):
    """Else the pairs of its labels would be a file that `frft reward train` refuses."""
    texts = ["an apple", "a \0 pear", "a plum"]
    samples, queue, pairs = (tmp_path / name for name in ("samples.jsonl", "queue.jsonl", "pairs.jsonl"))
    samples.write_text("".join(json.dumps({"prompt": "A fruit?", "completion": text}) + "\n" for text in texts))
    assert main(["label", "pick", "--samples", str(samples), "--budget", "9", "--out", str(queue)]) == 0
    assert "1 with a NUL character" in capsys.readouterr().out
    assert main(["label", "export", str(queue), "--format", "pairs", "--out", str(pairs)]) == 0
    assert "0 pairs. There are no answers yet." in capsys.readouterr().out
    with open_queue(queue) as file:
        (question,) = file.questions.values()
        file.answer(question.id, "left", "ann")
    assert main(["label", "export", str(queue), "--format", "pairs", "--out", str(pairs)]) == 0
    assert load_pool(str(pairs)).table.num_rows == 1
