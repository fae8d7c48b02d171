"""Diagnose a run from its folder, finished or under way.

Of a finished run, the evaluation completions (two to a prompt) of every arm and of the SFT model are scored by the
arm's last reward model and by the judge (in a world, the gold reward); a judge without scores compares them in pairs.
Of a run under way, the metrics of its steps so far and its first and last rollouts are examined. Nothing is written
but embeddings and the replies of a judge that compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from frft.config import load_config
from frft.diagnosis.diagnosis import diagnose
from frft.diagnosis.links import Link, training_to_evaluation
from frft.diagnosis.parts import compared
from frft.diagnosis.subject import Course, Scored, Selected, Subject
from frft.errors import ArtifactError, FrftError, UsageError
from frft.evaluation import GoldJudge, Judge, RewardJudge, ScoringJudge
from frft.experiment.diagnose_unfinished import diagnose_unfinished
from frft.experiment.evaluation import Scorer, agreement
from frft.experiment.folder import SEEDS_FOLDER
from frft.experiment.looks import course_of
from frft.experiment.prepare import CONFIG_FILE, RUN_FILE, RunRows, prepare, run_format
from frft.experiment.run_diagnosis import RunDiagnosis
from frft.experiment.runner import RESULTS_FILE, shown_selection
from frft.experiment.seeds import seeds_in
from frft.experiment.stages import Stages
from frft.experiment.texts import COMPLETIONS, JUDGED_ROLLOUTS, ROLLOUTS, means_by_step
from frft.paths import if_missing
from frft.progress import SILENT, Progress
from frft.results import (
    ArmFigures,
    EvaluationInputs,
    NamedJudgeFigures,
    RunResults,
    StageReference,
    info_of_model,
    read_rollouts,
    read_written,
)
from frft.reward import RefreshedModelInfo, RewardModel, RewardModelInfo
from frft.reward.ensemble import RewardModelEnsemble
from frft.selection import Selection
from frft.statistics import OrderAccuracy
from frft.statistics.estimates import Estimate
from frft.statistics.numbers import Floats
from frft.store import MANIFEST, RESULTS_FORMAT, ArtifactStore, read_manifest
from frft.store.artifact import DIGEST_CHARACTERS
from frft.strategies import get_strategy
from frft.worlds import World


def arms_of_run(out: Path) -> list[str]:
    """Names of the arms of the run in this folder, in the order of `RunDiagnosis.arms`.

    Raises:
        UsageError: the folder holds no run.
    """
    _check_is_run(out)
    if (out / RESULTS_FILE).is_file():
        return list(RunResults.read(out / RESULTS_FILE).arms)
    return list(load_config(str(out / CONFIG_FILE)).arms)


def diagnose_run(out: Path, progress: Progress = SILENT) -> RunDiagnosis:
    """Diagnose every arm of the run in this folder.

    Raises:
        UsageError: the folder holds no run, one of a version that cannot be read, or one that has trained no step yet.
    """
    _check_is_run(out)
    is_current = run_format(out / RUN_FILE) == RESULTS_FORMAT
    if not (out / RESULTS_FILE).is_file():
        if not is_current:
            raise UsageError(
                f"{out} is an unfinished run of an older version of frft, whose stages this version does not find. "
                "Finish it with that version and diagnose it then, or run it again in a new folder."
            )
        return diagnose_unfinished(out, progress)
    results = RunResults.read(out / RESULTS_FILE)
    run = _FinishedRun(out, results, progress)
    arms = [diagnose(run.subject(name), run.embed if run.rows else None) for name in results.arms]
    looks = {name: arm.looks for name, arm in results.arms.items()}
    return RunDiagnosis(True, arms, run.across(), looks, verified=is_current)


def _check_is_run(out: Path) -> None:
    seeds = seeds_in(out)
    if seeds:
        raise UsageError(
            f"{out} holds runs with the seeds {', '.join(map(str, seeds))}. Name the folder of one of them: "
            f"frft diagnose {out / SEEDS_FOLDER / str(seeds[0])}"
        )
    if not (out / RUN_FILE).is_file():
        raise UsageError(
            f"{out} holds no run (no {RUN_FILE}).{if_missing(out)} Name the folder that was given to `frft run --out`."
        )


class _FinishedRun:
    """A finished run, whose completions, pairs and models are read and scored on first use."""

    def __init__(self, out: Path, results: RunResults, progress: Progress) -> None:
        self.out, self.results, self.progress = out, results, progress
        self._why_no_rows = self._why_no_judge = ""
        self._judged: dict[tuple[str, ...], Floats] = {}

    def subject(self, name: str) -> Subject:
        """All measurements of one arm that a diagnosis takes; what could not be measured is listed in `unmeasured`."""
        arm, unmeasured = self.results.arms[name], []
        evaluation = self._inputs(arm.evaluation_stage)
        scorer, gain, bias = self._scorer(evaluation.reward, evaluation.ensemble_coef)
        after = self._scored(evaluation, scorer)
        before, first = self._scored(self._inputs(self.results.start_stage), scorer), None
        if arm.accepted:
            base = self._scorer(evaluation.base_reward, None)[0]
            first = base.score(before.prompts, before.completions)
        model = self._model_info(evaluation)
        if model is None:
            unmeasured.append("raw scores and calibration: the reward is an ensemble")
        if self.rows is None:
            unmeasured.append(f"whatever needs the preference pairs: {self._why_no_rows}")
        if self.judge is None:
            unmeasured.append(f"whatever needs the judge: {self._why_no_judge or self._why_no_rows}")
        elif not isinstance(self.judge, ScoringJudge):
            unmeasured.append(f"the course by {self.judge.description}, which compares texts and gives no scores")
        own_test, own_gain, held_out_before = self._around_the_refresh(arm, evaluation)
        held_out = None if model is None else model.held_out
        subject = Subject(
            name,
            gain=gain,
            bias=bias,
            after=after,
            before=before,
            before_by_first=first,
            held_out=None if held_out is None else held_out.order,
            own_test=own_test,
            own_test_gain=own_gain,
            held_out_before=held_out_before,
            off_policy=self._off_policy(scorer),
            calibration_error=None if held_out is None else held_out.calibration_error,
            course=self._course(arm),
            selected=self._selected(name, arm, unmeasured),
            unmeasured=unmeasured,
        )
        return subject if self.judge is None or isinstance(self.judge, ScoringJudge) else compared(subject, self.judge)

    def _around_the_refresh(
        self, arm: ArmFigures, evaluation: EvaluationInputs
    ) -> tuple[OrderAccuracy | None, Estimate | None, OrderAccuracy | None]:
        """Of the last accepted refresh: accuracy on its own test pairs, gain there, held-out accuracy before it."""
        models = [made.reward_model for made in arm.accepted]
        tested = models[-1].selected_test if models else None
        if tested is None:
            return None, None, None
        gain = models[-1].selected_test_gain
        if gain is None:
            return tested.order, None, None
        before = (models[-2] if len(models) > 1 else self._reward_info(evaluation.base_reward)).held_out
        return tested.order, gain, None if before is None else before.order

    def across(self) -> Link:
        """The link across arms: does a more accurate reward model (held-out pairs) lead to a better policy (judge)?"""
        found: dict[tuple[float, float], None] = {}
        by_rate = isinstance(self.results.judge, NamedJudgeFigures) and not (self.world or self.results.judge.scores)
        for arm in self.results.arms.values():
            model = self._model_info(self._inputs(arm.evaluation_stage))
            rate = arm.evaluation.win_rate
            score = arm.evaluation.by_gold.gold.mean if self.world else arm.evaluation.judge_score
            if by_rate:
                # Vanilla is the baseline of all win rates: against itself it wins half of the comparisons.
                score = 0.5 if rate is None else rate.rate
            if model is not None and model.held_out is not None and score is not None:
                # Keys of a dict: arms that ended with the same model and policy count as one observation.
                found[model.held_out.accuracy, score] = None
        accuracies, scores = ([pair[side] for pair in found] for side in (0, 1))
        more = {"by": "the judge's win rate of the policy over vanilla"} if by_rate else {}
        return training_to_evaluation(accuracies, scores, **more)

    def embed(self, texts: Sequence[str]) -> Any:
        """Embeddings (N, d) by the run's embedder. Texts are stripped as selections do, so that the cache has them."""
        assert self.rows is not None
        return self.rows[1].context.vectors.get([text.strip() for text in texts], self.progress)

    @cached_property
    def rows(self) -> tuple[RunRows, Stages] | None:
        """The run's preference pairs and stages; None: the pairs or the embedder cannot be loaded any more."""
        try:
            return prepare(
                self.results.settings, self.out, ArtifactStore(self.out / "stages"), self.progress, checks=False
            )
        except FrftError as error:
            self._why_no_rows = str(error)
        return None

    @cached_property
    def world(self) -> World | None:
        """The world of the run, whose gold reward judges."""
        try:
            dials = self.results.world
        except UsageError as error:
            raise UsageError(
                f"{self.out}: {error}, whose gold reward this version cannot compute. Run it again with this version."
            ) from None
        return None if dials is None else World(dials)

    @cached_property
    def judge(self) -> Judge | None:
        """The judge: the gold reward in a world, else the one of the win rates; None: it cannot be opened."""
        if self.world is not None:
            return GoldJudge(self.world)
        if not isinstance(self.results.judge, NamedJudgeFigures):
            path, trust = self.out / "judge", self.results.trusts_remote_code
            return RewardJudge(RewardModel.load(path, seed=0, trust_remote_code=trust))
        named = None if self.rows is None else self.rows[1].context.named_judge
        try:
            return None if named is None else named.open()
        except FrftError as error:
            self._why_no_judge = str(error)
            return None

    def _inputs(self, stage: str) -> EvaluationInputs:
        """The inputs of an evaluation, as its manifest lists them."""
        path = self.out / "stages" / stage / MANIFEST
        if not path.is_file():
            raise ArtifactError(
                f"{path} is missing. Start the run again with the same command, which rebuilds what is missing."
            )
        return EvaluationInputs.of(read_manifest(path.parent, older=True)["inputs"], path)

    def _model_info(self, evaluation: EvaluationInputs) -> RewardModelInfo | RefreshedModelInfo | None:
        """Figures of the reward model that a policy was trained with last; None for an ensemble."""
        model = evaluation.reward
        return None if isinstance(model, list) else self._reward_info(model)

    def _reward_info(self, model: StageReference) -> RewardModelInfo | RefreshedModelInfo:
        folder = self._stage(model)
        return info_of_model(read_manifest(folder, older=True)["info"], model.artifact, folder / MANIFEST)

    def _stage(self, of: StageReference) -> Path:
        return self.out / "stages" / f"{of.artifact}-{of.digest[:DIGEST_CHARACTERS]}"

    def _scorer(
        self, models: StageReference | list[StageReference], coef: float | None
    ) -> tuple[Scorer, float | None, float]:
        """A reward model with its gain and bias; or an ensemble (`coef` given), whose gain is None and bias 0."""
        loaded = [
            RewardModel.load(self._stage(each), seed=0, trust_remote_code=self.results.trusts_remote_code)
            for each in (models if isinstance(models, list) else [models])
        ]
        if coef is not None:
            return RewardModelEnsemble(loaded, coef), None, 0.0
        return loaded[0], loaded[0].gain, loaded[0].bias

    def _scored(self, evaluation: EvaluationInputs, scorer: Scorer) -> Scored:
        parts = (evaluation.own, evaluation.second)
        rows = [row for part in parts for row in read_written(self._stage(part) / COMPLETIONS)]
        prompts, completions = [row.prompt for row in rows], [row.completion for row in rows]
        # All arms start from one SFT model, whose completions the judge need score only once.
        key = tuple(part.digest for part in parts)
        if key not in self._judged and isinstance(self.judge, ScoringJudge):
            self._judged[key] = self.judge.score(prompts, completions)
        asked = None if self.world is None else self.world.request_ids(prompts)
        return Scored(prompts, completions, scorer.score(prompts, completions), self._judged.get(key), asked)

    def _off_policy(self, scorer: Scorer) -> OrderAccuracy | None:
        """How often the reward model orders held-out pairs as the judge does; None without pairs or judge."""
        if self.rows is None or self.judge is None:
            return None
        return agreement(scorer, self.judge, self.rows[0].splits.evaluation)

    def _course(self, arm: ArmFigures) -> Course | None:
        """The course since the last accepted refresh or restart: scores of two reward models have no common scale."""
        begin = max((*(made.after_step for made in arm.accepted), *arm.restarted_after), default=0)
        steps = [row for row in arm.ppo if row.step > begin]
        if not steps or self.world is not None:
            return course_of(steps, [math.nan if row.gold is None else row.gold for row in steps])
        if not isinstance(self.judge, ScoringJudge):
            return course_of(steps, None)
        rollouts = [row for name in arm.stages for row in read_rollouts(self.out / "stages" / name / ROLLOUTS)]
        own = [row for row in rollouts if row.step > begin]
        return course_of(steps, means_by_step(own, self.judge.score, JUDGED_ROLLOUTS // len(steps)))

    def _selected(self, name: str, arm: ArmFigures, unmeasured: list[str]) -> Selected | None:
        if not arm.accepted:
            return None
        made = arm.accepted[-1]
        number = arm.refreshes.index(made) + 1
        path = shown_selection(self.out, name, number)
        try:
            selection = Selection.read(path)
        except ArtifactError as error:
            unmeasured.append(f"the selection: {error}")
            return None
        table, sources, similarity = selection.table, None, None
        kept_N = np.array(table["kept"].to_pylist(), dtype=bool)
        if self.rows is not None and not get_strategy(made.selection.strategy).takes_all:
            pool = self.rows[0].splits.pool
            of = dict(zip(pool["id"].to_pylist(), range(pool.num_rows), strict=True))
            ids = table["id"].to_pylist()
            # Freshly labelled pairs are not in the pool, which knows neither their sources nor their vectors.
            if all(id_ in of for id_ in ids):
                rows_N = np.array([of[id_] for id_ in ids])
                columns = [each for each in pool.column_names if each.endswith("source")]
                # A missing source gets a name of its own, so that unknown ones do not look like one large source.
                sources = {
                    column: [
                        f"unknown {row}" if each is None else str(each)
                        for row, each in enumerate(pool[column].take(rows_N).to_pylist())
                    ]
                    for column in columns
                }
                if made.selection.embedder is not None:
                    similarity = self._similarity(pool, rows_N, kept_N)
        cosines = [
            np.array(table[side].to_pylist(), dtype=np.float64) for side in ("similarity_chosen", "similarity_rejected")
        ]
        return Selected(kept_N, sum(table["copies"].to_pylist()), cosines[0], cosines[1], sources, similarity)

    def _similarity(self, pool: Any, rows_N: Any, kept_N: Any) -> tuple[float, float] | None:
        """Mean cosine among the kept pairs' texts, and among all candidates'; their vectors must be cached."""
        from frft.diagnosis.symptoms import self_similarity

        sides = [pool[side].to_pylist() for side in ("chosen", "rejected")]
        found = [
            self_similarity(self.embed([texts[row] for texts in sides for row in rows]))
            for rows in (rows_N[kept_N], rows_N)
        ]
        return None if found[0] is None or found[1] is None else (found[0], found[1])
