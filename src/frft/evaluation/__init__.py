"""Which of two policies writes better, and whether a reward model knows: judges, win rates, accuracies, intervals."""

from frft.evaluation.annotations import StoredAnnotations
from frft.evaluation.chat import ChatJudge, ChatUsage, kept_replies
from frft.evaluation.judge import GoldJudge, Judge, RewardJudge, ScoringJudge, counts_in_words
from frft.evaluation.judge_names import JudgeKind, JudgeRequest, NamedJudge, judge_kinds, named_judge, unread_options
from frft.evaluation.length import LengthControlled, length_controlled, prompt_difficulty
from frft.evaluation.matching import Matched, match
from frft.evaluation.ranking import Ranked, rank
from frft.evaluation.task_scores import TaskDifference, TaskScore, TaskScores, compare_tasks
from frft.evaluation.tasks import check_tasks, run_tasks
from frft.evaluation.winrate import Comparison, WinRate, compare, rate_of, win_rate

__all__ = [
    "ChatJudge",
    "ChatUsage",
    "Comparison",
    "GoldJudge",
    "Judge",
    "JudgeKind",
    "JudgeRequest",
    "LengthControlled",
    "Matched",
    "NamedJudge",
    "Ranked",
    "RewardJudge",
    "ScoringJudge",
    "StoredAnnotations",
    "TaskDifference",
    "TaskScore",
    "TaskScores",
    "WinRate",
    "check_tasks",
    "compare",
    "compare_tasks",
    "counts_in_words",
    "judge_kinds",
    "kept_replies",
    "length_controlled",
    "match",
    "named_judge",
    "prompt_difficulty",
    "rank",
    "rate_of",
    "run_tasks",
    "unread_options",
    "win_rate",
]
