"""Which of two policies writes better: judges, win rates and their intervals."""

from frft.evaluation.judge import Judge, RewardJudge
from frft.evaluation.winrate import WinRate, win_rate

__all__ = ["Judge", "RewardJudge", "WinRate", "win_rate"]
