"""The fingerprint of the code that builds a stage: what changes it, and what does not."""

import ast
import importlib
import sys
from functools import partial
from pathlib import Path

import pytest

import frft
from frft.reward.stages import FineTuningStage
from frft.selection.vectors import VectorCache
from frft.store import code
from frft.store.code import closure, code_of, code_of_modules, fingerprint, source_of

PACKAGE = {
    "__init__.py": "",
    "errors.py": "class Wrong(Exception): pass",
    "steps.py": """
        from typing import TYPE_CHECKING
        from frft.errors import Wrong
        from frft.models import load as read
        if TYPE_CHECKING:
            from frft.report import Page
        def build(path):
            from frft.policy.train import train
            return train(read(path))
    """,
    "report.py": "class Page: pass",
    "models/__init__.py": "from frft.models.loading import load\nfrom frft.models.saving import save\n__all__ = []",
    "models/loading.py": "from . import words\nWORDS = 'a'\ndef load(path): return words.ALL",
    "models/saving.py": "def save(path): pass",
    "models/words.py": "ALL = 1",
    "models/words.txt": "one two",
    "policy/__init__.py": "import frft.policy.patch\nfrom frft.policy.train import train\nfrft.policy.patch.apply()",
    "policy/patch.py": "def apply(): pass",
    "policy/train.py": "RATE = 0.1\ndef train(model): return model",
}


def forget():
    for value in vars(code).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in the place of frft; gives a function that writes a file of it."""
    import textwrap

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        forget()

    for name, text in PACKAGE.items():
        write(name, text)
    monkeypatch.setattr(code, "_root", lambda: tmp_path)
    yield write
    monkeypatch.undo()
    forget()


def test_the_closure_is_what_a_module_imports_wherever_it_does(package):
    assert closure("frft.steps") == {
        "frft.steps",
        "frft.models.loading",  # by way of the package, under another name
        "frft.models.words",  # relatively
        "frft.policy.train",  # within a function
        "frft.policy",  # this package does something when it is imported
        "frft.policy.patch",
    }


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("steps.py", PACKAGE["steps.py"] + "\n        SEED = 1"),
        ("models/loading.py", PACKAGE["models/loading.py"].replace("'a'", "'b'")),
        ("models/words.py", "ALL = 2"),
        ("models/words.txt", "one three"),
        ("policy/train.py", PACKAGE["policy/train.py"].replace("0.1", "0.2")),
        ("policy/patch.py", "def apply(): print()"),
        ("models/__init__.py", "from frft.models.saving import save as load"),
    ],
)
def test_an_edit_of_what_builds_a_stage_changes_it(package, file, text):
    before = fingerprint("frft.steps")
    package(file, text)
    assert fingerprint("frft.steps") != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("report.py", "class Page: title = 1"),
        ("errors.py", "class Wrong(Exception): code = 1"),
        ("models/saving.py", "def save(path): path.touch()"),
        ("models/other.py", "X = 1"),
        (
            "policy/train.py",
            '"""Words."""\n# A comment.\nRATE = 0.1\n"""The rate."""\n\ndef train( model ):\n  "What?"\n  return model',
        ),
    ],
)
def test_an_edit_of_anything_else_does_not(package, file, text):
    before = fingerprint("frft.steps")
    package(file, text)
    assert fingerprint("frft.steps") == before


def test_the_code_of_a_function_of_a_method_and_of_a_stranger():
    assert code_of(FineTuningStage.build) == code_of_modules("frft.reward.stages.fine_tuning")

    class Derived(VectorCache):
        build = VectorCache.get

    own = Derived.__new__(Derived)
    assert code_of(own.build) == code_of_modules("frft.selection.vectors"), "that of the class that it derives from"
    assert code_of(forget)["frft"] == frft.__version__
    assert source_of(FineTuningStage.build).startswith("frft.reward.stages.fine_tuning.FineTuningStage.build ")
    assert source_of(FineTuningStage.build).split()[1] == fingerprint("frft.reward.stages.fine_tuning")


def test_libraries_are_the_installed_ones():
    import torch
    import trl

    versions = code_of(forget)["libraries"]
    assert (versions["torch"], versions["trl"]) == (torch.__version__, trl.__version__)


def test_it_covers_at_least_what_python_imports():
    """What is in memory after a module was imported, less what packages pass on to nobody."""
    for name in ("frft.selection.vectors", "frft.policy.ppo.trainer", "frft.reward.stages.fine_tuning"):
        importlib.import_module(name)
        found = closure(name)
        assert name in found
        for module in found:
            # Whatever a module of frft refers to is defined in a module of the closure.
            for value in vars(importlib.import_module(module)).values():
                home = getattr(value, "__module__", None)
                if isinstance(home, str) and home.startswith("frft.") and home in sys.modules:
                    assert home in found or home.startswith(code.SILENT_MODULES), f"{module} uses {home}"


def test_packages_of_frft_do_nothing_but_pass_on_names():
    """Else every stage that uses a room would depend on all of it."""
    root = Path(frft.__file__).parent
    busy = {
        ".".join(["frft", *path.parent.relative_to(root).parts])
        for path in root.rglob("__init__.py")
        if path.parent != root
    }
    assert {name for name in busy if not code._only_passes_on(name)} <= {"frft.cli", "frft.config.presets"}


def test_no_imports_by_names_that_only_run_time_knows():
    """`import_module` is invisible to the fingerprint; where it is used, no stage is built by what it imports."""
    root = Path(frft.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("import_module", "importlib.import_module")
    }
    assert users <= {"__init__.py", "experiment/processes.py", "policy/__init__.py"}


def test_what_is_wrapped_counts():
    assert code_of(partial(FineTuningStage.build, number=1)) == code_of(FineTuningStage.build)
    assert code_of(VectorCache.__new__(VectorCache)) == code_of(VectorCache.get), "an object that is called"
