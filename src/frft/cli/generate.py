"""`frft generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from frft.cli.pool import PoolOptions, Reading
from frft.config.sections import SamplingConfig
from frft.errors import UsageError
from frft.progress import Progress


def generate_command(
    *,
    policy: str,
    out: Path,
    prompts: list[str] | None = None,
    prompts_of: list[str] | None = None,
    sampling: Annotated[SamplingConfig, Parameter(name="*")] = SamplingConfig(),
    reading: Reading = PoolOptions(),
    limit: int | None = None,
    per_prompt: int = 1,
    seed: int = 0,
    batch_size: int = 64,
    chat_template: str = "auto",
    trust_remote_code: bool = False,
    json: bool = False,
) -> None:
    """Sample completions from a policy: prompts in, rows of prompt and completion out.

    frft select, advise, eval winrate, diagnose and reward score read these rows. A prompt that occurs more than once in
    the input gets one completion (or --per-prompt).

    Parameters
    ----------
    policy
        The policy: a causal language model, by folder or name.
    out
        File of the completions, as JSON Lines. Until it is complete they are in a file beside it, from which the same
        command resumes.
    prompts
        Rows with a prompt (text or messages): files, folders, globs, or ids of data sets on the Hub.
    prompts_of
        The prompts of these preference pairs, in any form that frft reads; instead of --prompts.
    sampling
        Settings of sampling.
    reading
        How to read the pairs of --prompts-of; --split and --prompt-key also apply to --prompts.
    limit
        Use only this many of the prompts, drawn at random with the seed and kept in their order.
    per_prompt
        Number of completions of each prompt.
    seed
        Random seed of the drawn prompts and of sampling.
    batch_size
        Number of prompts per batch.
    chat_template
        How the policy reads conversations: auto (its tokenizer's own chat template, else plain HH-RLHF text), plain,
        none (contents alone), or the path of a file with a template.
    trust_remote_code
        Execute Python code from the policy's repository.
    json
        Print the counts as JSON.
    """
    from torch import cuda

    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file
    from frft.models import choose_threads, load_causal_lm, load_tokenizer, use_threads
    from frft.models.chat import describe_template, template_digest
    from frft.policy import write_samples
    from frft.progress import for_terminal
    from frft.reward import model_identity

    for name, number in (("--limit", limit), ("--per-prompt", per_prompt), ("--batch-size", batch_size)):
        if number is not None and number < 1:
            raise UsageError(f"{name} is {number}; it must be at least 1.")
    check_file(out)
    progress = for_terminal()
    given = _prompts(prompts, prompts_of, reading, out, progress)
    different = list(dict.fromkeys(given))
    asked = _drawn(different, limit, seed)
    tokenizer = load_tokenizer(policy, chat_template=chat_template, trust_remote_code=trust_remote_code)
    model = load_causal_lm(policy, tokenizer, trust_remote_code=trust_remote_code)
    use_threads(choose_threads(model.num_parameters(), None))
    try:
        written = write_samples(
            model.to("cuda" if cuda.is_available() else "cpu"),
            tokenizer,
            [prompt for prompt in asked for _ in range(per_prompt)],
            sampling,
            out,
            seed=seed,
            identity=f"{model_identity(policy)} {template_digest(tokenizer)}",
            batch_size=batch_size,
            progress=progress,
        )
    except BaseException as stop:
        stop.add_note("Finished completions are kept, and the same command goes on with them.")
        raise
    counts = {
        "prompts": len(given),
        "repeated_prompts": len(given) - len(different),
        "prompts_written_to": len(asked),
        **written.as_dict(),
    }
    if json:
        print_json({**counts, "chat_template": template_digest(tokenizer)})
        return
    print_text(f"Wrote {out}: {written.completions} completions, {per_prompt} to each of {len(asked)} prompts.")
    print_text(f"The policy reads conversations by {describe_template(tokenizer)}.")
    for line in _remarks(counts, sampling):
        print_text(line)


def _prompts(
    prompts: list[str] | None, prompts_of: list[str] | None, reading: PoolOptions, out: Path, progress: Progress
) -> list[str]:
    """All prompts in the files, in order, with repetitions."""
    from frft.cli.targets import check_not_read
    from frft.preferences import load_prompts

    if (prompts is None) == (prompts_of is None):
        raise UsageError("Give --prompts FILE, or --prompts-of PAIRS, and not both.")
    check_not_read([out], prompts or prompts_of or [], split=reading.split)
    if prompts_of is not None:
        texts: list[str] = reading.load(prompts_of, progress).table["prompt"].to_pylist()
        return texts
    if unread := sorted(reading.model_fields_set - {"split", "prompt_key"}):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in unread)
        raise UsageError(f"{options} says how preference pairs are read; it goes with --prompts-of.")
    return load_prompts(prompts or [], split=reading.split, prompt_key=reading.prompt_key, progress=progress)


def _drawn(prompts: list[str], limit: int | None, seed: int) -> list[str]:
    from random import Random

    if limit is None or limit >= len(prompts):
        return prompts
    return [prompts[place] for place in sorted(Random(seed).sample(range(len(prompts)), limit))]  # noqa: S311


def _remarks(counts: dict[str, int], sampling: SamplingConfig) -> list[str]:
    """A sentence for each count that is not 0."""
    repeated, left_out = counts["repeated_prompts"], counts["prompts"] - counts["repeated_prompts"]
    lines = {
        f"{repeated} of {counts['prompts']} prompts repeat an earlier one, and are not written to again.": repeated,
        f"{left_out - counts['prompts_written_to']} different prompts were left out by --limit.": left_out
        - counts["prompts_written_to"],
        f"{counts['resumed']} completions had been written before this command went on.": counts["resumed"],
        f"{counts['prompts_truncated']} completions are to prompts that lost their beginning (longer than "
        f"{sampling.max_prompt_tokens} tokens).": counts["prompts_truncated"],
        f"{counts['without_eos']} completions had not ended after {sampling.max_new_tokens} tokens.": counts[
            "without_eos"
        ],
        f"{counts['empty']} completions are empty.": counts["empty"],
    }
    return [line for line, count in lines.items() if count]
