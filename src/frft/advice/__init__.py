"""Before any training: what pairs and samples say about whether a refresh will help here, and how sure that is."""

from frft.advice.advice import Advice, advise
from frft.advice.evidence import Evidence, gather_evidence
from frft.advice.model import PREDICTED_OUTCOMES, KnownExperiment
from frft.advice.predictor import Predictor, fit_predictor, fit_with_tests, packaged_predictor

__all__ = [
    "PREDICTED_OUTCOMES",
    "Advice",
    "Evidence",
    "KnownExperiment",
    "Predictor",
    "advise",
    "fit_predictor",
    "fit_with_tests",
    "gather_evidence",
    "packaged_predictor",
]
