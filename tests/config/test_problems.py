"""What a person reads when a configuration is wrong."""

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from frft.config.layers import Layer
from frft.config.model import RunConfig
from frft.config.problems import explain, leaves, plain_message
from frft.config.sections import RefreshConfig, SelectionConfig
from frft.errors import SettingsError


def explained(values):
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate(values)
    return explain(caught.value, [Layer("f", values)]).splitlines()


VANILLA = {"vanilla": {"alpha": 0}}
CASES = [
    ({"ppo": {"total_stps": 3}}, "ppo.total_stps: unknown key; did you mean total_steps?"),
    ({"threshold": 0.3}, "threshold: unknown key; did you mean refresh.selection.threshold?"),
    ({"ppo": {"top_k": 3}}, "ppo.top_k: unknown key; did you mean ppo.sampling.top_k?"),
    (
        {"evaluation": {"zork": 3}},
        "evaluation.zork: unknown key; the keys here are tie_margin, judge_max_length, judge_chat_template, base_url, "
        "judge_request, concurrency, price, judge, prompts, max_prompts, sampling",
    ),
    ({"seed": True}, "seed: must not be true or false, got true"),
    ({"seed": "x"}, "seed: must be a whole number, got 'x'"),
    ({"seed": 2**32}, "seed: must be below 4294967296, got 4294967296"),
    ({"seed": {"a": 1}}, "seed: must be a whole number, got {'a': 1}"),
    ({"threads": "x"}, "threads: must be a whole number or null, got 'x'"),
    ({"ppo": {"num_ppo_epochs": 1.5}}, "ppo.num_ppo_epochs: must be a whole number, got 1.5"),
    ({"ppo": {"lam": float("nan")}}, "ppo.lam: must be a finite number, got nan"),
    ({"ppo": {"lam": "nan"}}, "ppo.lam: must be a finite number, got 'nan'"),
    ({"ppo": {"lam": 1.5}}, "ppo.lam: must be at most 1.0, got 1.5"),
    ({"ppo": {"kl_coef": -1}}, "ppo.kl_coef: must be at least 0.0, got -1"),
    ({"ppo": {"whiten_rewards": "maybe"}}, "ppo.whiten_rewards: must be true or false, got 'maybe'"),
    ({"report_to": "tb"}, "report_to: must be one of none, tensorboard, wandb, got 'tb'"),
    ({"report_to": None}, "report_to: must be one of none, tensorboard, wandb, got null"),
    (
        {"reward": {"lora": 8}},
        "reward.lora: must be a section with keys r, lora_alpha, lora_dropout, target_modules or null, got 8",
    ),
    (
        {"reward": {"lora": {"rank": 8}}},
        "reward.lora.rank: unknown key; the keys here are r, lora_alpha, lora_dropout, target_modules",
    ),
    (
        {"refresh": {"labels": {"from": "queue", "budget": 3, "pick": "best"}}},
        "refresh.labels.pick: must be one of random, disagreement, gap, d_optimal, representative, got 'best'",
    ),
    (
        {"refresh": {"labels": {"from": "queue", "budget": 3, "bugdet": 3}}},
        "refresh.labels.bugdet: unknown key; did you mean budget?",
    ),
    ({"refresh": {"labels": {"from": "queue", "budget": 0}}}, "refresh.labels.budget: must be above 0, got 0"),
    ({"refresh": {"labels": {"from": "queue"}}}, "refresh.labels.budget: must be given"),
    ({"data": {"pairs": 5}}, "data.pairs: must be text or a list, each item text or null, got 5"),
    ({"data": {"pairs": [1, "a"]}}, "data.pairs: must be text or a list, each item text or null, got [1, 'a']"),
    ({"data": {"pairs": []}}, "data.pairs: must not be empty, got []"),
    ({"data": {"pairs": "x", 1: 2}}, "data[1]: keys must be text, got 1"),
    (
        {"data": {"pairs": "x", "judge_fraction": 0.9, "evaluation_fraction": 0.1}},
        "data: judge_fraction (0.9) and evaluation_fraction (0.1) leave no pairs to train on; "
        "their sum must be below 1",
    ),
    ({"refresh": {"at_steps": [4, "x"]}}, "refresh.at_steps[1]: must be a whole number, got 'x'"),
    ({"arms": 3}, "arms: must be a section, got 3"),
    ({"arms": {"vanilla": {}}}, "arms: must hold `vanilla: {alpha: 0}`, what all others are compared with"),
    (
        {"arms": {**VANILLA, "p": {"selection": {"stategy": "part1"}}}},
        "arms.p.selection.stategy: unknown key; did you mean strategy?",
    ),
    (
        {"arms": {**VANILLA, "p": {"threshold": 1}}},
        "arms.p.threshold: unknown key; did you mean arms.p.selection.threshold?",
    ),
    (
        {"arms": {**VANILLA, "p": {"selection": {"size": -3}}}},
        "arms.p.selection.size: must be above 0, got -3",
    ),
    (
        {"arms": {**VANILLA, "p": {"alpha": 2, "at_steps": [3]}}},
        "arms.p: at_steps names 1 steps, but alpha is 2",
    ),
    (
        {"arms": {**VANILLA, "p": {"alpha": 40}}},
        "arms.p: alpha 40 does not fit into ppo.total_steps (32): a refresh at or after the last step changes nothing",
    ),
    (
        {"arms": {**VANILLA, "p": None}},
        f"arms.p: must be a section with keys {', '.join(RefreshConfig.model_fields)}, got null",
    ),
    ({"arms": {**VANILLA, 3: {}}}, "arms[3]: keys must be text, got 3"),
    (
        {"arms": {**VANILLA, "a/b": {}}},
        "arms.a/b: a name is at most 64 letters, digits, - and _, the first a letter or digit, got 'a/b'",
    ),
    (
        {"policy": {"scratch": {"max_position_embeddings": 383}}},
        "ppo.sampling.max_prompt_tokens + ppo.sampling.max_new_tokens (384): more than "
        "policy.scratch.max_position_embeddings (383)",
    ),
    (
        {"\x1b[31m": "\x1b[32m"},
        r"'\x1b[31m': unknown key; the keys here are seed, seeds, report_to, threads, workers, data, policy, reward, "
        "judge, embedder, algorithm, ppo, group, refresh, monitor, arms, evaluation",
    ),
]


