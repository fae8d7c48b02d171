"""The stages of a run together: every one of them is complete, and a new one takes one class and its caller."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from pkgutil import walk_packages

import frft.experiment.stages
import frft.reward.stages
from frft.config.sections import PolicyConfig, ScratchConfig
from frft.experiment.stages.context import RunContext
from frft.experiment.texts import read_completions
from frft.stages import Stage
from frft.stages.memory import classifier_on_meta, policy_on_meta, weight_bytes
from frft.store import Artifact
from frft.store.code import closure

SCRATCH = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 500}
LOOKS = {"every": 50, "drift": False}


def stage_classes() -> list[type[Stage]]:
    found = {}
    for package in (frft.experiment.stages, frft.reward.stages):
        for file in walk_packages(package.__path__, f"{package.__name__}."):
            of_file = vars(import_module(file.name)).values()
            found |= {each: None for each in of_file if inspect.isclass(each) and issubclass(each, Stage)}
    return [each for each in found if each is not Stage]


def test_every_stage_says_what_it_is_built_from_costs_and_holds():
    classes = stage_classes()
    assert len(classes) >= 15
    assert not [each.__name__ for each in classes if inspect.isabstract(each)]
    kinds = [each.kind for each in classes if isinstance(each.kind, str)]
    assert len(set(kinds)) == len(kinds)


def test_the_code_that_builds_a_stage_is_part_of_it_and_that_of_others_is_not():
    """`store.code` reads imports, and a world is handed in as a value: who calls it must import it."""
    of = {each.__name__: closure(each.__module__) for each in stage_classes()}
    worldly = {name for name, modules in of.items() if "frft.worlds.world" in modules}
    assert worldly >= {"LabelledPairsStage", "EvaluationStage", "OnPolicyStage", "JudgedStage", "LookStage"}
    apart = {"SFTStage", "CompletionsStage", "RewardModelStage", "SelectionStage", "FineTuningStage", "EmbeddedStage"}
    assert not worldly & apart
    ppo = {name for name, modules in of.items() if "frft.policy.ppo.trainer" in modules}
    assert ppo == {"PolicyTrainingStage"}


def test_every_member_of_an_ensemble_is_held(held):
    plain = held(monitor=LOOKS)
    ensemble = held(monitor=LOOKS, arms={"vanilla": {"alpha": 0}, "uwo": {"alpha": 0, "ensemble": 5}})
    policy = policy_on_meta(PolicyConfig(scratch=ScratchConfig(**SCRATCH)))
    member = weight_bytes(classifier_on_meta(policy.config, trust_remote_code=False))
    for kind in ("ppo", "completions", "evaluation", "look", "agreement"):
        assert ensemble[kind] - plain[kind] == 4 * member, kind
    # They are trained one after the other.
    assert ensemble["reward"] == plain["reward"]


def test_long_prompts_cost_cache_and_selections_cost_an_embedder(held):
    long = {"sampling": {"max_prompt_tokens": 300, "max_new_tokens": 128}}
    assert held()["completions"] < held(ppo=long)["completions"]
    blind, looking = (
        held(arms={"vanilla": {"alpha": 0}, "other": {"selection": {"strategy": strategy, "size": 5}}})["selection"]
        for strategy in ("random", "part1")
    )
    assert blind == 0
    assert looking > 2**28


@dataclass(frozen=True)
class WordcountStage(Stage):
    """As the recipe in CONTRIBUTING.md says: all in one class."""

    context: RunContext
    written: Artifact

    kind = "wordcount"

    def inputs(self):
        return {"written": self.written}

    def build(self, folder):
        return {"words": sum(len(text.split()) for text in read_completions(self.written).completions)}

    def flops(self, workload):
        return 3e9

    def memory(self, workload):
        return 7 * 2**20


def test_a_stage_of_ones_own_is_planned_from_what_it_says_of_itself(held, monkeypatch):
    run_stages = import_module("frft.experiment.stages.run_stages")
    evaluation_of = run_stages.evaluation_of

    def counted(context, policy, baseline, reward):
        written, _ = run_stages.evaluation_completions(context, policy)
        context.make(WordcountStage(context, written))
        return evaluation_of(context, policy, baseline, reward)

    monkeypatch.setattr(run_stages, "evaluation_of", counted)
    assert held()["wordcount"] == 7 * 2**20
