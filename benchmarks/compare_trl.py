"""frft's PPO against the PPOTrainer of TRL 1.12: samples a second, and reward at equal KL.

Both start from the same folders and train with the same settings, one thread each, in turn, each in a process and a
virtual environment of its own. The policies that they save on the way are then judged alike: the same held-out
prompts, the same random numbers, the same reward model.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.equal_kl import Point, common_kls, score_at
from benchmarks.job import Job
from benchmarks.models import PAIRS, SHAPES
from benchmarks.results import machine, report
from benchmarks.start import make_start
from frft.config.sections import ScratchConfig

ROOT = Path(__file__).parents[1]
SIDES = ("frft", "trl")
SMALL = [name for name, shape in SHAPES.items() if shape.vocab_size == ScratchConfig().vocab_size]
"""Models that a tokenizer trained here has a token for every logit of."""
COLUMNS = {
    "model": "{model}",
    "frft, samples/s": "{frft:.1f}",
    "TRL, samples/s": "{trl:.1f}",
    "ratio [least, most]": "{ratio:.2f} [{ratio_least:.2f}, {ratio_most:.2f}]",
    "ratio of CPU time": "{cpu_ratio:.2f}",
    "KL": "{kl}",
    "frft, score": "{frft_score}",
    "TRL, score": "{trl_score}",
    "difference, each seed": "{difference}",
}


def main() -> None:
    """Train, judge, write results/compare_trl.*, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl-python", type=Path, required=True, help="interpreter with TRL 1.12; see README.md")
    parser.add_argument("--models", nargs="+", choices=SMALL, default=["0.5M", "0.9M", "2.7M"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--learning-rate", type=float, default=Job.learning_rate)
    parser.add_argument("--micro-batch", type=int, default=16, help="of TRL: of its sequences that go through at once")
    parser.add_argument("--threads", type=int, default=1, help="0: as many as each takes by default")
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="preference data")
    parser.add_argument("--work", type=Path, required=True, help="folder for models and logs; finished parts are kept")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads or torch.get_num_threads())
    rows = [_row(model, options) for model in options.models]
    threads = f"threads: {options.threads}" if options.threads else "threads: each side's default"
    notes = [
        f"{machine()}; {threads}. {options.steps} steps of {Job.batch} samples, {Job.epochs} epochs, one mini-batch, "
        f"{Job.new_tokens} new tokens after at most {Job.prompt_tokens}, learning rate {options.learning_rate:g}, beta "
        f"{Job.kl_coef}, {options.seeds} seeds, in turn. TRL's backward passes: {options.micro_batch} sequences each.",
        "Samples a second: medians over all steps but the first of each run; ratios: of the runs of one seed.",
        "Score: of the reward model on held-out prompts (at the start about 0, with standard deviation 1), at the same "
        "KL from SFT (k3, nats a completion), interpolated; means over seeds.",
    ]
    report("compare_trl", notes, rows, COLUMNS)


def _row(model: str, options: argparse.Namespace) -> dict[str, Any]:
    start = options.work / model / "start"
    make_start(model, options.pairs, start)
    runs: dict[str, list[Path]] = {side: [] for side in SIDES}
    for seed in range(options.seeds):
        for side in SIDES if seed % 2 == 0 else SIDES[::-1]:
            runs[side].append(_train(side, start, options.work / model / f"{side}-{seed}", seed, options))
    steps = {side: [_steps(run) for run in runs[side]] for side in SIDES}
    ratios = [
        statistics.median(step["seconds"] for step in theirs) / statistics.median(step["seconds"] for step in ours)
        for ours, theirs in zip(*steps.values(), strict=True)
    ]
    median = {
        side: {
            key: statistics.median(step[key] for run in steps[side] for step in run)
            for key in ("seconds", "cpu_seconds")
        }
        for side in SIDES
    }
    judge = Judge(start)
    curves = {side: [judge.curve(run) for run in runs[side]] for side in SIDES}
    kls = common_kls([curve for side in SIDES for curve in curves[side]], 3)
    scores = {side: [[score_at(kl, curve) for kl in kls] for curve in curves[side]] for side in SIDES}
    differences = [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(*scores.values(), strict=True)]
    means = {side: [statistics.fmean(column) for column in zip(*scores[side], strict=True)] for side in SIDES}
    return {
        "model": model,
        **{side: Job.batch / median[side]["seconds"] for side in SIDES},
        "ratio": statistics.median(ratios),
        "ratio_least": min(ratios),
        "ratio_most": max(ratios),
        "cpu_ratio": median["trl"]["cpu_seconds"] / median["frft"]["cpu_seconds"],
        "kl": _listed(kls, "{:.2f}"),
        **{f"{side}_score": _listed(means[side], "{:+.2f}") for side in SIDES},
        "difference": "; ".join(_listed(each, "{:+.2f}") for each in differences),
        "steps": steps,
        "curves": curves,
    }


