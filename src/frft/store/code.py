"""Which code builds a stage: a fingerprint of frft's source, and the versions of the libraries that compute.

The fingerprint of a module covers the module and all modules of frft that it imports, at its head or within functions,
directly or not; read from the source, without running it. A name that a package passes on (`from frft.models import
generate`) counts as the module that defines it. An edit anywhere in there makes other artifacts; an edit elsewhere (a
command, a report, a module that the stage does not use) changes nothing. Comments, docstrings and layout do not count,
because syntax trees are compared.

Not covered: what is imported by a name that is only known at run time, and what a module would do to others by being
imported. A stage that is given a function by its caller must name it among its inputs (`source_of`).
"""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from types import FunctionType
from typing import Any

from frft import __version__
from frft.store.files import digest_of

PACKAGE = "frft"
SILENT_MODULES = ("frft.errors", "frft.progress", "frft.stages", "frft.stopping", "frft.store")
"""Modules that compute no result: they report, display, plan, stop or store. A change of a stored format raises its
format number instead."""
LIBRARIES = (
    "accelerate",
    "datasets",
    "numpy",
    "peft",
    "scikit-learn",
    "scipy",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
)
"""Distributions whose version may change a computed result; all others only store, display or parse."""

Code = Mapping[str, Any]
"""What stands in a manifest about the code: "frft", a fingerprint of its modules, and "libraries", their versions."""


def code_of(build: Callable[..., Any]) -> Code:
    """Identify the code that a stage's `build` runs, JSON-able; equal code and inputs build equal artifacts.

    For a method, the modules of all classes of its object count. A function from outside of frft has frft's version
    instead of a fingerprint: whoever passes it must name what it does among the inputs.
    """
    while isinstance(build, partial):
        build = build.func
    owner = getattr(build, "__self__", None if isinstance(build, FunctionType) else build)
    modules = {build.__module__} if owner is None else {each.__module__ for each in type(owner).__mro__}
    own = sorted(name for name in modules if name == PACKAGE or name.startswith(f"{PACKAGE}."))
    return code_of_modules(*own)


@cache
def code_of_modules(*modules: str) -> Code:
    """Identify the code of modules of frft given by name, in the form of `code_of`; no modules: frft's version."""
    return {"frft": fingerprint(*modules) if modules else __version__, "libraries": library_versions()}


def source_of(function: Callable[..., Any]) -> str:
    """An identity for a function among a stage's inputs: its qualified name, and the fingerprint of its module."""
    name = f"{function.__module__}.{function.__qualname__}"
    return f"{name} {code_of(function)['frft']}"


@cache
def library_versions() -> dict[str, str]:
    """The installed versions of `LIBRARIES`."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def fingerprint(*modules: str) -> str:
    """SHA-256 over the syntax trees of these modules of frft and all that they import of it, in hexadecimal."""
    return digest_of({name: _digest_of_module(name) for name in sorted(closure(*modules))})


def closure(*modules: str) -> set[str]:
    """The names of these modules and of all modules of frft that they import, directly or not."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        # `frft/__init__.py` only passes on names: following it would make every stage depend on everything.
        if name == PACKAGE or name in found or name.startswith(SILENT_MODULES) or _file(name) is None:
            continue
        found.add(name)
        waiting += [module for imported in _imported(name) for module in _defining(imported)]
        # Importing a module runs the __init__.py of its package, which counts unless it only passes on names.
        package = name.rpartition(".")[0]
        if package != PACKAGE and not _only_passes_on(package):
            waiting.append(package)
    return found


@cache
def _imported(module: str) -> frozenset[str]:
    """Dotted names that a module imports from frft, at its head or in functions: modules, or names in modules."""
    names: set[str] = set()
    for node in _executed(_tree(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(module, node)
            names.update(source if alias.name == "*" else f"{source}.{alias.name}" for alias in node.names)
    return frozenset(name for name in names if name.startswith(f"{PACKAGE}."))


def _defining(name: str) -> list[str]:
    """The module that an imported name is or is defined in, through packages that pass it on."""
    if _file(name) is not None:
        return [name]
    module, _, own = name.rpartition(".")
    passed_on = _passed_on(module).get(own) if _is_package(module) else None
    return [module] if passed_on is None else _defining(passed_on)


@cache
def _passed_on(package: str) -> dict[str, str]:
    """The names that a package's __init__.py imports, each with the dotted name that it stands for."""
    return {
        alias.asname or alias.name: f"{_absolute(package, node)}.{alias.name}"
        for node in _tree(package).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@cache
def _only_passes_on(package: str) -> bool:
    """Whether a package's __init__.py does nothing but import names and list them in `__all__`."""
    return all(
        isinstance(node, ast.ImportFrom | ast.Import)
        or (isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"])
        for node in _tree(package).body
    )


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The absolute name of the module that an import statement in `module` names, resolving leading dots."""
    if not node.level:
        return node.module or ""
    inside = module.split(".") if _is_package(module) else module.split(".")[:-1]
    base = inside[: len(inside) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a tree except those under `if TYPE_CHECKING:`, which never run."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


@cache
def _tree(module: str) -> ast.Module:
    """The syntax tree of a module without docstrings; comments and layout are not in a tree at all."""
    file = _file(module)
    assert file is not None
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                setattr(node, name, [each for each in statements if not _is_text(each)])
    return tree


def _is_text(statement: ast.AST) -> bool:
    """Whether a statement is a bare string, which is a docstring of the module, class, function or field."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@cache
def _digest_of_module(module: str) -> str:
    """SHA-256 of the module's syntax tree and of data files beside it (word lists and the like)."""
    digest = sha256(ast.dump(_tree(module)).encode())
    folder = _folder(module if _is_package(module) else module.rpartition(".")[0])
    for other in sorted(folder.iterdir(), key=lambda each: each.name):
        # Any other file may be data that the module reads; an edit of it must make other artifacts, too.
        if other.is_file() and not other.name.endswith((".py", ".pyc", ".typed")):
            digest.update(other.name.encode() + sha256(other.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _file(module: str) -> Traversable | None:
    """The source of a module or package of frft; None: there is no module of this name."""
    *above, last = module.split(".")
    for file in (_folder(module) / "__init__.py", _folder(".".join(above)) / f"{last}.py"):
        if file.is_file():
            return file
    return None


def _root() -> Traversable:
    return resources.files(PACKAGE)


def _is_package(module: str) -> bool:
    file = _file(module)
    return file is not None and file.name == "__init__.py"


def _folder(module: str) -> Traversable:
    folder = _root()
    for part in module.split(".")[1:]:
        folder = folder / part
    return folder
