"""The typed configuration: what it refuses, what arms inherit, and that every setting is read."""

import ast
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

import frft
from frft.config import load_config
from frft.config.model import RunConfig
from frft.config.problems import leaves
from frft.config.sections import DataConfig, PPOConfig, RefreshConfig, SamplingConfig
from frft.errors import SettingsError


def run_config(**sections):
    return RunConfig.model_validate({"data": {"pairs": "x"}, **sections})


def reads_and_calls(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names read as an attribute or as a string key, and names of methods called."""
    called = {id(node.func): node.func.attr for node in ast.walk(tree) if is_method_call(node)}
    reads = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in called:
            reads.add(node.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            reads.add(node.slice.value)
    return reads, set(called.values())


def is_method_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


def settings_read() -> set[str]:
    """Names read in the package outside config/, or by a method of a section that is called there."""
    package = Path(frft.__file__).parent
    reads, calls = set(), set()
    for file in package.rglob("*.py"):
        if not file.is_relative_to(package / "config"):
            found = reads_and_calls(ast.parse(file.read_text(encoding="utf-8")))
            reads |= found[0]
            calls |= found[1]
    sections = [ast.parse(file.read_text(encoding="utf-8")) for file in (package / "config" / "sections").glob("*.py")]
    nodes = (node for section in sections for node in ast.walk(section))
    methods = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name in calls]
    found = reads.union(*(reads_and_calls(method)[0] for method in methods))
    # A setting whose name is a word of Python (`from`) is read with a stroke behind it.
    return found | {str(name).removesuffix("_") for name in found}


def test_every_setting_is_read_somewhere():
    read = settings_read()
    unread = [".".join(path) for path, _ in leaves(RunConfig) if path[-1] not in read]
    assert not unread, f"settings that nothing outside frft.config reads: {', '.join(unread)}"


def test_every_setting_has_a_description():
    assert [path for path, field in leaves(RunConfig) if not field.description] == []


def test_a_configuration_cannot_be_changed():
    config = run_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        config.ppo.total_steps = 1


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (DataConfig, {"pairs": "x", "zork": 1}),
        (DataConfig, {"pairs": []}),
        (DataConfig, {"pairs": ""}),
        (DataConfig, {"pairs": "x", "max_rejected": 1.1}),
        (DataConfig, {"pairs": "x", "limit": 0}),
        (PPOConfig, {"lam": float("nan")}),
        (PPOConfig, {"missing_eos_penalty": float("-inf")}),
        (PPOConfig, {"gamma": -0.1}),
        (SamplingConfig, {"temperature": 0}),
    ],
)
def test_values_out_of_range_are_refused(section, values):
    with pytest.raises(ValidationError):
        section.model_validate(values)


@pytest.mark.parametrize("key", ["total_steps", "learning_rate", "kl_target"])
def test_true_is_not_the_number_1(key):
    with pytest.raises(ValidationError, match="must not be true or false"):
        PPOConfig.model_validate({key: True})
    assert PPOConfig.model_validate({"whiten_rewards": True}).whiten_rewards is True


def test_shares_must_leave_pairs_to_train_on():
    assert DataConfig(pairs="x", judge_fraction=0.5, evaluation_fraction=0.4)
    with pytest.raises(SettingsError, match="leave no pairs to train on"):
        DataConfig(pairs="x", judge_fraction=0.6, evaluation_fraction=0.4)


def test_one_column_cannot_be_two():
    assert DataConfig(pairs="x", chosen_key="a", rejected_key="b")
    with pytest.raises(SettingsError, match="different columns"):
        DataConfig(pairs="x", chosen_key="a", rejected_key="a")


def test_heads_must_divide_the_width():
    with pytest.raises(ValidationError, match="must be a multiple"):
        run_config(policy={"scratch": {"hidden_size": 100, "num_attention_heads": 3}})


@pytest.mark.parametrize("steps", [[4], [4, 4], [8, 4], [-1, 4], [4, 8, 12]])
def test_a_schedule_must_fit_alpha_and_rise(steps):
    assert RefreshConfig(alpha=2, at_steps=[0, 8]).refresh_steps(10) == [0, 8]
    with pytest.raises(SettingsError, match="at_steps"):
        RefreshConfig(alpha=2, at_steps=steps)


def test_an_arm_is_refresh_with_its_own_changes():
    config = run_config(
        refresh={"selection": {"size": 50, "threshold": 0.5}, "init": "sft"},
        arms={"vanilla": {"alpha": 0}, "wide": {"selection": {"size": 90}}},
    )
    arm = config.arm("wide")
    assert (arm.selection.size, arm.selection.threshold, arm.init) == (90, 0.5, "sft")


def test_an_arms_values_have_their_types():
    arms = {
        "vanilla": {"alpha": 0},
        "a": {"num_train_epochs": "2", "selection": {"size": "7"}, "sampling": {}},
    }
    config = run_config(arms=arms)
    assert config.arms["a"] == {
        "num_train_epochs": 2.0,
        "selection": {"size": 7},
        "sampling": SamplingConfig().model_dump(),
    }


def test_vanilla_does_not_inherit_the_schedule():
    config = run_config(refresh={"alpha": 2, "at_steps": [4, 8]})
    assert config.arm("vanilla").at_steps is None
    assert config.arm("frft").at_steps == [4, 8]


LOOKS = {"when": "drift", "drift": 0.8, "alpha": 2}


@pytest.mark.parametrize(
    ("shared", "changes", "found"),
    [
        (LOOKS, {}, ("drift", 0.8, None, None)),
        (LOOKS, {"drift": 0.9}, ("drift", 0.9, None, None)),
        (LOOKS, {"when": "drift"}, ("drift", 0.8, None, None)),
        (LOOKS, {"when": "alarms"}, ("alarms", 0.75, None, None)),
        (LOOKS, {"when": "scheduled"}, ("scheduled", 0.75, None, None)),
        (LOOKS, {"every": 3}, ("scheduled", 0.75, None, 3)),
        (LOOKS, {"at_steps": [1, 2]}, ("scheduled", 0.75, [1, 2], None)),
        (LOOKS, {"every": None}, ("drift", 0.8, None, None)),
        ({"every": 3}, {"at_steps": [2]}, ("scheduled", 0.75, [2], None)),
        ({"every": 3}, {"when": "alarms"}, ("alarms", 0.75, None, None)),
        ({"every": 3}, {"when": "scheduled"}, ("scheduled", 0.75, None, 3)),
        ({"at_steps": [2]}, {"every": 3}, ("scheduled", 0.75, None, 3)),
        ({"at_steps": [2]}, {"when": "drift", "drift": 0.9}, ("drift", 0.9, None, None)),
    ],
)
def test_an_arm_that_says_when_it_refreshes_does_not_inherit_the_other_ways(shared, changes, found):
    config = run_config(refresh=shared, monitor={"every": 2}, arms={"vanilla": {"alpha": 0}, "own": changes})
    for again in (config, RunConfig.model_validate(config.model_dump())):
        arm = again.arm("own")
        assert (arm.when, arm.drift, arm.at_steps, arm.every) == found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"when": "alarms", "every": 3}, "leave out at_steps and every"),
        ({"when": "alarms", "drift": 0.9}, "read with when: drift alone"),
        ({"every": 3, "drift": 0.9}, "read with when: drift alone"),
        ({"every": 3, "at_steps": [1, 2]}, "two schedules"),
    ],
)
def test_an_arm_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        run_config(refresh=LOOKS, monitor={"every": 2}, arms={"vanilla": {"alpha": 0}, "own": changes})


def test_a_gate_that_examines_nothing_is_refused():
    arms = {"vanilla": {"alpha": 0}, "anchor": {"selection": {"strategy": "none"}}}
    with pytest.raises(ValidationError, match="no reward model that a gate could examine"):
        run_config(refresh={"gate": {}}, arms=arms)
    arms["anchor"]["gate"] = None
    assert run_config(refresh={"gate": {}}, arms=arms).arm("anchor").gate is None


@pytest.mark.parametrize("arms", [{}, {"frft": {}}, {"vanilla": {}}, {"vanilla": {"alpha": 1}}])
def test_vanilla_must_be_there_with_alpha_0(arms):
    with pytest.raises(ValidationError, match="vanilla"):
        run_config(arms=arms)


@pytest.mark.parametrize("changes", [{"alpha": 8}, {"at_steps": [8]}, {"every": 8}, {"alpha": 2, "every": 4}])
def test_a_refresh_must_come_before_the_last_step(changes):
    arms = {"vanilla": {"alpha": 0}, "late": changes}
    assert run_config(ppo={"total_steps": 9}, arms=arms)
    with pytest.raises(ValidationError, match="changes nothing"):
        run_config(ppo={"total_steps": 8}, arms=arms)


def test_default_arms_are_checked_too():
    with pytest.raises(ValidationError, match="changes nothing"):
        run_config(ppo={"total_steps": 1})


@pytest.mark.parametrize("name", ["", "a/b", "..", "a.b", "a b", "\x1b[31m", "-x", "x" * 65, "café", "a\n"])
def test_arm_names_are_safe_as_folders_and_keys(name):
    with pytest.raises(ValidationError):
        run_config(arms={"vanilla": {"alpha": 0}, name: {}})


def test_lengths_must_fit_the_model_from_scratch():
    short = {"scratch": {"max_position_embeddings": 300}}
    with pytest.raises(ValidationError, match=r"ppo.sampling.max_new_tokens \(384\): more than"):
        run_config(policy=short)
    assert run_config(policy={**short, "model_name_or_path": "gpt2"})
    assert run_config(policy=short, ppo={"sampling": {"max_prompt_tokens": 172, "max_new_tokens": 128}})
    long = {"max_prompt_tokens": 500, "max_new_tokens": 20}
    for section in (
        {"refresh": {"sampling": long}},
        {"arms": {"vanilla": {"alpha": 0}, "a": {"sampling": long}}},
    ):
        with pytest.raises(ValidationError, match=r"sampling.max_new_tokens \(520\)"):
            run_config(**section)
    with pytest.raises(ValidationError, match=r"judge.train.max_length \(600\)"):
        run_config(judge={"train": {"max_length": 600}})
    assert run_config(judge={"model_name_or_path": "some/model", "train": {"max_length": 600}})


@pytest.mark.parametrize(
    ("algorithm", "sections", "message"),
    [
        ("rloo", {"ppo": {"kl_target": 6.0}}, "kl_target is not supported by algorithm: rloo"),
        ("grpo", {"ppo": {"target_kl": 0.1}}, "target_kl is not supported by algorithm: grpo"),
        ("grpo", {"ppo": {"whiten_rewards": True}}, "whiten_rewards is not supported"),
        ("rloo", {"ppo": {"gamma": 0.9}}, "gamma is not supported"),
        ("rloo", {"ppo": {"kl_penalty": "loss"}}, "KL penalty in the reward"),
        ("rloo", {"group": {"num_generations": 3}}, r"multiple of group.num_generations \(3\)"),
        ("grpo", {"ppo": {"mini_batch_size": 48}}, r"multiple of ppo.mini_batch_size \(48\)"),
    ],
)
def test_what_an_algorithm_cannot_do_is_refused(algorithm, sections, message):
    assert run_config(algorithm="ppo", **sections)
    with pytest.raises(ValidationError, match=message):
        run_config(algorithm=algorithm, **sections)


def test_adapters_of_a_policy_have_no_dropout():
    with pytest.raises(ValidationError, match="lora_dropout must be 0 here"):
        run_config(policy={"lora": {"lora_dropout": 0.1}})
    assert run_config(reward={"lora": {"lora_dropout": 0.1}}).reward.lora.lora_dropout == 0.1


def test_the_controller_cannot_turn_the_penalty_round():
    with pytest.raises(SettingsError, match=r"kl_horizon \(10\) is too short for rollout_batch_size \(50\)"):
        PPOConfig(kl_target=6.0, kl_horizon=10, rollout_batch_size=50)
    assert PPOConfig(kl_target=6.0, kl_horizon=11, rollout_batch_size=50).kl_horizon == 11
    assert PPOConfig(kl_horizon=10, rollout_batch_size=50).kl_target is None


@pytest.mark.parametrize(
    ("algorithm", "settings", "unread"),
    [
        ("ppo", ["ppo.lam=0.9", "ppo.kl_penalty=loss"], []),
        ("ppo", ["group.num_generations=8"], ["group.num_generations"]),
        ("rloo", [], ["ppo.critic_learning_rate"]),
        ("rloo", ["ppo.lam=0.95"], ["ppo.critic_learning_rate"]),
        (
            "rloo",
            ["ppo.critic=shared", "ppo.vf_coef=1", "group.scale_rewards=group", "group.num_generations=8"],
            ["ppo.critic_learning_rate", "ppo.vf_coef", "ppo.critic", "group.scale_rewards"],
        ),
        ("grpo", ["group.scale_rewards=group"], ["ppo.critic_learning_rate", "ppo.kl_penalty"]),
        ("grpo", ["ppo.kl_penalty=loss"], ["ppo.critic_learning_rate"]),
    ],
)
def test_settings_that_an_algorithm_has_no_use_for_are_named(algorithm, settings, unread):
    """Of a preset, which is for PPO; it serves the other algorithms without change, and so does the file of a run."""
    config = load_config("hh-small", ["data.pairs=x", f"algorithm={algorithm}", *settings])
    assert config.unread() == unread
    assert RunConfig.model_validate(config.model_dump()).unread() == unread


@pytest.mark.parametrize(
    ("settings", "unread"),
    [
        (["monitor.prompts=50", "monitor.drift=false"], ["monitor.prompts", "monitor.drift"]),
        (["monitor.prompts=200", "monitor.drift=true"], []),
        (["monitor.judge=held_out"], ["monitor.judge"]),
        (["monitor.prompts=50", "monitor.drift=false", "monitor.every=4"], []),
    ],
)
def test_settings_that_a_run_without_looks_has_no_use_for_are_named(settings, unread):
    assert load_config("hh-small", ["data.pairs=x", *settings]).unread() == unread


WORLD = {"data": {"world": {}, "pairs": None}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"refresh": {"when": "drift"}}, "arms.frft: when: drift needs looks"),
        ({"refresh": {"when": "alarms"}}, "arms.frft: when: alarms needs looks"),
        ({"refresh": {"when": "drift"}, "monitor": {"every": 2, "drift": False}}, "when: drift needs monitor.drift"),
        ({"monitor": {"every": 2, "judge": "gold"}}, "monitor.judge: gold needs data.world"),
        ({"monitor": {"stop": True}}, "stops at a look"),
        ({"monitor": {"every": 2, "prompts": 19}}, "greater than or equal to 20"),
    ],
)
def test_looks_that_cannot_be_had_are_refused(sections, message):
    with pytest.raises(ValidationError, match=message):
        run_config(**sections)


def test_looks_that_can_be_had():
    assert run_config(monitor={"every": 2}, refresh={"when": "drift", "alpha": 9}).arm("frft").when == "drift"
    assert run_config(**WORLD, monitor={"every": 2, "judge": "gold"}).monitor.judge == "gold"


@pytest.mark.parametrize(
    ("settings", "unread"),
    [
        ([], []),
        (["data.world.train_prompts=2000", "data.world.evaluation_prompts=300"], []),
        (["data.world.train_prompts=500"], ["data.world.train_prompts"]),
        (["judge.train.per_device_train_batch_size=4"], ["judge"]),
        (
            ["judge.train.per_device_train_batch_size=4", "evaluation.tie_margin=0.1"],
            ["judge", "evaluation.tie_margin"],
        ),
        (["judge.train.max_length=64", "monitor.every=50"], []),
        (["monitor.judge=gold"], ["monitor.judge"]),
        (["judge.train.max_length=64", "monitor.every=50", "monitor.judge=gold"], ["judge"]),
    ],
)
def test_settings_that_a_world_has_no_use_for_are_named(settings, unread):
    assert load_config("demo", settings).unread() == unread


def test_a_judge_in_a_world_is_read_where_looks_ask_for_one():
    settings = {"judge": {"normalise_samples": 7}, "data": {"world": {}, "judge_fraction": 0.5}}
    assert {"judge", "data.judge_fraction"} <= set(run_config(**settings).unread())
    assert not {"judge", "data.judge_fraction"} & set(run_config(**settings, monitor={"every": 2}).unread())
    too_long = settings | {"judge": {"train": {"max_length": 4096}}}
    assert run_config(**too_long).unread()
    with pytest.raises(ValidationError, match=r"judge\.train\.max_length"):
        run_config(**too_long, monitor={"every": 2})


NAMED = {"evaluation": {"judge": "openai:m"}}


def test_a_judge_with_a_name_is_trained_nowhere_unless_looks_ask_for_one():
    assert run_config().trains_judge
    assert not run_config(**NAMED).trains_judge
    assert run_config(**NAMED, judge={"normalise_samples": 7}).unread() == ["judge"]
    assert run_config(**NAMED, monitor={"every": 2}).judge_of_looks == "evaluation"
    assert not run_config(**NAMED, monitor={"every": 2}).trains_judge
    assert run_config(**NAMED, monitor={"every": 2, "judge": "held_out"}).trains_judge
    assert run_config(monitor={"every": 2}).judge_of_looks == "held_out"
    assert run_config(**WORLD, monitor={"every": 2}).trains_judge
    assert not run_config(**WORLD, monitor={"every": 2, "judge": "evaluation"}).trains_judge


def test_options_of_a_judge_that_is_not_named_are_unread():
    options = {"tie_margin": 0.1, "base_url": "http://x/v1", "concurrency": 8}
    assert run_config(evaluation=options).unread() == ["evaluation.base_url"]
    assert run_config(**WORLD, evaluation=options).unread() == ["evaluation.tie_margin", "evaluation.base_url"]


@pytest.mark.parametrize("request_", ['{"temperature": 1}', {"temperature": 1}])
def test_more_of_a_request_is_an_object_in_yaml_or_in_json(request_):
    assert json.loads(run_config(evaluation={"judge_request": request_}).evaluation.judge_request) == {"temperature": 1}
    with pytest.raises(ValidationError, match="must be a JSON object"):
        run_config(evaluation={"judge_request": "[1]"})


def test_a_judge_of_which_nothing_is_said_is_trained_as_the_reward_model_is():
    reward = {"normalise_samples": 7, "train": {"max_length": 64}}
    assert run_config(reward=reward).judge_model == run_config(reward=reward).reward
    assert run_config(reward=reward, judge={"normalise_samples": 9}).judge_model.train.max_length == 256
    assert load_config("demo", ["monitor.every=4"]).judge_model.train.max_length == 128