def _listed(numbers: list[float], form: str) -> str:
    return ", ".join(map(form.format, numbers))


def _train(side: str, start: Path, out: Path, seed: int, options: argparse.Namespace) -> Path:
    """Run one side's training, unless it is there, finished and of the same settings."""
    job = Job(
        start=str(start.absolute()),
        out=str(out.absolute()),
        seed=seed,
        steps=options.steps,
        save_every=max(1, options.steps // 6),
        micro_batch=options.micro_batch,
        learning_rate=options.learning_rate,
    )
    file, log = out / "job.json", out / "steps.jsonl"
    if file.exists() and Job.load(str(file)) == job and log.exists() and len(log.read_text().splitlines()) == job.steps:
        return out
    out.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    job.save(file)
    frft = [sys.executable, "-m", "benchmarks.frft_ppo"]
    command = frft if side == "frft" else [str(options.trl_python.absolute()), "benchmarks/trl_ppo.py"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if options.threads:
        environment["OMP_NUM_THREADS"] = str(options.threads)
    with (out / "output.txt").open("w") as output:
        subprocess.run(  # noqa: S603 - the interpreter that the user named
            [*command, str(file.absolute())], cwd=ROOT, env=environment, stdout=output, stderr=output, check=True
        )
    return out


def _steps(run: Path) -> list[dict[str, Any]]:
    """The steps of a run but the first, in which buffers are allocated."""
    return [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()[1:]]


class Judge:
    """Scores policies and measures how far they are from the SFT model.

    Args:
        start: the folder that the trainings started from.
    """

    def __init__(self, start: Path) -> None:
        from frft.models import load_causal_lm, load_tokenizer
        from frft.reward import RewardModel

        self.tokenizer = load_tokenizer(start / "policy")
        self.sft = load_causal_lm(start / "policy", self.tokenizer)
        self.reward = RewardModel.load(start / "reward", seed=0)
        self.prompts: list[str] = json.loads((start / "start.json").read_text())["evaluation"]
        self.start = self.point(start / "policy")

    def curve(self, run: Path) -> list[Point]:
        """The start, and every policy that a run saved."""
        saved = sorted(run.glob("policy-*"), key=lambda path: int(path.name.split("-")[1]))
        return [self.start, *map(self.point, saved)]

    def point(self, folder: Path) -> Point:
        """Where a policy stands, on the same prompts and random numbers as any other."""
        from frft.config.sections import SamplingConfig
        from frft.models import load_causal_lm
        from frft.policy import generate, measure_divergence

        policy = load_causal_lm(folder, self.tokenizer)
        sampling = SamplingConfig(max_new_tokens=Job.new_tokens, max_prompt_tokens=Job.prompt_tokens)
        written = generate(policy, self.tokenizer, self.prompts, sampling, seed=0)
        moved = measure_divergence(
            policy, self.sft, self.tokenizer, written, temperature=1.0, max_prompt_tokens=Job.prompt_tokens
        )
        return Point(moved.k3, float(self.reward.score(written.prompts, written.completions).mean()))


if __name__ == "__main__":
    main()
