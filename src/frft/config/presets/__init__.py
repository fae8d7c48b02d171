"""Configurations to start from: the YAML files in this folder, each described by its first line."""

from importlib import resources


def preset_names() -> list[str]:
    """The presets' names, in alphabetical order."""
    return sorted(
        file.name.removesuffix(".yaml") for file in resources.files(__name__).iterdir() if file.name.endswith(".yaml")
    )


def preset_text(name: str) -> str:
    """A preset's file as it stands."""
    return resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def list_presets() -> list[tuple[str, str]]:
    """Each preset's name and its description in one line."""
    return [(name, preset_text(name).splitlines()[0].removeprefix("#").strip()) for name in preset_names()]
