"""Whether the reward can be trusted during and after training.

A `Subject` holds what is known of a reward model and a policy; `diagnose` computes from it the links of objective
mismatch, the alarms, the symptoms of over-optimisation and Gao's curve, each of which is also a function of its own.
"""

from frft.diagnosis.diagnosis import Diagnosis, DiagnosisFigures, diagnose
from frft.diagnosis.drift import auc_by_prompt, measure_drift
from frft.diagnosis.links import Link, Movement, moved, policy_to_evaluation, training_to_evaluation, training_to_policy
from frft.diagnosis.overoptimisation import GaoFit, fit_gao
from frft.diagnosis.parts import compared, load_judge_scores, subject_of_parts
from frft.diagnosis.refresh import refresh_alarms
from frft.diagnosis.subject import Course, RewardSpread, Scored, Selected, Subject
from frft.diagnosis.symptoms import Symptom, measure_symptoms
from frft.diagnosis.verdict import Ground, RewardVerdict, verdict_of
from frft.reward.alarm import Alarm

__all__ = [
    "Alarm",
    "Course",
    "Diagnosis",
    "DiagnosisFigures",
    "GaoFit",
    "Ground",
    "Link",
    "Movement",
    "RewardSpread",
    "RewardVerdict",
    "Scored",
    "Selected",
    "Subject",
    "Symptom",
    "auc_by_prompt",
    "compared",
    "diagnose",
    "fit_gao",
    "load_judge_scores",
    "measure_drift",
    "measure_symptoms",
    "moved",
    "policy_to_evaluation",
    "refresh_alarms",
    "subject_of_parts",
    "training_to_evaluation",
    "training_to_policy",
    "verdict_of",
]
