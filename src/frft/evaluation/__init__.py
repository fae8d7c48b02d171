"""Which of two policies writes better, and whether a reward model knows: judges, win rates, accuracies, intervals."""

from frft.evaluation.accuracy import OrderAccuracy, order_accuracy, within_prompt_variance
from frft.evaluation.annotations import StoredAnnotations
from frft.evaluation.chat import ChatJudge, ChatUsage
from frft.evaluation.interval import holm, rate_interval, rate_p_value
from frft.evaluation.judge import Judge, RewardJudge
from frft.evaluation.length import LengthControlled, length_controlled, prompt_difficulty
from frft.evaluation.matching import Matched, match
from frft.evaluation.power import prompts_needed
from frft.evaluation.ranking import Ranked, rank
from frft.evaluation.task_scores import TaskDifference, TaskScore, TaskScores, compare_tasks
from frft.evaluation.tasks import check_tasks, run_tasks
from frft.evaluation.winrate import Comparison, WinRate, compare, rate_of, win_rate

__all__ = [
    "ChatJudge",
    "ChatUsage",
    "Comparison",
    "Judge",
    "LengthControlled",
    "Matched",
    "OrderAccuracy",
    "Ranked",
    "RewardJudge",
    "StoredAnnotations",
    "TaskDifference",
    "TaskScore",
    "TaskScores",
    "WinRate",
    "check_tasks",
    "compare",
    "compare_tasks",
    "holm",
    "length_controlled",
    "match",
    "order_accuracy",
    "prompt_difficulty",
    "prompts_needed",
    "rank",
    "rate_interval",
    "rate_of",
    "rate_p_value",
    "run_tasks",
    "win_rate",
    "within_prompt_variance",
]
