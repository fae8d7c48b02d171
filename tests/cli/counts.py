"""Which counts of `--json` the text of a command must say, and by which words."""

from __future__ import annotations

import re
from collections.abc import Iterator

MUST_BE_SAID = {
    "trained_parameters": "[Ww]eights trained",
    "annotated_pairs": "verdicts on",
    "completions_truncated": "the end of their completion",
    "compared": "were compared",
    "contradictions": "contradictions",
    "duplicates": "duplicates",
    "actors.a": "against",
    "conversations.one": "conversations",
    "conversations.two": "conversations",
    "flips": "flips",
    "identical": "left out|Questions",
    "judged": "Questions",
    "missing field": "missing field",
    "missing": "could not be read",
    "unknown format": "unknown format",
    "agreement.cut": "Not compared",
    "agreement.named": "Not compared",
    "agreement.refused": "Not compared",
    "bos": "times",
    "ends_in_padding": "end with the padding token",
    "forms.trl": "trl",
    "other_tokens": "other tokens",
    "pairs.of": "pairs",
    "parameters": "parameters",
    "samples.of": "samples",
    "n_to_settle": "prompts would show",
    "near_pairs": "Near the policy|[Nn]ear it|near your policy",
    "prompts_truncated": "lost the beginning of their prompt|lost their beginning",
    "repeated": "repeat|once",
    "repeated_prompts": "repeat",
    "without_eos": "end",
    "prompt_tokens": "Questions",
    "completion_tokens": "Questions",
    "rejected": "rejected",
    "blank": "without text",
    "alone": "alone for a prompt",
    "candidates": "[Tt]o choose from",
    "asked_before": "--not-in",
    "looked_at": "looked at",
    "not_looked_at": "not looked at",
    "test_conversations": "tested on",
    "labelled": "[Ll]abelled before",
    "beyond_window": "embedder's window",
    "questions": "questions|Questions",
    "repeat": "repetitions",
    "other_source": "another source",
    "sources.a": "each source",
    "sources.b": "each source",
    "sources.c": "each source",
    "sources.all": "each source",
    "agreements": "agrees",
    "disagreements": "agrees/not",
    "skips": "skips",
    "unused": "Not used",
    "open": "open",
    "audit": "audit",
    "alpha.answers": "alpha",
    "undefined_draws": "bootstrap",
    "agree": "agree in",
    "both_tie": "both",
    "one_tie": "tie",
    "sure": "settled",
    "audits.labels": "labels",
    "arm.labels": "labels",
    "gates.labels": "labels",
    "sources": "sources together",
    "left_out.tie": "left out: .*tie",
    "left_out.skip": "left out: .*skip",
    "left_out.test": "left out: .*test",
    "left_out.repeat": "left out: .*repeat",
    "added": "answers? added",
    "known": "already",
    "empty": "without an answer",
    "answered": "answered",
    "skipped": "skipped",
    "pending": "open",
    "failed": "failed|usable reply|open",
    "purposes.test": "test",
    "left": "left",
    "right": "right",
    "tie": "tie",
    "undone": "undone",
    "repeats": "repetitions",
    "same": "answered as before",
    "exchanged": "exchanged sides",
    "same_side": "same side",
    "tokens": "tokens",
    "unmatched.first": "no partner",
    "unmatched.second": "no partner",
    "sequences": "lost the beginning",
    "single": "one completion",
    "alpha.single": "fewer than two",
    "counts.test": "test",
    "samples_empty": "have no text",
    "ties": "ties|W / T / L|equal scores",
    "truncated.prompts": "embedder's window",
    "truncated.chosen": "embedder's window",
    "truncated.rejected": "embedder's window",
    "truncated.samples": "embedder's window",
    "unjudged": "no verdict in both orders",
    "vocabulary.after": "vocabulary grew",
    "vocabulary.before": "vocabulary grew",
    "without_order": "equal",
    "without_verdict": "no verdict",
}
"""Counts that a person must be told, by the end of their place in the JSON, and what must stand on the line (or in the
head of the table) that says them: what was left out, cut, tied, or not judged, and what it cost."""
NEED_NOT_BE_SAID = {
    # Sizes of samples: those that decide stand beside their figures.
    "n", "pairs", "read", "accepted", "kept", "train", "taken", "wanted", "pool_rows", "qualifying", "with_similarity",
    "samples", "samples_of_pool_prompts", "distinct_prompts", "wins", "losses", "ranks", "top", "values", "vocabulary",
    "completions", "rows", "reasons", "step", "steps", "forms",
    # Settings, and figures that are said in units.
    "prompts", "prompts_written_to", "texts",
    "level", "rule", "seed", "seeds", "folds", "share", "weight", "size", "test_size", "format", "max_length",
    "workers", "at_most", "orders", "bytes", "max_bytes", "seconds", "budget",
}  # fmt: skip
"""Other whole numbers of the JSON, by a name in their place. A number that is in neither fails the test: decide."""


def counts(value, path=()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Whole numbers above 0 in a JSON document, and where they are."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        if value > 0:
            yield path, value
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from counts(each, (*path, str(key)) if isinstance(value, dict) else path)


def said(value: int, name: str, out: str, err: str) -> bool:
    """Whether a count stands in the text, beside words that say of what."""
    number = re.compile(rf"(?<![\d.,]){value:,}(?![\d,]|\.\d)|(?<![\d.,]){value}(?![\d,]|\.\d)")
    words = re.compile(MUST_BE_SAID[name])
    lines = f"{out}\n{err}".splitlines()
    heads = [line for line in lines if line.startswith("┃")]
    return any(number.search(line) and (words.search(line) or any(map(words.search, heads))) for line in lines)
