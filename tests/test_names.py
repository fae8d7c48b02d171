"""One word per concept: a public name is defined in one file, and no function hides the file that it stands in."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import frft

ROOT = Path(frft.__file__).parent


def names_defined(statement: ast.stmt) -> Iterator[str]:
    """The public names that a statement at the top of a file defines."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            found = [name]
        case ast.Assign(targets=targets):
            found = [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            found = [name]
        case _:
            found = []
    yield from (name for name in found if not name.startswith("_"))


def defined_in(root: Path) -> dict[str, list[str]]:
    """Of every public name, the files that define it."""
    files = defaultdict(list)
    for file in sorted(root.rglob("*.py")):
        for statement in ast.parse(file.read_text()).body:
            for name in names_defined(statement):
                files[name].append(file.relative_to(root).as_posix())
    return files


def hidden_in(root: Path) -> list[str]:
    """The files and folders whose place in their package is taken by a name that `__init__` imports."""
    return [
        f"{package.parent.relative_to(root).as_posix()}/{name}"
        for package in sorted(root.rglob("__init__.py"))
        for statement in ast.parse(package.read_text()).body
        if isinstance(statement, ast.ImportFrom)
        for name in (alias.asname or alias.name for alias in statement.names)
        if (package.parent / f"{name}.py").exists() or (package.parent / name).is_dir()
    ]


def test_a_public_name_is_defined_once():
    twice = {name: files for name, files in defined_in(ROOT).items() if len(files) > 1}
    assert not twice, f"Names of two things, or things written twice: {twice}. Rename one, or import it."


def test_no_file_is_hidden_by_a_name_of_its_package():
    hidden = hidden_in(ROOT)
    assert not hidden, f"`from frft.x import y` gives the function, not the file: {hidden}. Rename the file."


def test_what_these_tests_look_for_is_found(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(
            "class Twice: ...\nONCE_HERE: int = 1\n_private = 2\n" if name == "a.py" else "Twice = 1\n"
        )
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").write_text("from frft.room.cut import cut\n")
    (tmp_path / "room" / "cut.py").write_text("def cut(): ...\n")
    found = defined_in(tmp_path)
    assert found["Twice"] == ["a.py", "b.py"]
    assert set(found) == {"Twice", "ONCE_HERE", "cut"}
    assert hidden_in(tmp_path) == ["room/cut"]
