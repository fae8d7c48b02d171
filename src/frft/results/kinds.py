"""The class of the figures (`info` in the manifest) of every kind of stage."""

from __future__ import annotations

from frft.results.evaluation import EvaluationInfo, OwnTextAccuracy
from frft.results.infos import (
    AgreementInfo,
    CompletionsInfo,
    EmbeddedInfo,
    JudgedInfo,
    LabelledInfo,
    LikelihoodsInfo,
    LogRatiosInfo,
    SegmentInfo,
    SFTInfo,
)
from frft.results.looks import LookInfo
from frft.reward import AuditInfo, GateInfo, LabelsInfo, RefreshedModelInfo, RewardModelInfo, SelectionInfo
from frft.store.artifact import InfoKind

INFO_OF_KIND: dict[str, type[InfoKind]] = {
    "sft": SFTInfo,
    "reward": RewardModelInfo,
    "judge": RewardModelInfo,
    "completions": CompletionsInfo,
    "ppo": SegmentInfo,
    "rloo": SegmentInfo,
    "grpo": SegmentInfo,
    "selection": SelectionInfo,
    "refresh": RefreshedModelInfo,
    "gate": GateInfo,
    "labelled": LabelledInfo,
    "labels": LabelsInfo,
    "audit": AuditInfo,
    "likelihoods": LikelihoodsInfo,
    "log_ratios": LogRatiosInfo,
    "on_policy": OwnTextAccuracy,
    "judged": JudgedInfo,
    "agreement": AgreementInfo,
    "embedded": EmbeddedInfo,
    "look": LookInfo,
    "evaluation": EvaluationInfo,
}
"""The class of the figures, by kind of stage: the first part of its folder's name."""
