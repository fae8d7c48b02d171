"""`frft label pick`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from frft.cli.pool import PoolOptions, Reading, check_store, vectors_folder
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import EmbedderConfig, PickConfig
from frft.errors import UsageError, printable, quantity

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.labels import CandidateEvidence, DrawnQuestions, LabelCandidate, LabelCandidates
    from frft.preferences import Samples
    from frft.progress import Progress


def pick_command(
    *,
    out: Path,
    budget: int,
    samples: list[str] | None = None,
    pairs: list[str] | None = None,
    unlabelled: bool = False,
    rule: Annotated[PickConfig, Parameter(name="*")] = PickConfig(),
    reward_model: list[str] | None = None,
    max_length: int | None = None,
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    model: str | None = None,
    step: int | None = None,
    purpose: Literal["train", "test", "audit", "gate"] = "train",
    by: str | None = None,
    test_share: float = 0.0,
    repeat_share: float = 0.0,
    not_in: list[Path] | None = None,
    store: str | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Choose pairs to have labelled: of a policy's own completions, or of a pool of preference pairs.

    The budget is spread evenly over the prompts. No pair is asked about twice, and a coin decides which completion is
    shown on the left.

    Parameters
    ----------
    out
        File of the questions and of all answers to them; a new one.
    budget
        Number of labels: training, test and repetitions together.
    samples
        The policy's completions, two or more for a prompt: rows of prompt and completion. Any two different completions
        of one prompt are a pair. Files, folders, globs, or ids of data sets on the Hub.
    pairs
        Instead of samples: preference pairs, whose own labels nobody is shown.
    unlabelled
        The pairs have no labels: what --chosen-key and --rejected-key name are two completions in any order.
    rule
        The rule by which pairs are chosen. Questions to test on are drawn at random under every rule.
    reward_model
        With --pick disagreement, gap or d_optimal: folder or name of a reward model; for disagreement, of one or of
        several.
    max_length
        Longest sequence that the reward models read, in tokens. Default: as saved with each.
    embedder
        With --pick representative: the sentence embedder.
    reading
        How to read pairs and samples.
    keys
        How to read the samples.
    model
        Use only the samples whose column `model` has this value; needed where they are of several.
    step
        PPO steps after which the policy wrote the samples; kept with the labels.
    purpose
        What the labels are for. audit: to see which sources of --pairs are right more often than not; the budget is
        spread evenly over the sources, one pair of a conversation for each (`frft label audit`).
    by
        With --purpose audit: the column of --pairs that says the source of a pair (its annotator, its data set).
        Default: all pairs are one source.
    test_share
        Share of the budget to set aside for a test, 0 to 1; a conversation is in one of the two alone.
    repeat_share
        Share of the budget for hidden repetitions of earlier questions, below 0.5, half of them with their sides
        exchanged: they measure how consistent a labeller is.
    not_in
        Earlier files of labels, whose pairs are not asked about again. What was answered to train on in them, a reward
        model's last layer knows already (d_optimal, disagreement of one model).
    store
        With --pick representative: folder of the shared store, in which embeddings are kept, or none. Default: the
        environment variable FRFT_STORE, or ~/.cache/frft/store.
    seed
        Random seed of the draw; take another one for another refresh.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_not_read
    from frft.labels import (
        DrawShares,
        QueueHead,
        draw_questions,
        labelled_candidates,
        pool_candidates,
        read_queue,
        write_queue,
    )
    from frft.labels.queue import check_free
    from frft.labels.rows import QUEUE_FORMAT, now
    from frft.progress import for_terminal

    models = reward_model or []
    sources = _sources(samples, pairs, reading, keys, model, step)
    if pairs is None and unlabelled:
        raise UsageError("--unlabelled describes --pairs; samples have no labels. Leave it out.")
    _check_rule(rule, models, embedder, max_length, store, of_samples=samples is not None)
    if purpose == "audit" and pairs is None:
        raise UsageError("--purpose audit: an audit is of labels that there are. Give --pairs instead of --samples.")
    if by is not None and purpose != "audit":
        raise UsageError("--by names the sources of an audit; give --purpose audit, or leave it out.")
    shares = DrawShares(purpose, test_share, repeat_share)
    check_file(out)
    check_not_read([out], sources, split=reading.split)
    check_free(out)
    progress = for_terminal()
    earlier = [read_queue(each, progress) for each in not_in or []]
    of_pool = partial(pool_candidates, labelled=not unlabelled, audit=purpose == "audit", by=by)
    candidates, written = _candidates(samples, pairs, of_pool, reading, keys, model, step, progress)
    asked = [question for each in earlier for question in each.questions.values()]
    candidates = candidates.without_conversations(asked) if purpose == "audit" else candidates.without(asked)
    labelled = labelled_candidates(earlier) if rule.pick != "random" else []

    def look(looked_at: Sequence[LabelCandidate]) -> CandidateEvidence:
        return _look(rule, looked_at, models, max_length, labelled, embedder, written, store, progress)

    drawn = draw_questions(candidates, budget, seed=seed, shares=shares, rule=rule, look=look)
    head = QueueHead(
        format=QUEUE_FORMAT,
        made=now(),
        pick=rule.pick,
        seed=seed,
        budget=budget,
        read={
            "samples" if pairs is None else "pairs": sources,
            "not_in": [str(each) for each in not_in or []],
            **({"reward_model": models} if models else {}),
            **({"by": [by]} if by else {}),
        },
        counts=drawn.counts,
        rule=rule.read_settings(len(models)),
    )
    write_queue(out, head, drawn.questions)
    if json:
        found = {"file": str(out), "pick": rule.pick, "rule": dict(head.rule), "seed": seed, "budget": budget}
        audited = {"sources": _sources_drawn(drawn)} if purpose == "audit" else {}
        print_json({**found, "counts": drawn.counts, **audited})
        return
    for line in _drawn_in_words(drawn, out, budget, "completion" if pairs is None else "pair", rule):
        print_text(line)


def _sources(
    samples: list[str] | None,
    pairs: list[str] | None,
    reading: PoolOptions,
    keys: SampleKeys,
    model: str | None,
    step: int | None,
) -> list[str]:
    """What pairs are chosen of."""
    sources = samples if pairs is None else pairs
    if sources is None or None not in (samples, pairs):
        raise UsageError("Give either --samples or --pairs: what to choose pairs of.")
    if pairs is not None and (model is not None or step is not None or keys.model_fields_set):
        raise UsageError(
            "--model, --step, --samples-prompt-key and --completion-key describe --samples; leave them out with "
            "--pairs."
        )
    if pairs is None and reading.model_fields_set & {"prompt_key", "chosen_key", "rejected_key"}:
        raise UsageError(
            "--prompt-key, --chosen-key and --rejected-key name columns of --pairs. Those of samples are named by "
            "--samples-prompt-key and --completion-key."
        )
    if step is not None and step < 0:
        raise UsageError(f"--step is {step}; it must be at least 0.")
    return sources


def _check_rule(
    rule: PickConfig,
    models: Sequence[str],
    embedder: EmbedderConfig,
    max_length: int | None,
    store: str | None,
    *,
    of_samples: bool,
) -> None:
    from frft.reward.picking import check_evidence

    if rule.embeds and not of_samples:
        raise UsageError("--pick representative represents a policy's texts: give --samples instead of --pairs.")
    check_evidence(rule, models=len(models), embedder=of_samples)
    if max_length is not None and not models:
        raise UsageError("--max-length is that of --reward-model; leave it out.")
    if not rule.embeds and (embedder.model_fields_set or store is not None):
        raise UsageError("--embedder and --store are read with --pick representative alone; leave them out.")
    if rule.embeds:
        check_store(store)


def _candidates(
    samples: list[str] | None,
    pairs: list[str] | None,
    of_pool: Callable[[pa.Table], LabelCandidates],
    reading: PoolOptions,
    keys: SampleKeys,
    model: str | None,
    step: int | None,
    progress: Progress,
) -> tuple[LabelCandidates, Samples | None]:
    """The pairs that could be labelled, and the policy's texts where they are of those."""
    from frft.labels import policy_candidates

    if pairs is not None:
        return of_pool(reading.load(pairs, progress).table), None
    written = keys.beside(reading).load(samples or [], progress, model=model)
    if model is None and len(written.models) > 1:
        names = ", ".join(sorted(written.models))
        raise UsageError(f"The samples are of several models: {names}. Name the one to have labelled: --model NAME.")
    policy = model or next(iter(written.models), None)
    found = policy_candidates(written.prompts, written.completions, policy=policy, step=step, for_pools=True)
    return found, written


