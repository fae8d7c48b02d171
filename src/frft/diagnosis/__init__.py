"""Whether the reward can be trusted: before any training (will a refresh help?), and while and after it.

Before: `evidence`, `advise`. While and after: a `Subject` is what is there of a reward model and a policy; `diagnose`
makes of it the links of objective mismatch, alarms, symptoms and Gao's curve, each of which is a function of its own.
"""

from frft.diagnosis.alarms import Alarm
from frft.diagnosis.diagnose import Diagnosis, diagnose
from frft.diagnosis.drift import auc_by_prompt, drift
from frft.diagnosis.links import Link, Movement, moved, policy_to_evaluation, training_to_evaluation, training_to_policy
from frft.diagnosis.overoptimisation import GaoFit, fit_gao
from frft.diagnosis.parts import load_judge_scores, subject_of_parts
from frft.diagnosis.refresh import refresh_alarms
from frft.diagnosis.subject import Course, Scored, Selected, Spread, Subject
from frft.diagnosis.symptoms import Symptom, symptoms

__all__ = [
    "Alarm",
    "Course",
    "Diagnosis",
    "GaoFit",
    "Link",
    "Movement",
    "Scored",
    "Selected",
    "Spread",
    "Subject",
    "Symptom",
    "auc_by_prompt",
    "diagnose",
    "drift",
    "fit_gao",
    "load_judge_scores",
    "moved",
    "policy_to_evaluation",
    "refresh_alarms",
    "subject_of_parts",
    "symptoms",
    "training_to_evaluation",
    "training_to_policy",
]
