"""Base of all sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from frft.errors import SettingsError


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        # A setting whose name is a word of Python (`from`) is written `from_` in Python alone (see `__init__`).
        serialize_by_alias=True,
    )

    if not TYPE_CHECKING:
        # Type checkers know the fields of every section as arguments, which this signature would hide.

        def __init__(self, /, **settings: Any) -> None:
            alias = {name: field.alias for name, field in type(self).model_fields.items() if field.alias}
            try:
                super().__init__(**{alias.get(name, name): value for name, value in settings.items()})
            except ValidationError as error:
                from frft.config.problems import in_words

                raise SettingsError(in_words(error, type(self))) from None

        # With this mark pydantic does not call this `__init__` for nested sections, nor in `model_validate`: there its
        # own error is raised, with the path to the setting.
        __init__.__pydantic_base_init__ = True

    newer: ClassVar[frozenset[str]] = frozenset()
    """Settings that came later, and change nothing where they have their default."""

    @classmethod
    def settings(cls) -> dict[str, FieldInfo]:
        """The fields by the name that a configuration gives them, which differs from Python's for words of Python."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def example(cls) -> Section:
        """A section of this kind to show its settings by: the defaults, and values for those that have none."""
        return cls()

    def identity(self) -> dict[str, Any]:
        """All settings as JSON-able values, to know by them what was made.

        Newer ones are left out where they have their default, so that what was made before there were such is still
        known by its settings (a stage of a run is, and a checkpoint of `AlignedReward`).
        """
        fields = type(self).model_fields
        kept = [name for name in fields if name not in self.newer or getattr(self, name) != fields[name].default]
        values = self.model_dump(mode="json", include=set(kept))
        sections = {name: getattr(self, name) for name in kept}
        return values | {name: each.identity() for name, each in sections.items() if isinstance(each, Section)}

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # In Python, True is the integer 1, and pydantic would accept it; in a configuration `seed: true` is a mistake.
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and annotation is not bool:
            raise PydanticCustomError("truth_value", "must not be true or false")
        return value
