"""The public surface: what is promised is there and typed, is all that its own signatures need, and costs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import frft

SOURCE = Path(frft.__file__).parent
ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

INTERNAL = {
    *(
        "Section",
        "Ground",
        "Side",
        "TaskRow",
        "Source",
        "Annotator",
        "RowPair",
        "PickConfig",
    ),  # parts of settings and of figures
    *("LogisticModel", "PredictorTest", "PredictedOutcome", "LinkState", "Change", "Curve", "PolicyAlgorithm"),
    *("Floats", "Indices", "PairTable", "RowNumbers"),  # other names of arrays and tables
    *("Annotators", "DomainRewards", "Drafts", "Targets"),  # what worlds and PPO pass between their own methods
    *("Peers", "Build", "Encoder", "SharedStore"),  # of the store and of models
    # Parts of results (docs/results.md), which are reached through those that are members.
    *("DataFigures", "GateComparison", "GoldEvaluation", "GoldFigures", "GoldView", "JudgeFigures", "MachineFigures"),
    *("ModelChange", "OpenValue", "OwnTextAccuracy", "PoolPairAccuracy", "SelectionCounts", "StoredValue", "Workers"),
    *("RefreshedModelSummary", "RewardModelSummary", "LabellerSummary", "AuditInfo", "GateLabels"),
}
"""Types in signatures of the surface that nobody needs to name who uses it."""


@cache
def tree(module: str) -> ast.Module:
    path = SOURCE.parent / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text())


@cache
def imported(module: str) -> dict[str, str]:
    """The names of frft that a module imports, under whatever condition, with the modules that they come from."""
    return {
        alias.asname or alias.name: str(line.module)
        for line in ast.walk(tree(module))
        if isinstance(line, ast.ImportFrom) and str(line.module).startswith("frft")
        for alias in line.names
    }


def defined(module: str) -> dict[str, ast.stmt]:
    """The public names that a module defines itself."""
    found: dict[str, ast.stmt] = {}
    for line in tree(module).body:
        names = [getattr(line, "name", None)]
        if isinstance(line, ast.Assign):
            names = [target.id for target in line.targets if isinstance(target, ast.Name)]
        elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            names = [line.target.id]
        found |= {name: line for name in names if name and not name.startswith("_")}
    return found


def surface() -> dict[str, str]:
    """Every public name but the version, with the module that the surface takes it from."""
    return {name: module for name, module in imported("frft").items() if name in frft.__all__}


def annotations(node: ast.AST, top: bool = True) -> Iterator[ast.AST]:
    """What the public signatures and fields of a function, a class or an alias are annotated with."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if top or not node.name.startswith("_") or node.name in ("__init__", "__call__"):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from (each.annotation for each in every if each.annotation is not None)
            yield from [] if node.returns is None else [node.returns]
    elif isinstance(node, ast.ClassDef):
        yield from node.bases
        for part in node.body:
            yield from annotations(part, top=False)
    elif isinstance(node, ast.AnnAssign) and not getattr(node.target, "id", "_").startswith("_"):
        yield node.annotation
        yield from [node.value] if top and node.value is not None else []
    elif isinstance(node, ast.Assign) and top:
        yield node.value


def named_in(annotation: ast.AST) -> Iterator[str]:
    for part in ast.walk(annotation):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            # Of an alias in quotes; other strings, as in Literal["top"], name nothing that is imported.
            yield from re.findall(r"\b[A-Z]\w+", part.value)


def needed() -> dict[str, str]:
    """Types of frft in the signatures of the surface that are not on it, with one place each."""
    missing = {}
    for name, module in surface().items():
        for annotation in annotations(defined(module)[name]):
            for part in named_in(annotation):
                ours = part in imported(module) or part in defined(module)
                if (
                    ours
                    and part not in surface()
                    and part not in INTERNAL
                    and part[:1].isupper()
                    and not part.isupper()
                ):
                    missing[part] = f"{module}.{name}"
    return missing


def test_every_member_is_there_and_says_what_it_is():
    assert frft.__all__ == ["__version__", *surface()]
    assert len(frft.__all__) > 100
    for name in surface():
        member = getattr(frft, name)
        assert member.__doc__ or not isinstance(member, type), name
    assert dir(frft) == sorted(frft.__all__)


def test_members_are_imported_from_the_files_that_define_them():
    elsewhere = {name: module for name, module in surface().items() if name not in defined(module)}
    assert not elsewhere, f"Import these from the file that defines them: {elsewhere}"


def test_no_member_has_the_name_of_a_room():
    rooms = {path.stem for path in SOURCE.iterdir()}
    assert not rooms & set(frft.__all__)


def test_the_surface_holds_whatever_its_signatures_name():
    assert not needed(), "Types that callers need to name: put them on the surface (or, with a reason, into INTERNAL)."
    assert not INTERNAL & set(frft.__all__)


def test_every_error_and_every_section_is_a_member():
    errors = {name for name in defined("frft.errors") if name.endswith("Error")}
    run = ast.unparse(defined("frft.config.model")["RunConfig"])
    sections = {name for name in imported("frft.config.model") if name.endswith("Config") and name in run}
    assert errors | sections <= set(frft.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_import_from_frft_alone_and_name_only_what_is_there(page):
    text = page.read_text()
    deep = re.findall(r"(?:from|import) frft\.[\w.]+", text)
    assert not deep, "Import from frft itself; what is missing there belongs on the surface."
    # `frft.x` in prose and in code, but neither options such as frft.yaml nor modules that a sentence points to.
    named = set(re.findall(r"\bfrft\.(\w+)", text)) - {path.stem for path in SOURCE.iterdir()}
    assert named <= {*frft.__all__, "cli"}, "These are not on the surface."


def test_an_unknown_member_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'AlignReward'"):
        _ = frft.AlignReward


def test_importing_the_package_imports_none_of_its_rooms():
    code = "import frft, sys; print([name for name in sys.modules if name.startswith('frft.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_star_imports_the_surface():
    names: dict[str, object] = {}
    exec("from frft import *", names)
    assert set(frft.__all__) <= names.keys()