@pytest.mark.parametrize(("values", "message"), CASES)
def test_each_problem_is_one_line(values, message):
    assert explained({"data": {"pairs": "x"}, **values}) == [f"f: {message}"]


def test_all_problems_are_told():
    wrong = {key: value for values, _ in CASES[:3] for key, value in values.items()}
    lines = explained({"data": {}, **wrong, "arms": {**VANILLA, "p": {"alpha": "x", "init": 1}}})
    assert len(lines) == 5


def test_a_broken_refresh_hides_contradictions_with_it_but_not_an_arms_own_mistakes():
    arms = {"vanilla": {"alpha": 0}, "a": {"at_steps": [1, 2]}, "b": {"alpha": "x"}}
    values = {"data": {"pairs": "x"}, "refresh": {"alpha": 2, "zork": 1}, "arms": arms}
    lines = explained(values)
    assert len(lines) == 2
    assert lines[0].startswith("f: refresh.zork: unknown key")
    assert lines[1] == "f: arms.b.alpha: must be a whole number, got 'x'"


def test_no_setting_is_required_by_itself():
    # Of `data.pairs` and `data.world`, one is given (`DataConfig` says so). Fresh labels are asked for only where the
    # section is there, which then says from whom and how many.
    assert [path for path, field in leaves(RunConfig) if field.is_required()] == [
        ("refresh", "labels", "from"),
        ("refresh", "labels", "budget"),
    ]


def test_values_are_shown_short_and_harmless():
    (line,) = explained({"data": {"pairs": "x"}, "seed": "\x1b[31m\n" + "x" * 100_000})
    assert line.isprintable()
    assert len(line) < 200


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"size": 0}, "Input should be greater than 0, got 0"),
        ({"size": True}, "must not be true or false, got true"),
        ({"strategy": "source"}, "strategy: source needs the name of one; set source"),
    ],
    ids=["limit", "type", "contradiction"],
)
def test_a_fault_in_plain_words(values, text):
    with pytest.raises(ValidationError) as caught:
        SelectionConfig.model_validate(values)
    assert [plain_message(fault) for fault in caught.value.errors()] == [text]


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        (RefreshConfig, {"alpah": 2}, "RefreshConfig: alpah: unknown key; did you mean alpha?"),
        (RefreshConfig, {"size": 9}, "RefreshConfig: size: unknown key; did you mean selection.size?"),
        (RefreshConfig, {"selection": {"sise": 9}}, "RefreshConfig: selection.sise: unknown key; did you mean size?"),
        (
            RefreshConfig,
            {"at_steps": [4, 4], "alpha": 2},
            "RefreshConfig: at_steps must be rising, from 0 on, got [4, 4]",
        ),
        (SelectionConfig, {"size": 0}, "SelectionConfig: size: must be above 0, got 0"),
        (RunConfig, {}, "RunConfig: data: must be given"),
        (
            RunConfig,
            {"data": {"pairs": "x"}, "arms": {**VANILLA, "p": {"selection": {"stategy": "part1"}}}},
            "RunConfig: arms.p.selection.stategy: unknown key; did you mean strategy?",
        ),
    ],
)
def test_a_section_made_in_python_is_refused_in_the_same_words(section, settings, message):
    with pytest.raises(SettingsError) as caught:
        section(**settings)
    assert str(caught.value) == message


def test_every_fault_of_a_section_made_in_python_is_named():
    with pytest.raises(SettingsError) as caught:
        SelectionConfig(strategy="part9", size="many", test_size=True)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["strategy", "size", "test_size"]


def test_pydantic_finds_faults_in_a_section_within_a_model_of_its_own():
    class Mine(BaseModel):
        refresh: RefreshConfig

    # Made by pydantic, a section says nothing of its own: the path stays whole.
    with pytest.raises(ValidationError) as caught:
        Mine(refresh={"selection": {"sise": 3}})
    assert caught.value.errors()[0]["loc"] == ("refresh", "selection", "sise")

    class Strict(BaseModel):
        alpha: int

        @model_validator(mode="after")
        def _makes_a_section(self):
            RefreshConfig(alpha=self.alpha)
            return self

    # Made by a validator, it is a ValueError like any other.
    with pytest.raises(ValidationError, match="alpha: must be at least 0, got -1"):
        Strict(alpha=-1)
