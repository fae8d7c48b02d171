"""The table of all failure signatures, which diagnoses, measurements in training, gates and reports go through."""

from frft.diagnosis.alarms.reward_model import SIGNATURES_OF_REWARD_MODELS
from frft.diagnosis.alarms.selection import SIGNATURES_OF_SELECTIONS
from frft.diagnosis.alarms.signature import FailureSignature
from frft.diagnosis.alarms.training import SIGNATURES_OF_OVER_OPTIMISATION, STUCK

FAILURE_SIGNATURES: tuple[FailureSignature, ...] = (
    *SIGNATURES_OF_REWARD_MODELS,
    STUCK,
    *SIGNATURES_OF_SELECTIONS,
    *SIGNATURES_OF_OVER_OPTIMISATION,
)
"""Every failure that is looked for, in the order of reports."""
