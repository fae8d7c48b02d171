"""Judges by name: what each reads, what tells two apart, and kinds that other packages bring."""

from __future__ import annotations

import json

import pytest

from frft.config.sections import JudgeOptions, WorldConfig
from frft.errors import UsageError
from frft.evaluation import ChatJudge, GoldJudge, RewardJudge, ScoringJudge, StoredAnnotations
from frft.evaluation.judge_names import JudgeRequest, judge_kinds, named_judge, unread_options
from frft.reward import RewardModel
from frft.worlds import World, write_world

PLUGIN = """
from frft import JudgeKind

class Shorter:
    description = "whoever writes less"

    def prefer(self, prompts, first, second):
        return [(len(a) < len(b)) + (len(a) == len(b)) / 2 for a, b in zip(first, second)]

    def counts(self):
        return {}

kind = JudgeKind("shorter", "UNIT", lambda request: Shorter())
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_lm_folder):
    """A world, a reward model and annotations."""
    root = tmp_path_factory.mktemp("judges")
    write_world(
        World(WorldConfig(pool_size=20, demonstrations=20, train_prompts=20, evaluation_prompts=20)), root / "w"
    )
    RewardModel.load(tiny_lm_folder, seed=0, max_length=64).save(root / "rm")
    row = {"prompt": "p", "first": "a", "second": "b", "preference": 1}
    (root / "a.jsonl").write_text(json.dumps(row) + "\n")
    return root


@pytest.fixture
def installed(install_package):
    """Installs a package with one entry point of the group `frft.judges`, for the time of a test."""

    def install(module: str, point: str, version: str = "1.0") -> None:
        install_package("frft_shorter", module, f"[frft.judges]\n{point}\n", version)

    return install


def named(name, options=None, **more):
    return named_judge(name, JudgeRequest("", options or JudgeOptions(), **more))


def test_every_kind_opens_a_judge_that_does_what_the_kind_says(folders, endpoint, tmp_path):
    opened = {
        f"gold:{folders / 'w'}": GoldJudge,
        f"rm:{folders / 'rm'}": RewardJudge,
        f"annotations:{folders / 'a.jsonl'}": StoredAnnotations,
        "openai:m": ChatJudge,
    }
    assert {name.partition(":")[0] for name in opened} == set(judge_kinds())
    for name, kind in opened.items():
        options = JudgeOptions(base_url=endpoint.url) if kind is ChatJudge else JudgeOptions()
        found = named(name, options, verdicts=tmp_path / "verdicts.jsonl")
        judge = found.open()
        assert type(judge) is kind
        assert isinstance(judge, ScoringJudge) == found.scores
        assert judge.description
        json.dumps([judge.counts(), found.identity])


def test_a_judge_that_scores_prefers_the_higher_score(folders):
    prompt = "\n\nHuman: Name a tool.\n\nAssistant:"
    prompts, first, second = [prompt] * 3, [" a saw", " a dog", " x"], [" ", " an axe", " x"]
    for name in (f"gold:{folders / 'w'}", f"rm:{folders / 'rm'}"):
        judge = named(name).open()
        one, two = judge.score(prompts, first), judge.score(prompts, second)
        assert judge.prefer(prompts, first, second) == [
            1.0 if a > b else 0.0 if a < b else 0.5 for a, b in zip(one, two, strict=True)
        ]
    assert named(f"gold:{folders / 'w'}").open().prefer(prompts, first, second) == [1.0, 0.0, 0.5]


def test_options_reach_the_judge_and_a_cut_is_counted(folders):
    judge = named(f"rm:{folders / 'rm'}", JudgeOptions(tie_margin=1e9)).open()
    assert judge.prefer(["p"], [" yes"], [" no" * 100]) == [0.5]
    counted = judge.counts()["truncated"]
    assert (counted["sequences"], counted["completions_truncated"]) == (2, 1)


def test_a_chat_model_is_priced(endpoint):
    judge = named("openai:m", JudgeOptions(base_url=endpoint.url, price=(2.0, 10.0), judge_request={"seed": 1})).open()
    judge.prefer(["p"], ["a"], ["b"])
    assert judge.counts()["cost"] == pytest.approx((100 * 2 + 7 * 10) / 1e6)
    assert endpoint.requests[0]["seed"] == 1


def test_what_decides_verdicts_tells_judges_apart_and_nothing_else_does(folders, tmp_path):
    def identity(name, **options):
        return json.dumps(named(name, JudgeOptions(**options)).identity, sort_keys=True)

    chat = identity("openai:m", base_url="http://a/v1")
    assert chat == identity("openai:m", base_url="http://a/v1", concurrency=2, price=(1, 2))
    others = [
        identity("openai:n", base_url="http://a/v1"),
        identity("openai:m", base_url="http://b/v1"),
        identity("openai:m", base_url="http://a/v1", judge_request={"temperature": 1}),
    ]
    assert len({chat, *others}) == 4
    # A copy is the same judge, and another text is not.
    copy = tmp_path / "copy.jsonl"
    copy.write_text((folders / "a.jsonl").read_text())
    assert identity(f"annotations:{copy}") == identity(f"annotations:{folders / 'a.jsonl'}")
    copy.write_text(copy.read_text() * 2)
    assert identity(f"annotations:{copy}") != identity(f"annotations:{folders / 'a.jsonl'}")
    assert identity(f"rm:{folders / 'rm'}") != identity(f"rm:{folders / 'rm'}", judge_max_length=32)
    template = folders / "template.jinja"
    template.write_text("{{ messages[0]['content'] }}")
    before = identity(f"rm:{folders / 'rm'}", judge_chat_template=str(template))
    template.write_text("{{ messages[-1]['content'] }}")
    assert identity(f"rm:{folders / 'rm'}", judge_chat_template=str(template)) != before


def test_the_key_is_no_part_of_an_identity(endpoint):
    found = named("openai:m", JudgeOptions(base_url=endpoint.url))
    assert "sk-secret" not in json.dumps(found.identity) + found.open().description


@pytest.mark.parametrize("name", ["gold", "gold:", "nobody:x", ""])
def test_a_name_of_no_kind_is_refused_with_those_that_there_are(name):
    with pytest.raises(
        UsageError, match=r"gold:WORLD_FOLDER, rm:REWARD_MODEL, annotations:FILE or openai:MODEL"
    ) as refused:
        named_judge(name, JudgeRequest("", JudgeOptions()), setting="evaluation.judge")
    assert str(refused.value).startswith(f"evaluation.judge is {name!r}")


def test_options_that_a_judge_has_no_use_for():
    options = JudgeOptions(tie_margin=0.1, base_url="http://x/v1")
    assert unread_options("rm:x", options) == ["base_url"]
    assert unread_options("openai:x", options) == ["tie_margin"]
    assert unread_options("gold:x", options) == ["tie_margin", "base_url"]


def test_a_kind_of_another_package(installed):
    installed(PLUGIN, "shorter = frft_shorter:kind")
    found = named("shorter:characters")
    assert found.open().prefer(["p"] * 3, ["a", "aa", "a"], ["aa", "a", "b"]) == [1.0, 0.0, 0.5]
    assert not found.scores
    before = found.identity
    installed(PLUGIN, "shorter = frft_shorter:kind", version="1.1")
    assert named("shorter:characters").identity != before
    with pytest.raises(UsageError, match="shorter:UNIT"):
        named("nobody:x")


@pytest.mark.parametrize(
    ("module", "point", "fault"),
    [
        ("kind = 1", "x = frft_shorter:kind", "is a int; it must be a frft.evaluation.JudgeKind"),
        ("1 / 0", "x = frft_shorter:kind", "cannot be loaded: ZeroDivisionError: division by zero"),
        (PLUGIN.replace('"shorter"', '"rm"'), "x = frft_shorter:kind", "has the name of another kind of judge, 'rm'"),
    ],
)
def test_a_package_whose_kind_is_none_is_named(installed, module, point, fault):
    installed(module, point)
    with pytest.raises(UsageError, match="The judge 'x'") as refused:
        named("rm:x")
    assert fault in str(refused.value)
