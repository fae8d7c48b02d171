"""Places outside a training where a number enters: files, embeddings, judges, labels, settings, options."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.reliability.places import NAMES_PROMPT, Place, spoil_weight
from benchmarks.reliability.workshop import PROMPTS, Workshop

TEXTS = [" Red, green and blue.", " Mix flour and water.", " I do not know."]
JSON = {float("inf"): "Infinity", float("-inf"): "-Infinity"}


def places_of_values() -> list[Place]:
    """Scores and labels in files and from judges, embeddings, log ratios, gains, options of commands."""
    return [
        Place("reward model gain", "scores", _gain, NAMES_PROMPT),
        Place("gain in reward.json", "files", _reward_file("gain"), "reward.json"),
        Place("bias in reward.json", "files", _reward_file("bias"), "reward.json"),
        Place("reward model weights while scoring", "weights", _scoring, NAMES_PROMPT),
        Place("weights of a reward model to be normalised", "weights", _normalising, NAMES_PROMPT),
        Place("ensemble weight of the variance", "scores", _ensemble, NAMES_PROMPT),
        Place("embedder weights", "embeddings", _embedder, "Mix flour|Red, green|I do not"),
        Place("embeddings of a pool", "embeddings", _vectors, "embedding"),
        Place("log ratios of pairs", "embeddings", _log_ratios, "row 1"),
        Place("judge preference in a win rate", "scores", _judge, NAMES_PROMPT),
        Place("preference of a labeller", "labels and pairs", _labeller, "labeller"),
        Place("stored verdict", "labels and pairs", _verdict, NAMES_PROMPT),
        Place("budget of labels in money", "labels and pairs", _budget, "cost", ("nan", "inf", "minus-inf")),
        Place("tie margin of a reward judge", "scores", _tie_margin, "tie_margin"),
        Place("price of a chat judge", "labels and pairs", _price, "price"),
        Place("judge score in a file", "files", _score_file, "scores.jsonl"),
        Place("preference in a file of annotations", "files", _annotations, "annotations.jsonl"),
        Place("judge scores of a subject", "scores", _subject, NAMES_PROMPT),
        *(
            Place(
                f"option {name}", "options", _option(words), "must|finite|from 0|0 to 1|above|at least|at most|between"
            )
            for name, words in _OPTIONS.items()
        ),
    ]


def places_of_settings() -> list[Place]:
    """Every setting of a configuration that holds a number with a fraction."""
    return [
        Place(f"setting {section.__name__}.{name}", "settings", _setting(section, name), name)
        for section, name in settings_with_fractions()
    ]


def settings_with_fractions() -> Iterator[tuple[type, str]]:
    """Sections of the configuration, and the names of their float settings."""
    from frft.config.sections.base import Section

    def below(section: type) -> Iterator[type]:
        for each in section.__subclasses__():
            yield each
            yield from below(each)

    for section in sorted({*below(Section)}, key=lambda each: each.__name__):
        if section.__module__.startswith("frft.config"):
            for name, field in section.settings().items():
                if float in _kinds(field.annotation):
                    yield section, name


def _kinds(annotation: Any) -> set[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return {kind for each in typing.get_args(annotation) for kind in _kinds(each)}
    return {annotation}


def _setting(section: type, name: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        del workshop
        # Only the section of the data needs something that has no default.
        needed = {"pairs": "x"} if section.__name__ == "DataConfig" else section.example().model_dump()  # type: ignore[attr-defined]
        _ = section(**{**needed, name: value})

    return act


def _gain(workshop: Workshop, value: float) -> None:
    model = workshop.reward_model()
    model.gain = value
    _ = model(PROMPTS, TEXTS)


def _reward_file(name: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        from frft.reward.reward_file import REWARD_FILE, read_reward_file

        workshop.reward_model().save(workshop.folder / "rm")
        file = workshop.folder / "rm" / REWARD_FILE
        file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
        _ = read_reward_file(file)

    return act


def _scoring(workshop: Workshop, value: float) -> None:
    model = workshop.reward_model()
    spoil_weight(model.model, value)
    _ = model.score(PROMPTS, TEXTS)


def _normalising(workshop: Workshop, value: float) -> None:
    model = workshop.reward_model()
    spoil_weight(model.model, value)
    model.normalise(PROMPTS, TEXTS)


def _ensemble(workshop: Workshop, value: float) -> None:
    from frft.reward.ensemble import RewardModelEnsemble

    members = [workshop.reward_model(), workshop.reward_model()]
    members[1].bias = 1.0
    _ = RewardModelEnsemble(members, value).score(PROMPTS, TEXTS)


def _embedder(workshop: Workshop, value: float) -> None:
    from frft.selection import Embedder

    del workshop
    embedder = Embedder()
    spoil_weight(embedder._model, value, nth=3)
    _ = embedder.encode(TEXTS)


def _vectors(workshop: Workshop, value: float) -> None:
    import numpy as np

    from frft.selection.similarity import _squared_lengths

    del workshop
    vectors_MD = np.eye(3, dtype=np.float32)
    vectors_MD[1, 1] = value
    _ = _squared_lengths(vectors_MD)


def _log_ratios(workshop: Workshop, value: float) -> None:
    import numpy as np

    from frft.selection.weights import LogRatios

    del workshop
    _ = LogRatios(np.array([0.0, value, 0.0]), np.zeros(3))


class _Judge:
    description = "a judge"

    def __init__(self, value: float) -> None:
        self.value = value

    def prefer(self, prompts: Any, first: Any, second: Any) -> list[float]:
        """The value for the second pair."""
        del first, second
        return [self.value if row == 1 else 0.5 for row in range(len(prompts))]

    def counts(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def _judge(workshop: Workshop, value: float) -> None:
    from frft.evaluation import win_rate

    del workshop
    _ = win_rate(_Judge(value), PROMPTS, TEXTS, TEXTS[::-1])


def _labeller(workshop: Workshop, value: float) -> None:
    from frft.labels import FunctionLabeller, LabelQuestion

    del workshop
    question = LabelQuestion.__new__(LabelQuestion)
    for name in ("prompt", "left", "right"):
        object.__setattr__(question, name, "x")
    _ = FunctionLabeller(_Judge(value).prefer, "labeller").label([question, question])


def _verdict(workshop: Workshop, value: float) -> None:
    from frft.evaluation import StoredAnnotations, win_rate

    del workshop
    verdicts = [(prompt, text, "No.", value) for prompt, text in zip(PROMPTS, TEXTS, strict=True)]
    _ = win_rate(StoredAnnotations(verdicts), PROMPTS, TEXTS, ["No."] * 3)


def _budget(workshop: Workshop, value: float) -> None:
    from frft.labels.asking import LabelBudget

    del workshop
    _ = LabelBudget(cost=value)


def _tie_margin(workshop: Workshop, value: float) -> None:
    from frft.evaluation import RewardJudge

    _ = RewardJudge(workshop.reward_model(), value)


def _price(workshop: Workshop, value: float) -> None:
    from frft.evaluation import ChatJudge

    del workshop
    _ = ChatJudge("m", base_url="http://127.0.0.1:9/v1", price=(value, 1.0))


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _score_file(workshop: Workshop, value: float) -> None:
    from frft.diagnosis.parts import load_judge_scores

    rows = [{"prompt": prompt, "completion": text, "score": value} for prompt, text in zip(PROMPTS, TEXTS, strict=True)]
    _ = load_judge_scores(_write_rows(workshop.folder / "scores.jsonl", rows))


def _annotations(workshop: Workshop, value: float) -> None:
    from frft.evaluation import StoredAnnotations

    rows = [
        {"prompt": prompt, "first": text, "second": "No.", "preference": value}
        for prompt, text in zip(PROMPTS, TEXTS, strict=True)
    ]
    _ = StoredAnnotations.load(_write_rows(workshop.folder / "annotations.jsonl", rows))


def _subject(workshop: Workshop, value: float) -> None:
    import numpy as np

    from frft.diagnosis import Scored

    del workshop
    _ = Scored(PROMPTS, TEXTS, np.array([0.0, value, 1.0]), None)


_PAIRS = "pairs.jsonl"
_OPTIONS = {
    "--max-rejected of data": ["data", _PAIRS, "--max-rejected", "{}"],
    "--threshold of select": ["select", "--pairs", _PAIRS, "--samples", _PAIRS, "--out", "o", "--threshold", "{}"],
    "--train.learning-rate of reward train": [
        *("reward", "train", "--pairs", _PAIRS, "--model-name-or-path", "lm", "--out", "o"),
        *("--train.learning-rate", "{}"),
    ],
    "--temperature of generate": [
        *("generate", "--policy", "lm", "--prompts", _PAIRS, "--out", "o", "--temperature", "{}"),
    ],
    "--labeller-accuracy of label plan": ["label", "plan", "--labeller-accuracy", "{}"],
    "--ties of label plan": ["label", "plan", "--labeller-accuracy", "0.8", "--ties", "{}"],
    "--right of label plan": ["label", "plan", "--labeller-accuracy", "0.8", "--right", "{}"],
    "--gains of label plan": ["label", "plan", "--labeller-accuracy", "0.8", "--gains", "{}"],
    "--disagreement of label plan": ["label", "plan", "--labeller-accuracy", "0.8", "--disagreement", "{}"],
    "--test-share of label pick": [
        *("label", "pick", "--pairs", _PAIRS, "--out", "o", "--budget", "2", "--unlabelled", "--test-share", "{}"),
    ],
    "--repeat-share of label pick": [
        *("label", "pick", "--pairs", _PAIRS, "--out", "o", "--budget", "2", "--unlabelled", "--repeat-share", "{}"),
    ],
    "--labeller-accuracy of bench audit": ["bench", "audit", "verdicts.jsonl", "--labeller-accuracy", "{}"],
    "ppo.kl_coef=... of run": ["run", "demo", "ppo.kl_coef={}", "--out", "o", "--dry-run"],
    "a yaml file of run": ["run", "settings.yaml", "--out", "o", "--dry-run"],
}


def _option(words: list[str]) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        import os
        from contextlib import redirect_stderr, redirect_stdout
        from io import StringIO

        from frft.cli import main
        from frft.errors import UsageError

        texts = zip(PROMPTS, TEXTS, strict=True)
        rows = [{"prompt": prompt, "chosen": "Yes.", "rejected": text} for prompt, text in texts]
        _ = _write_rows(workshop.folder / _PAIRS, rows)
        votes = [{"prompt": str(n), "verdicts": {"Ann": True, "Bob": n % 3 > 0}} for n in range(9)]
        _ = _write_rows(workshop.folder / "verdicts.jsonl", votes)
        number = JSON.get(value, "nan").lower().replace("infinity", "inf")
        (workshop.folder / "settings.yaml").write_text(f"ppo: {{learning_rate: {number.replace('inf', '.inf')}}}\n")
        before, text, said = Path.cwd(), StringIO(), StringIO()
        os.chdir(workshop.folder)
        try:
            with redirect_stdout(text), redirect_stderr(said):
                # A number that begins with a dash must not be taken for an option.
                status = main(_joined([word.replace("{}", number) for word in words]))
        finally:
            os.chdir(before)
        if status != 2:
            raise AssertionError(f"status {status}: {said.getvalue()[-300:]}")
        raise UsageError(said.getvalue())

    return act


def _joined(words: list[str]) -> list[str]:
    return (
        [*words[:-2], f"{words[-2]}={words[-1]}"] if words[-2].startswith("--") and words[-1] != "--dry-run" else words
    )
