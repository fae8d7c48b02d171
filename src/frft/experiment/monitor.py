"""The stages that look at an arm while it is trained: what an independent judge says of it, drift, alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.diagnosis import Diagnosis, Scored, Subject, diagnose, measure_drift
from frft.experiment.evaluation import ScoreFunction, agreement
from frft.experiment.foundations import Foundations
from frft.experiment.looks import accuracy_of, course_of, fired, scored, summary, texts_of
from frft.experiment.segment import METRICS
from frft.experiment.texts import read_completions, score_by_step
from frft.reward import AlignedReward, EnsembleReward
from frft.store import Artifact, append_rows, read_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS_FILE, VECTORS_FILE = "texts.jsonl", "vectors.npy"


@dataclass(frozen=True)
class _View:
    """What one judge says: of each segment's rollouts, and of the held-out pairs; no judge: the gold reward."""

    judge: Artifact | None
    judged: list[Artifact]
    agreement: Artifact

    def inputs(self) -> dict[str, Any]:
        return {"judge": self.judge or "gold", "judged": self.judged, "agreement": self.agreement}


class Monitor(Foundations):
    """The looks of one configuration."""

    def look(
        self,
        step: int,
        policy: Artifact,
        reward: AlignedReward | EnsembleReward,
        began: Artifact,
        segments: Sequence[Artifact],
    ) -> Artifact:
        """Diagnose an arm as it is after `step` steps.

        Args:
            step: so many.
            policy: as it is.
            reward: what it is trained with.
            began: the policy when the arm was refreshed last, or the SFT model: what `policy` is compared with.
            segments: its training since then.
        """
        monitor, seed = self.config.monitor, self._seed("drift")
        prompts, sampling = self._draw(self.splits.prompts, monitor.prompts, "looks"), self.config.ppo.sampling
        now, before = (
            [self._completions(each, prompts, sampling, "looks", which) for which in ("first", "second")]
            for each in (policy, began)
        )
        views = {"by_judge": self._view(reward, segments, self._monitor_judge)}
        if self.world is not None and monitor.judge != "gold":
            # What the judge would have to see; nothing is decided by it.
            views["by_gold"] = self._view(reward, segments, None)
        base = self.base_reward
        # An ensemble is no one model with a scale and an accuracy.
        single = reward if isinstance(reward, AlignedReward) else None
        current = reward.current if isinstance(reward.current, Artifact) else None
        # The first look, before training, can find no over-optimisation.
        looks = len(self.look_steps) - 1

        embedded = [self._embedded(both) for both in (now, before)] if monitor.drift else []

        def embed(texts: Sequence[str]) -> NDArray[np.float32]:
            vector_of = {text: vector for each in reversed(embedded) for text, vector in _read_vectors(each)}
            return np.stack([vector_of[text.strip()] for text in texts])

        def seen(view: _View) -> tuple[Diagnosis, Scored, Scored]:
            score = self._judge_score(view.judge)
            after, start = (
                scored([read_completions(each) for each in both], reward.model, score, self.world)
                for both in (now, before)
            )
            subject = Subject(
                f"after step {step}",
                gain=None if single is None else single.model.gain,
                bias=0.0 if single is None else single.model.bias,
                after=after,
                before=start,
                before_by_first=None
                if current is None or current.digest == base.digest
                else self._load_reward(base).score(start.prompts, start.completions),
                held_out=None if current is None else accuracy_of(current.info["held_out"]),
                off_policy=accuracy_of(view.agreement.info),
                calibration_error=None if current is None else current.info["held_out"]["calibration_error"],
                course=course_of(
                    [row for segment in segments for row in read_rows(segment.path / METRICS)],
                    [mean for each in view.judged for mean in each.info["means"]],
                ),
            )
            return diagnose(subject, embed if monitor.drift else None, looks=looks), after, start

        def build(path: Path) -> Mapping[str, Any]:
            del path
            found, after, start = seen(views["by_judge"])
            moved = None
            if monitor.drift and policy is not began:
                moved = measure_drift(texts_of(start, embed), texts_of(after, embed), seed, self.progress)
            for alarm in found.fired:
                self.progress.say(f"  after step {step}: {alarm.name} ({alarm.measured}: {alarm.figure:.3g})")
            for name in fired(found)[len(found.fired) :] if step else ():
                self.progress.say(f"  after step {step}: {name}")
            return {
                "step": step,
                "drift": None if moved is None else moved.as_dict(),
                "fired": fired(found),
                **found.as_dict(),
                "by_gold": summary(seen(views["by_gold"])[0]) if "by_gold" in views else None,
            }

        inputs = {
            "step": step,
            "now": now,
            "before": before,
            **self._of_reward(reward),
            "base_reward": base,
            **{name: view.inputs() for name, view in views.items()},
            "looks": looks,
            "drift": [*embedded, seed] if monitor.drift else None,
        }
        return self.store.make("look", inputs, build)

    @property
    def _monitor_judge(self) -> Artifact | None:
        """What looks hold the reward against; none: the gold reward."""
        return None if self.config.monitor.judge == "gold" else self.held_out_judge

    def _view(
        self, reward: AlignedReward | EnsembleReward, segments: Sequence[Artifact], judge: Artifact | None
    ) -> _View:
        return _View(judge, [self._judged(segment, judge) for segment in segments], self._agreement(reward, judge))

    def _judge_score(self, judge: Artifact | None) -> ScoreFunction:
        if judge is not None:
            return self._load_reward(judge).score
        assert self.world is not None
        return self.world.gold

    def _judged(self, segment: Artifact, judge: Artifact | None) -> Artifact:
        """The judge's mean score of each step's rollouts in a segment."""

        def build(path: Path) -> Mapping[str, Any]:
            del path
            return {"means": list(score_by_step(self._judge_score(judge), segment.path).values())}

        return self.store.make("judged", {"segment": segment, "judge": judge or "gold"}, build)

    def _agreement(self, reward: AlignedReward | EnsembleReward, judge: Artifact | None) -> Artifact:
        """How often an arm's reward orders the held-out pairs as the judge does."""
        held_out = self.splits.evaluation

        def build(path: Path) -> Mapping[str, Any]:
            del path
            return agreement(reward.model.score, self._judge_score(judge), held_out).as_dict()

        inputs = {"judge": judge or "gold", "held_out": self._identities["evaluation"], **self._of_reward(reward)}
        return self.store.make("agreement", inputs, build)

    def _of_reward(self, reward: AlignedReward | EnsembleReward) -> dict[str, Any]:
        """What decides the scores of a reward."""
        coef = reward.coef if isinstance(reward, EnsembleReward) else None
        return {"reward": reward.current, "ensemble_coef": coef}

    def _embedded(self, written: Sequence[Artifact]) -> Artifact:
        """The different completions in these files, in order, and their vectors.

        Not from the cache, where the last digits of a vector depend on which other texts were missing beside it.
        """
        embedder = self.vectors.embedder

        def build(path: Path) -> Mapping[str, Any]:
            texts = sorted({text.strip() for each in written for text in read_completions(each).completions})
            append_rows(path / TEXTS_FILE, [{"text": text} for text in texts])
            with self.progress.task("Embedding", total=len(texts)) as task:
                np.save(path / VECTORS_FILE, embedder.encode(texts, task), allow_pickle=False)
            return {"texts": len(texts)}

        return self.store.make("embedded", {"written": list(written), "embedder": embedder.digest}, build)


def _read_vectors(embedded: Artifact) -> Iterator[tuple[str, NDArray[np.float32]]]:
    texts = [row["text"] for row in read_rows(embedded.path / TEXTS_FILE)]
    return zip(texts, np.load(embedded.path / VECTORS_FILE, allow_pickle=False), strict=True)
