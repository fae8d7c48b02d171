"""Comparison of policies: judges, win rates with intervals, rankings, and scores on tasks."""

from frft.evaluation.annotations import StoredAnnotations
from frft.evaluation.chat import ChatJudge, ChatUsage, kept_replies
from frft.evaluation.judge import Judge, ScoringJudge, counts_in_words
from frft.evaluation.judge_labeller import JudgeLabeller
from frft.evaluation.length import LengthControlled, length_controlled, prompt_difficulty
from frft.evaluation.matching import Matched, match
from frft.evaluation.ranking import Ranked, rank
from frft.evaluation.scoring_judges import GoldJudge, RewardJudge
from frft.evaluation.task_scores import TaskDifference, TaskScore, TaskScores, compare_tasks
from frft.evaluation.tasks import check_tasks, run_tasks
from frft.evaluation.winrate import Comparison, WinRate, compare, rate_of, win_rate

__all__ = [
    "ChatJudge",
    "ChatUsage",
    "Comparison",
    "GoldJudge",
    "Judge",
    "JudgeLabeller",
    "LengthControlled",
    "Matched",
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
    "kept_replies",
    "length_controlled",
    "match",
    "prompt_difficulty",
    "rank",
    "rate_of",
    "run_tasks",
    "win_rate",
]
