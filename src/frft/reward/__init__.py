"""The reward model: load, score, normalise, train, evaluate, and keep it where the policy writes."""

from frft.reward.aligned import AlignedReward
from frft.reward.ensemble import FrozenEnsembleReward
from frft.reward.evaluate import RewardEvaluation, evaluate_reward_model
from frft.reward.gate import why_refused
from frft.reward.identity import model_identity, pairs_identity
from frft.reward.infos import (
    AuditInfo,
    FreshPairs,
    GateInfo,
    GateLabels,
    LabelsInfo,
    RefreshedModelInfo,
    RefreshedModelSummary,
    RewardModelInfo,
    RewardModelSummary,
    SelectionInfo,
)
from frft.reward.model import RewardModel
from frft.reward.pairs import requests, score_margins
from frft.reward.picking import PairFeatures, look_at_pairs, pair_features
from frft.reward.refresh import Refresh
from frft.reward.samples import PolicySamples
from frft.reward.spread import ScoreSpread, spread_of_scores
from frft.reward.stages import Labelling
from frft.reward.train import TrainReport, TrainSummary, train_reward_model

__all__ = [
    "AlignedReward",
    "AuditInfo",
    "FreshPairs",
    "FrozenEnsembleReward",
    "GateInfo",
    "GateLabels",
    "Labelling",
    "LabelsInfo",
    "PairFeatures",
    "PolicySamples",
    "Refresh",
    "RefreshedModelInfo",
    "RefreshedModelSummary",
    "RewardEvaluation",
    "RewardModel",
    "RewardModelInfo",
    "RewardModelSummary",
    "ScoreSpread",
    "SelectionInfo",
    "TrainReport",
    "TrainSummary",
    "evaluate_reward_model",
    "look_at_pairs",
    "model_identity",
    "pair_features",
    "pairs_identity",
    "requests",
    "score_margins",
    "spread_of_scores",
    "train_reward_model",
    "why_refused",
]
