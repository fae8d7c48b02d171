"""The stage of a refresh that has pairs of the policy's own texts labelled."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from frft.config.sections import LabelsConfig
from frft.conversation import opening
from frft.errors import SelectionError
from frft.labels import (
    DrawShares,
    LabelBudget,
    LabelQuestion,
    LabelQueue,
    NamedLabeller,
    collect_labels,
    draw_questions,
    labelled_answers,
    labelled_candidates,
    policy_candidates,
    read_queue,
    summarise_queue,
)
from frft.labels.asking import spent_on
from frft.models import TruncationCount, seed_for
from frft.reward.identity import model_identity
from frft.reward.infos import AuditInfo, LabelsInfo
from frft.reward.picking import look_at_pairs
from frft.reward.refresh import LABELS_FILE, PAIRS_FILE, Refresh
from frft.reward.samples import PolicySamples
from frft.reward.stages.inputs import RefreshInputs
from frft.stages import Stage, Workload
from frft.store import Artifact, digest_of, plain_inputs


@dataclass(frozen=True)
class Labelling:
    """What the fresh labels of one refresh are asked for, and of whom.

    Attributes:
        config: budget and rule.
        labeller: who gives them.
        texts: completions of the policy as it is now, two or more for a prompt.
        step: PPO steps after which it wrote them; None: unknown.
        earlier: labels of earlier refreshes, oldest first, whose pairs are not asked about again.
        audits: audits of earlier refreshes, oldest first, whose decisions hold.
        gates: gates of earlier refreshes; pairs that they asked about are not asked about again either.
    """

    config: LabelsConfig
    labeller: NamedLabeller
    texts: PolicySamples
    step: int | None = None
    earlier: tuple[Artifact, ...] = ()
    audits: tuple[Artifact, ...] = ()
    gates: tuple[Artifact, ...] = ()

    @classmethod
    def of(
        cls,
        config: LabelsConfig,
        labeller: NamedLabeller,
        texts: PolicySamples,
        step: int | None,
        refreshes: Sequence[Refresh],
    ) -> Self:
        """What a refresh asks for that comes after these, whose labels, audits and gates it knows."""
        return cls(
            config,
            labeller,
            texts,
            step,
            earlier=tuple(each.labels for each in refreshes if each.labels is not None),
            audits=tuple(each.audit for each in refreshes if each.audit is not None),
            gates=tuple(each.gate for each in refreshes if each.gate is not None),
        )

    @property
    def limit_settings(self) -> dict[str, Any]:
        """The budget in tokens and cost, where there is one: what decides how many questions are answered."""
        return self.config.model_dump(include={"budget_tokens", "budget_cost"}, exclude_none=True)

    @property
    def kept(self) -> tuple[Artifact, ...]:
        """The earlier labels that this refresh trains on again, oldest first (`labels.keep`)."""
        keep = self.config.keep
        return self.earlier if keep is None else self.earlier[len(self.earlier) - min(keep, len(self.earlier)) :]


@dataclass(frozen=True)
class LabellingStage(Stage):
    """Draws questions and has them answered.

    Its artifact holds labels.jsonl, the file of labels, and pairs.parquet, the answers as preference pairs.

    Attributes:
        given: models, pairs and settings of the refresh; another one draws other pairs.
        labelling: what is asked for.
        audit: the audit that has taken its part of the budget; None: there is none.
    """

    given: RefreshInputs
    labelling: Labelling
    audit: Artifact | None = None

    kind = "labels"

    @cached_property
    def _seed(self) -> int:
        return seed_for(self.given.seed, "labels", self.given.number)

    def inputs(self) -> Mapping[str, Any]:
        of, config = self.labelling, self.labelling.config
        # What decides how labels are used, and not which there are, is left out: arms share labels.
        rule = {"pick": config.pick, **config.read_settings(1)}
        shares = config.model_dump(mode="json", include={"test_share", "repeat_share"})
        return {
            "texts": of.texts.identity,
            "step": of.step,
            "labels": {"budget": self.given.config.labels_to_train, **shares, **rule, **of.limit_settings},
            "labeller": of.labeller.identity,
            "earlier": list(of.earlier),
            "seed": self._seed,
            **({"gates": list(of.gates)} if of.gates else {}),
            **({"audit": self.audit} if self.audit is not None else {}),
            **({"model": model_identity(self.given.current)} if config.reads_models else {}),
            **({"embedder": self.given.vectors.embedder.digest} if config.embeds else {}),
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        of, config = self.labelling, self.labelling.config
        budget = self.given.config.labels_to_train - (0 if self.audit is None else self.audit.info_as(AuditInfo).asked)
        prompts, completions = of.texts.load()
        earlier = [read_queue(each.path / LABELS_FILE) for each in of.earlier]
        candidates = policy_candidates(prompts, completions, step=of.step)
        candidates = candidates.without(questions_of([*of.earlier, *of.gates]))
        look = partial(
            look_at_pairs,
            config,
            models=[self.given.load()] if config.reads_models else [],
            labelled=labelled_candidates(earlier),
            vectors=self.given.vectors if config.embeds else None,
            texts=completions if config.embeds else (),
            progress=self.given.progress,
        )
        drawn = draw_questions(
            candidates,
            budget,
            seed=self._seed,
            shares=DrawShares("train", config.test_share, config.repeat_share),
            rule=config,
            look=look,
            # The current model may have learned these, whether they are kept or not.
            trained={opening(each.prompt) for each in questions_of(of.earlier) if each.purpose == "train"},
        )
        path = file_of_labels(self, of.labeller, self.given.number, folder)
        queue = collect_labels(
            path,
            drawn,
            of.labeller,
            pick=config.pick,
            seed=self._seed,
            budget=budget,
            progress=self.given.progress,
            limits=limits_left(of, [self.audit]),
        )
        if path.parent != folder:
            shutil.copyfile(path, folder / LABELS_FILE)
        return _write_pairs(queue, config.pick, of.labeller.name, folder / PAIRS_FILE).as_dict()

    def flops(self, workload: Workload) -> float:
        # What a labeller takes is not known; a rule may look at two texts a candidate.
        config, texts = self.labelling.config, 2 * self.labelling.config.max_candidates
        if config.embeds:
            return workload.embedding_flops(texts * workload.completion)
        return workload.flops(texts * workload.read_tokens(self.given.training)) if config.reads_models else 0.0

    def memory(self, workload: Workload) -> float:
        config = self.labelling.config
        if config.embeds:
            return workload.embedding_bytes()
        return workload.classifier_bytes(self.given.training) if config.reads_models else 0.0

    def embeds(self) -> str | None:
        return digest_of(plain_inputs(self.labelling.texts.identity)) if self.labelling.config.embeds else None


def questions_of(made: Iterable[Artifact]) -> list[LabelQuestion]:
    """The questions that stages asked; none of one that had nothing to ask."""
    files = [each.path / LABELS_FILE for each in made]
    return [question for file in files if file.exists() for question in read_queue(file).questions.values()]


def limits_left(labelling: Labelling, made: Iterable[Artifact | None]) -> LabelBudget | None:
    """What is left of a refresh's budget in tokens and cost after the labels of these stages; None: nothing is.

    Without such a budget, there is no limit.
    """
    tokens, cost = labelling.config.budget_tokens, labelling.config.budget_cost
    files = [each.path / LABELS_FILE for each in made if each is not None]
    for queue in (read_queue(file) for file in files if file.exists()):
        for name in queue.labellers:
            _, used, paid = spent_on(queue, name)
            tokens = None if tokens is None else tokens - used
            cost = None if cost is None else cost - paid
    if any(left is not None and left <= 0 for left in (tokens, cost)):
        return None
    return LabelBudget(None, tokens, cost)


def file_of_labels(stage: Stage, labeller: NamedLabeller, number: int, folder: Path) -> Path:
    """Where the labels of a stage are collected: in its own folder, or where they outlive it (`NamedLabeller.folder`).

    Args:
        stage: the stage that asks; its inputs are the name of a file that outlives it.
        labeller: who is asked.
        number: refreshes of the reward before this one.
        folder: the folder that the stage fills.
    """
    if labeller.folder is None:
        return folder / LABELS_FILE
    digest = digest_of(plain_inputs(stage.inputs()))[:12]
    return labeller.folder / f"{stage.kind}-{number + 1}-{digest}.jsonl"


def _write_pairs(queue: LabelQueue, pick: str, labeller: str, path: Path) -> LabelsInfo:
    import pyarrow.parquet as pq

    made = labelled_answers(queue, purposes=("train", "test"))
    train, counts = made.table["purpose"].to_pylist().count("train"), queue.counts()
    # Where there is no limit, all are asked; without a usable reply, a question stays open all the same.
    not_asked = counts.pending - counts.failed
    if not train:
        left_out = {**made.left_out, **({"not asked, for the budget was spent": not_asked} if not_asked else {})}
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise SelectionError(
            f"Of {len(queue.questions)} questions to {labeller}, none to train on was answered by one of the two sides "
            f"({reasons or 'there are no answers'}). Raise labels.budget, or ask another labeller."
        )
    pq.write_table(made.table, path)
    drawn = dict(queue.head.counts)
    truncated = None
    if "prompts_truncated" in drawn:
        cut = (drawn.pop("prompts_truncated"), drawn.pop("completions_truncated"))
        truncated = TruncationCount(2 * drawn["looked_at"], *cut)
    return LabelsInfo(
        labeller=labeller,
        pick=pick,
        budget=queue.head.budget,
        drawn=drawn,
        truncated=truncated,
        train=train,
        test=made.table.num_rows - train,
        left_out=dict(made.left_out),
        unanswered=counts.pending - not_asked,
        not_asked=not_asked or None,
        labellers=summarise_queue(queue).labellers,
    )
