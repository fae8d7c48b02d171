"""Before any training: what pairs and samples say about whether a refresh will help here, and how sure that is."""

from frft.advice.advice import Advice, advise
from frft.advice.evidence import Evidence, gather_evidence
from frft.advice.predictor import KnownExperiment, Predictor, fit_predictor, packaged_predictor

__all__ = [
    "Advice",
    "Evidence",
    "KnownExperiment",
    "Predictor",
    "advise",
    "fit_predictor",
    "gather_evidence",
    "packaged_predictor",
]
