"""The sections of a run's configuration. Each field is read somewhere; a test proves it.

Names follow Hugging Face's where it has one. Units stand in the descriptions.
"""

from frft.config.sections.base import Section
from frft.config.sections.benchmark import FixedActorConfig, OwnPromptsConfig, Start
from frft.config.sections.data import DataConfig
from frft.config.sections.evaluation import EvaluationConfig, JudgeOptions
from frft.config.sections.labels import LabelsConfig
from frft.config.sections.models import (
    EmbedderConfig,
    LoraConfig,
    PolicyConfig,
    RewardModelConfig,
    ScratchConfig,
    TrainConfig,
)
from frft.config.sections.monitor import MonitorConfig
from frft.config.sections.picks import PickConfig, PickName
from frft.config.sections.refresh import GateConfig, RefreshConfig, SamplingConfig, SelectionConfig
from frft.config.sections.training import GroupConfig, PPOConfig
from frft.config.sections.world import WorldConfig

__all__ = [
    "DataConfig",
    "EmbedderConfig",
    "EvaluationConfig",
    "FixedActorConfig",
    "GateConfig",
    "GroupConfig",
    "JudgeOptions",
    "LabelsConfig",
    "LoraConfig",
    "MonitorConfig",
    "OwnPromptsConfig",
    "PPOConfig",
    "PickConfig",
    "PickName",
    "PolicyConfig",
    "RefreshConfig",
    "RewardModelConfig",
    "SamplingConfig",
    "ScratchConfig",
    "Section",
    "SelectionConfig",
    "Start",
    "TrainConfig",
    "WorldConfig",
]
