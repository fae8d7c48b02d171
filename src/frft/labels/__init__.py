"""Fresh labels: which pairs to label, by whom, and what the labels say of sources and labellers."""

from frft.labels.candidates import LabelCandidate, LabelCandidates, policy_candidates, pool_candidates
from frft.labels.draw import DrawnQuestions, DrawShares, draw_questions
from frft.labels.labelled_pairs import LabelledAnswers, labelled_answers
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

__all__ = [
    "CHOICES",
    "PURPOSES",
    "QUEUE_FORMAT",
    "AskedBatch",
    "Choice",
    "DrawShares",
    "DrawnQuestions",
    "LabelAnswer",
    "LabelCandidate",
    "LabelCandidates",
    "LabelCounts",
    "LabelQuestion",
    "LabelQueue",
    "LabelledAnswers",
    "Purpose",
    "QueueHead",
    "QueueWriter",
    "draw_questions",
    "labelled_answers",
    "open_queue",
    "policy_candidates",
    "pool_candidates",
    "read_queue",
    "write_queue",
]
