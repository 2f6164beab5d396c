"""Records that stay the same when a later version adds an option.

The hash of a configuration and of a bundle's manifest is computed from all their options. An option that
a later version adds would change every hash, also of runs and bundles that do not use it. Therefore such
an option is recorded only if it has another value than its default.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)


class StableRecord(BaseModel):
    """A model whose record leaves out the options that were added later and are not used.

    True and false are no numbers; pydantic would take them for 1 and 0.

    Attributes
    ----------
    added_later : tuple of str
        Names of the options of this class that its record has only if their values are not the
        defaults: all options that were added after version 0.1.0. Every class lists its own options;
        those of its base classes are left out as well. A name that was in a release never leaves the
        list, and its default never changes.
    """

    added_later: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuse_truth_as_number(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, Mapping) else ():
            field = cls.model_fields.get(name)
            types = [] if field is None else list(_parts(field.annotation))
            if any(kind is int or kind is float for kind in types) and bool not in types:
                for each in value if isinstance(value, list | tuple) else [value]:
                    if isinstance(each, bool):
                        raise ValueError(f"{name} must be a number, not {str(each).lower()}")
        return values

    @model_serializer(mode="wrap")
    def _record(self, options: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return self._without_unused(options(self))

    def _without_unused(self, record: dict[str, Any]) -> dict[str, Any]:
        fields = type(self).model_fields
        later = {name for base in type(self).__mro__ for name in vars(base).get("added_later", ())}
        unused = {
            name
            for name in later & fields.keys()
            if getattr(self, name) == fields[name].get_default(call_default_factory=True)
        }
        return {name: value for name, value in record.items() if name not in unused}


def _parts(annotation: object) -> Iterator[object]:
    """Yield the types that a type is made of."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for each in arguments:
        yield from _parts(each)
