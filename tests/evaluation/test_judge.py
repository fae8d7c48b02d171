"""What judges have counted, in words."""

from __future__ import annotations

from frft.evaluation import counts_in_words


def test_what_a_judge_counted_in_words():
    questions = {"judged": 3, "prompt_tokens": 10}
    cut = {"sequences": 4, "prompts_truncated": 1, "completions_truncated": 2}
    assert counts_in_words({"questions": questions, "cost": 0.5}) == [
        "Questions: 3 judged, 10 prompt tokens.",
        "Cost: 0.5000.",
    ]
    assert counts_in_words({"annotated_pairs": 9, "without_verdict": 7}) == [
        "The annotations hold verdicts on 9 different pairs.",
        "7 annotations have no verdict (null), and are not used.",
    ]
    assert counts_in_words({"truncated": cut, "max_length": 64}) == [
        "Of 4 texts that the judge read, 1 lost the beginning of their prompt and 2 the end of their completion "
        "(longer than 64 tokens)."
    ]
    assert counts_in_words({"truncated": dict.fromkeys(cut, 0), "max_length": 64, "cost": None}) == []
