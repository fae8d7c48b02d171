"""Fresh labels: which pairs to label, by whom, and what the labels say of sources and labellers."""

from frft.labels.agreed_pairs import ConsensusPairs, consensus_pairs
from frft.labels.asking import AskReport, GivenLabel, LabelBudget, LabelCost, Labeller, ask_labeller
from frft.labels.candidates import ALL_PAIRS, LabelCandidate, LabelCandidates, policy_candidates, pool_candidates
from frft.labels.choosing import CandidateEvidence, Look, choose_pairs
from frft.labels.collecting import collect_labels
from frft.labels.draw import DrawnQuestions, DrawShares, draw_questions
from frft.labels.exchange import ImportReport, export_questions, import_answers
from frft.labels.labelled_pairs import LabelledAnswers, labelled_answers, labelled_candidates
from frft.labels.labellers import (
    FunctionLabeller,
    NamedLabeller,
    NoisyLabeller,
    PreferenceFunction,
    given_label,
    named_labeller,
)
from frft.labels.queue import LabelCounts, LabelQueue, QueueWriter, open_queue, read_queue, write_queue
from frft.labels.rows import (
    CHOICES,
    PURPOSES,
    QUEUE_FORMAT,
    AskedBatch,
    Choice,
    LabelAnswer,
    LabelQuestion,
    Purpose,
    QueueHead,
)
from frft.labels.sequential import audit_boundary, can_still_decide, sequential_p_value
from frft.labels.source_audit import AuditedSource, LabelAudit, audit_labels
from frft.labels.summary import (
    LabellerAgreement,
    LabellerSummary,
    PairAgreement,
    QueueSummary,
    RepeatConsistency,
    labeller_agreement,
    repeat_consistency,
    summarise_queue,
)

__all__ = [
    "ALL_PAIRS",
    "CHOICES",
    "PURPOSES",
    "QUEUE_FORMAT",
    "AskReport",
    "AskedBatch",
    "AuditedSource",
    "CandidateEvidence",
    "Choice",
    "ConsensusPairs",
    "DrawShares",
    "DrawnQuestions",
    "FunctionLabeller",
    "GivenLabel",
    "ImportReport",
    "LabelAnswer",
    "LabelAudit",
    "LabelBudget",
    "LabelCandidate",
    "LabelCandidates",
    "LabelCost",
    "LabelCounts",
    "LabelQuestion",
    "LabelQueue",
    "LabelledAnswers",
    "Labeller",
    "LabellerAgreement",
    "LabellerSummary",
    "Look",
    "NamedLabeller",
    "NoisyLabeller",
    "PairAgreement",
    "PreferenceFunction",
    "Purpose",
    "QueueHead",
    "QueueSummary",
    "QueueWriter",
    "RepeatConsistency",
    "ask_labeller",
    "audit_boundary",
    "audit_labels",
    "can_still_decide",
    "choose_pairs",
    "collect_labels",
    "consensus_pairs",
    "draw_questions",
    "export_questions",
    "given_label",
    "import_answers",
    "labelled_answers",
    "labelled_candidates",
    "labeller_agreement",
    "named_labeller",
    "open_queue",
    "policy_candidates",
    "pool_candidates",
    "read_queue",
    "repeat_consistency",
    "sequential_p_value",
    "summarise_queue",
    "write_queue",
]
