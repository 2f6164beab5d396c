"""All training methods by their ``kind``, and the type of the configuration's section ``[method]``.

Every module of `fedcross.strategies.methods` is imported. Its subclasses of `Method` are the methods,
so that a new method needs one new file and no other change.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, Tag, TypeAdapter

from fedcross.strategies import methods
from fedcross.strategies.method import Method
from fedcross.strategies.recorded_options import RECORDED_OPTIONS

DEFAULT_KIND: Final = "fedcross-ens"


def _find_methods() -> dict[str, type[Method]]:
    found = {}
    for module in pkgutil.iter_modules(methods.__path__, f"{methods.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            defined_here = getattr(value, "__module__", None) == module.name
            if defined_here and isinstance(value, type) and issubclass(value, Method):
                found[value.kind] = value
    return dict(sorted(found.items()))


METHODS: Final = _find_methods()
"""Method classes by kind, in alphabetical order."""


def _kind_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind", DEFAULT_KIND))
    return str(getattr(value, "kind", DEFAULT_KIND))


def _drop_unused_options(values: Any) -> Any:
    """Drop recorded options that the method does not have; ValueError if one of them is used."""
    method = METHODS.get(_kind_of(values))
    if method is None or not isinstance(values, Mapping):
        return values
    own, kept = method.option_names(), {}
    for name, value in values.items():
        having = [kind for kind, other in METHODS.items() if name in other.option_names()]
        if name in own or not having:
            kept[name] = value
        elif value != RECORDED_OPTIONS.get(name, value):
            raise ValueError(
                f"{name} is for {', '.join(having)}, got {name} = {value!r} "
                f"with kind = {method.kind!r}"
            )
    return kept


if TYPE_CHECKING:
    AnyMethod = Method
else:
    AnyMethod = Annotated[
        reduce(or_, (Annotated[method, Tag(kind)] for kind, method in METHODS.items())),
        Discriminator(_kind_of),
        BeforeValidator(_drop_unused_options),
    ]


def make_method(kind: str = DEFAULT_KIND, **options: Any) -> Method:
    """Return a method of a kind.

    Parameters
    ----------
    kind
        One of `METHODS`.
    **options
        The method's options; an option left out has its default.

    Raises
    ------
    pydantic.ValidationError
        If the kind is not known, or an option does not fit the method or is out of its range.
    """
    method: Method = TypeAdapter(AnyMethod).validate_python({"kind": kind, **options})
    return method