def _look(
    rule: PickConfig,
    pairs: Sequence[LabelCandidate],
    models: Sequence[str],
    max_length: int | None,
    labelled: Sequence[LabelCandidate],
    embedder: EmbedderConfig,
    written: Samples | None,
    store: str | None,
    progress: Progress,
) -> CandidateEvidence:
    from frft.cli.reward import load_scorer
    from frft.reward import look_at_pairs
    from frft.selection import Embedder, VectorCache

    see = partial(look_at_pairs, rule, pairs, progress=progress)
    if not rule.embeds:
        return see(models=[load_scorer(each, max_length) for each in models], labelled=labelled)
    assert written is not None  # checked before
    with vectors_folder(store, progress) as (folder, shared):
        return see(vectors=VectorCache(folder, Embedder(embedder, progress), shared), texts=written.completions)


_REASONS = {
    "blank": "without text",
    "nul": "with a NUL character, which no pair may hold",
    "repeated": "repeating another one",
    "alone": "alone for a prompt",
    "same_sides": "with two equal sides",
}
_CUT = {
    "prompts_truncated": "lost the beginning of their prompt",
    "completions_truncated": "lost the end of their completion",
    "beyond_window": "went beyond the embedder's window, which read their beginnings",
}


def _drawn_in_words(drawn: DrawnQuestions, out: Path, budget: int, what: str, rule: PickConfig) -> list[str]:
    counts = drawn.counts
    sources = _sources_drawn(drawn)
    lines = [f"Wrote {out}: {quantity(counts['questions'], 'question')} ({purposes_in_words(counts)})."]
    left_out = [f"{counts[name]} {said}" for name, said in _REASONS.items() if counts.get(name)]
    out_of = f"; left out: {', '.join(left_out)}" if left_out else ""
    lines.append(
        f"Read {quantity(counts['read'], what)}{out_of}. To choose from: {quantity(counts['candidates'], 'pair')}, on "
        f"{quantity(counts['prompts'], 'prompt')}."
    )
    if counts.get("other_source"):
        shared = quantity(counts["other_source"], "pair")
        lines.append(f"Audited with another source, which has a pair of the same texts: {shared}.")
    if counts["asked_before"]:
        which = "of conversations that are in the files" if sources else "in the files"
        lines.append(f"Left out, because {which} of --not-in: {quantity(counts['asked_before'], 'pair')}.")
    if "looked_at" in counts:
        lines += _looked_in_words(counts, rule)
    if sources:
        shown = ", ".join(f"{printable(name)} ({count})" for name, count in sources.items())
        lines.append(f"Questions about each source, of which one question may serve several: {shown}.")
    if counts["questions"] < budget:
        why = (
            "there are no more conversations, of which each source has one pair"
            if sources
            else "there are no more pairs"
        )
        lines.append(f"That is fewer than the budget of {quantity(budget, 'label')}: {why}.")
    lines.append(f"Next: `frft label answer {out} --as NAME` or `frft label ask {out} --judge JUDGE`.")
    if sources:
        lines[-1] += f" Then `frft label audit {out}`."
    return lines


