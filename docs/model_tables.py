"""Markdown tables of pydantic models: one row for each key, with its default, values and meaning."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

NAMES = {str: "text", Path: "path", Any: "any value", dict: "table", Mapping: "table"}


def table(rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; the first row is the heading."""
    heading, *others = rows
    lines = [heading, tuple("---" for _ in heading), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def key_rows(
    model: type[BaseModel],
    defaults: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, default, values and meaning of the fields of a model.

    Parameters
    ----------
    model
        The model. Fields that are models of their own are left out if they have no description,
        because such a field is a section of the configuration.
    defaults
        Defaults, in words, that are not those of the fields.
    without
        Names of fields that are left out.
    """
    for name, field in model.model_fields.items():
        if name in without:
            continue
        if field.description is None and any(True for _ in models_in(field.annotation)):
            continue
        default = (defaults or {}).get(name) or default_of(field)
        yield (
            f"`{name}`",
            default,
            kind_of(field.annotation, field.metadata),
            meaning_of(model, name),
        )


def meaning_of(model: type[BaseModel], name: str) -> str:
    """Return the description of a field as the text of a cell; SystemExit if it has none."""
    description = model.model_fields[name].description
    if not description:
        raise SystemExit(f"{model.__module__}.{model.__name__}.{name} has no description.")
    return cell(description)


def cell(text: str) -> str:
    """Return a sentence for a cell: names with an underscore are code; signs of Markdown are escaped."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    code = (
        r"(?<![\w.])([a-z]+(?:\.[a-z_0-9]+)*_[a-z0-9_]+|\[\[?[a-z]+\]\]?|[a-z]+\.[a-z_]+_[a-z_]+)"
    )
    for place in range(0, len(parts), 2):
        escaped = re.sub(r"([*|<])", r"\\\1", parts[place])
        parts[place] = re.sub(code, r"`\1`", escaped)
    return "".join(parts).rstrip(".")


def default_of(field: FieldInfo) -> str:
    """Return the default of a field as it is written in TOML, "required", or "none"."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", (), [], {}):
        return "none"
    return f"`{literal(value)}`"


def literal(value: Any) -> str:
    """Return a value as it is written in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return f'"{value.value}"'
    if isinstance(value, BaseModel):
        pairs = ", ".join(f"{key} = {literal(each)}" for key, each in value.model_dump().items())
        return f"{{ {pairs} }}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(literal(each) for each in value)}]"
    return f'"{value}"' if isinstance(value, str | Path) else f"{value}"


def kind_of(annotation: Any, metadata: list[Any]) -> str:
    """Return the values that an annotation with pydantic's or annotated_types' metadata allows."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        further = [part for each in inner[1:] for part in getattr(each, "metadata", [each])]
        return kind_of(inner[0], [*further, *metadata])
    if origin in (Union, UnionType):
        kinds = [kind_of(each, metadata) for each in inner if each is not NoneType]
        return " or ".join(dict.fromkeys(kinds))
    if origin is Literal:
        return ", ".join(f"`{literal(each).strip(chr(34))}`" for each in inner)
    if annotation is bool:
        return "`true`, `false`"
    if annotation in (int, float):
        kind = "whole number" if annotation is int else "number"
        return f"{kind}{range_of(metadata)}"
    if origin is tuple:
        return _list_kind(inner, metadata)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{each.value}`" for each in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return NAMES.get(origin or annotation, "text")


def _list_kind(inner: tuple[Any, ...], metadata: list[Any]) -> str:
    """Return "list of 3: number above 0" for a tuple of three, and the like."""
    if inner[-1] is not Ellipsis:
        return f"list of {len(inner)}: {kind_of(inner[0], [])}"
    least = next((each.min_length for each in metadata if isinstance(each, MinLen)), 0)
    size = f", at least {least}" if least else ""
    return f"list{size}: {kind_of(inner[0], [])}"


def range_of(metadata: list[Any]) -> str:
    """Return the bounds of a number in words, with a space before them."""
    words = []
    for each in metadata:
        for bound, word in ((Gt, "above"), (Ge, "at least"), (Lt, "below"), (Le, "at most")):
            if isinstance(each, bound):
                (limit,) = asdict(each).values()
                if abs(limit) < 1e15:  # a larger bound is that of the number format
                    words.append(f"{word} {limit:g}")
    return f" {', '.join(words)}" if words else ""


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the pydantic models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
