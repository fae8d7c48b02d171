"""Which strategies there are: those of the package, those of installed ones, and what is wrong with some of these."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from frft.config.sections import FixedActorConfig, RefreshConfig, SelectionConfig
from frft.errors import SettingsError, UsageError
from frft.strategies import BUILT_IN, Strategy, described_strategies, get_strategy, strategy_names, strategy_origin

OWN = """
from frft.strategies import Strategy
STRATEGY = Strategy(name="own", description="the first pair", rank=lambda pool: [0])
"""
ENTRY = "[frft.strategies]\n{} = my_own:STRATEGY\n"


def test_the_names_are_those_of_the_objects_and_of_installed_packages(install_package):
    built_in = [strategy.name for strategy in BUILT_IN]
    assert strategy_names() == built_in
    assert all(get_strategy(name).name == name and strategy_origin(name) is None for name in built_in)
    install_package("my_own", OWN, ENTRY.format("own"))
    assert strategy_names() == [*built_in, "own"]
    assert SelectionConfig(strategy="own").strategy == "own"
    assert FixedActorConfig(strategies=["own"]).strategies == ["own"]
    assert "own: of the package my-own" in described_strategies()


def test_a_package_is_imported_when_its_strategy_is_asked_for(install_package):
    install_package("my_own", OWN, ENTRY.format("own"))
    assert "own" in strategy_names()
    assert "own" in described_strategies()
    get_strategy("part1")
    assert "my_own" not in sys.modules
    get_strategy("own")
    assert "my_own" in sys.modules


def test_help_lists_all_strategies_and_imports_none(install_package):
    folder = install_package("my_own", "raise AssertionError('imported')", ENTRY.format("own"))
    command = [sys.executable, "-c", "from frft.cli import main; main(['select', '--help'])"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = " ".join(shown.replace("│", " ").split())
    assert all(f"{strategy.name}: {strategy.description}" in words for strategy in BUILT_IN)
    assert "own: of the package my-own" in words
    assert folder.exists()


def test_an_edit_of_the_code_or_another_version_is_another_origin(install_package):
    install_package("my_own", OWN, ENTRY.format("own"))
    found = [strategy_origin("own")]
    install_package("my_own", OWN.replace("[0]", "[1]"), ENTRY.format("own"))
    found.append(strategy_origin("own"))
    install_package("my_own", OWN.replace("[0]", "[1]"), ENTRY.format("own"), version="2.0")
    found.append(strategy_origin("own"))
    assert all(each["package"] == "my-own" for each in found)
    assert found[0] != found[1] != found[2]
    assert found[1]["code"] == found[2]["code"]


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("import no_such_module", "own", r"package my-own .* cannot be loaded: ModuleNotFoundError: .*no_such_module"),
        ("STRATEGY = len", "own", r"is a builtin_function_or_method; it must be a frft\.strategies\.Strategy"),
        (OWN, "other", r"'other' of the package my-own .* with the name 'own'"),
        (OWN.replace("rank=", "takes_all=True, threshold=1, rank="), "own", "has a threshold for cosines, but reads"),
        (OWN, "part1", r"Several strategies are named part1: those of frft itself and the package my-own"),
    ],
)
def test_a_broken_or_clashing_package_is_named(install_package, module, name, message):
    install_package("my_own", module, ENTRY.format(name))
    with pytest.raises(UsageError, match=message):
        get_strategy(name)
    with pytest.raises(SettingsError, match=message):
        SelectionConfig(strategy=name)
    # Others go on as before.
    assert get_strategy("part2").name == "part2"


def test_two_packages_that_claim_a_name_are_both_named(install_package):
    install_package("my_own", OWN, ENTRY.format("own"))
    install_package("your_own", OWN, ENTRY.format("own").replace("my_own", "your_own"))
    with pytest.raises(UsageError, match=r"named own: those of the package (my|your)-own .* and the package"):
        get_strategy("own")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("part5", r"There is no strategy 'part5'\. Did you mean part\d or part\d"),
        ("zzz", "The strategies are part1, part2"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, message):
    with pytest.raises(UsageError, match=message):
        get_strategy(name)
    with pytest.raises(ValidationError, match=message):
        RefreshConfig.model_validate({"selection": {"strategy": name}})


@pytest.mark.parametrize("name", [each.name for each in BUILT_IN if not each.ranks_by_samples_alone])
def test_the_benchmark_refuses_what_samples_alone_cannot_rank(name):
    assert name in {"policy_ratio", "source", "column", "all", "none"}
    with pytest.raises(SettingsError, match=f"the strategy {name} cannot be compared here"):
        FixedActorConfig(strategies=[name])


def test_a_strategy_without_a_rank_function_reads_nothing():
    with pytest.raises(ValueError, match="nothing that it could read"):
        Strategy(name="x", description="", rank=None, reads="cosines")


def test_the_page_of_strategies_lists_what_there_is():
    page = (Path(__file__).resolve().parents[2] / "docs/strategies.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    yes = {True: "yes", False: "no"}
    assert rows == [
        f"| `{each.name}` | {each.description} | {each.reads or 'nothing'}{', sources' * bool(each.columns)}"
        f"{', a column' * each.needs_column} | "
        f"{yes[(each.chooses and not each.needs_models) or each.takes_all]} | {yes[each.ranks_by_samples_alone]} |"
        for each in BUILT_IN
    ]
