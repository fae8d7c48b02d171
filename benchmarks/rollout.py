"""Sampling: tokens a second of frft against Transformers' `generate()`, and the share of the arithmetic floor.

Both sample the same number of tokens (no response ends early) from the same weights with the same settings, in turn, in
one process: first the one, then the other, then the other way round. A ratio is that of a pair of neighbours.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.arithmetic import Lengths, peak_flops
from benchmarks.models import SHAPES, random_model
from benchmarks.results import machine, report

LOADS = [(64, 32), (16, 32), (256, 32), (64, 128)]
"""Sequences and new tokens; the first is measured with every model, the others with the middle one."""
PROMPT_TOKENS = (16, 64)
NO_EOS = -1
COLUMNS = {
    "model": "{model}",
    "sequences x tokens": "{batch} x {new_tokens}",
    "frft, tokens/s": "{frft:,.0f}",
    "generate(), tokens/s": "{generate:,.0f}",
    "ratio [least, most]": "{ratio:.2f} [{ratio_least:.2f}, {ratio_most:.2f}]",
    "ratio of CPU time": "{cpu_ratio:.2f}",
    "floor, s": "{floor_seconds:.3f}",
    "frft, s": "{frft_seconds:.3f}",
    "share of the floor": "{floor_share:.0%}",
}


def main() -> None:
    """Measure, write results/rollout.*, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=["0.5M", "0.9M", "2.7M", "4.3M", "20M"])
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each side")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    middle = options.models[len(options.models) // 2]
    rows = [
        measure(model, batch, new_tokens, options.repeats)
        for model in options.models
        for batch, new_tokens in (LOADS if model == middle else LOADS[:1])
    ]
    notes = [
        f"{machine()}; threads: {options.threads}. Temperature 1; prompts of {PROMPT_TOKENS[0]} to {PROMPT_TOKENS[1]} "
        "tokens.",
        f"Medians of {options.repeats} runs. Floor: the matrix products alone, at the rate measured beside each row.",
    ]
    report("rollout", notes, rows, COLUMNS)


def measure(name: str, batch: int, new_tokens: int, repeats: int) -> dict[str, Any]:
    """One row: a model and a load."""
    import torch

    from frft.config.sections import SamplingConfig
    from frft.models import quiet
    from frft.models.kernels import with_fast_kernels
    from frft.policy.generation import left_padded, row_uniforms, sample_tokens

    shape, device = SHAPES[name], "cuda" if torch.cuda.is_available() else "cpu"
    plain = random_model(shape).to(device)
    fast = with_fast_kernels(copy.deepcopy(plain))
    generator = torch.Generator().manual_seed(0)
    prompts = [
        torch.randint(2, shape.vocab_size, (int(length),), generator=generator).tolist()
        for length in torch.randint(PROMPT_TOKENS[0], PROMPT_TOKENS[1] + 1, (batch,), generator=generator)
    ]
    ids_BP, mask_BP = (tensor.to(device) for tensor in left_padded(prompts, 0))
    sampling = SamplingConfig(max_new_tokens=new_tokens, max_prompt_tokens=PROMPT_TOKENS[1])
    uniforms_BT = row_uniforms(0, batch, new_tokens)

    def frft() -> int:
        return sample_tokens(fast, ids_BP, mask_BP, sampling, NO_EOS, 0, uniforms_BT).cpu().numel()

    def generate() -> int:
        settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": new_tokens}
        with torch.no_grad(), quiet():
            written = plain.generate(ids_BP, attention_mask=mask_BP, eos_token_id=None, pad_token_id=0, **settings)
        return written[:, ids_BP.shape[1] :].cpu().numel()

    sides = {"frft": frft, "generate": generate}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    cpu_seconds: dict[str, list[float]] = {side: [] for side in sides}
    for side in sides.values():
        side()
    for turn in range(repeats):
        for side in list(sides) if turn % 2 == 0 else list(sides)[::-1]:
            clock, cpu = _timed(sides[side], batch * new_tokens)
            seconds[side].append(clock)
            cpu_seconds[side].append(cpu)
    ratios = [theirs / ours for ours, theirs in zip(seconds["frft"], seconds["generate"], strict=True)]
    median = {side: statistics.median(measured) for side, measured in seconds.items()}
    floor = shape.sequences_flops([Lengths(len(prompt), new_tokens) for prompt in prompts], logits=True) / peak_flops()
    return {
        "model": name,
        "batch": batch,
        "new_tokens": new_tokens,
        "frft": batch * new_tokens / median["frft"],
        "generate": batch * new_tokens / median["generate"],
        "ratio": statistics.median(ratios),
        "ratio_least": min(ratios),
        "ratio_most": max(ratios),
        "cpu_ratio": statistics.median(cpu_seconds["generate"]) / statistics.median(cpu_seconds["frft"]),
        "floor_seconds": floor,
        "frft_seconds": median["frft"],
        "floor_share": floor / median["frft"],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }


def _timed(sample: Callable[[], int], expected: int) -> tuple[float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    written = sample()
    seconds = time.perf_counter() - clock, time.process_time() - cpu
    if written != expected:
        raise RuntimeError(f"{written} tokens were sampled and not {expected}; the two would not be comparable.")
    return seconds


if __name__ == "__main__":
    main()