def _sources_drawn(drawn: DrawnQuestions) -> dict[str, int]:
    """Number of questions about each source that is audited."""
    return dict(sorted(Counter(name for question in drawn.questions for name in question.sources).items()))


def _looked_in_words(counts: Mapping[str, int], rule: PickConfig) -> list[str]:
    more = f", drawn at random; not looked at: {counts['not_looked_at']} more" if counts["not_looked_at"] else ""
    lines = [f"The rule {rule.pick} looked at {quantity(counts['looked_at'], 'pair')}{more}."]
    if counts["not_looked_at"]:
        lines[0] += " --max-candidates sets how many are."
    if rule.pick == "d_optimal" or counts.get("labelled"):
        lines.append(f"Labelled before (--not-in), and taken into account: {quantity(counts['labelled'], 'pair')}.")
    if counts["test_conversations"]:
        lines.append(
            f"Of the conversations that are tested on: {quantity(counts['test_conversations'], 'pair')}; from these, "
            "questions were drawn at random."
        )
    cut = [f"{counts[name]} {said}" for name, said in _CUT.items() if counts.get(name)]
    limit = " (longer than --max-length)" if rule.reads_models else ""
    return [*lines, *([f"Of their {2 * counts['looked_at']} texts, {' and '.join(cut)}{limit}."] if cut else [])]


def purposes_in_words(counts: Mapping[str, int]) -> str:
    """Numbers of questions by what they are for, as a list."""
    found = [f"{counts[name]} {name}" for name in ("train", "test", "audit", "gate") if counts.get(name)]
    return ", ".join([*found, *([quantity(counts["repeat"], "hidden repetition")] if counts.get("repeat") else [])])
