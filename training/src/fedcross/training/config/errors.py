"""Error messages in one sentence from pydantic's validation errors."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fedcross.contract.plain_text import plain_text, shown_value

Location = tuple[int | str, ...]


def explain(
    error: ValidationError,
    model: type[BaseModel],
    inner: frozenset[str],
    values: Mapping[str, Any] | None = None,
) -> str:
    """Describe the most useful error: the key, the value received and what is allowed.

    An unknown key comes first; an array that is too short comes last. A second sentence gives the
    number of the other errors.

    Parameters
    ----------
    error
        Raised by ``model.model_validate``.
    model
        Root model of the configuration; the keys of its sections are suggested for unknown keys.
    inner
        Parts of pydantic's locations that are not keys of the file: the tags of unions, "[key]".
    values
        What was validated. An entry of a list is named by its key ``name`` if it has one; None names it
        by its index.

    Returns
    -------
    str
        One line.
    """
    details = [each for each in error.errors(include_url=False) if each["type"] != "too_short"]
    # A misspelt key often causes the error "missing" for another key; the misspelling is reported.
    details.sort(key=lambda each: each["type"] != "extra_forbidden")
    detail, *others = details or error.errors(include_url=False)
    key = _describe_place(detail["loc"], inner, values)
    sentence = _sentence(detail, model, key)
    return f"{sentence} (Other errors: {len(others)}.)" if others else sentence


def _describe_place(location: Location, inner: frozenset[str], values: Any) -> str:
    """Return the keys that lead to a place, joined by dots: ``sites.north.split``."""
    words = []
    is_about_name = location[-1:] == ("name",)
    for part in location:
        if part in inner:
            continue
        is_there = (isinstance(values, Mapping) and part in values) or (
            isinstance(values, list) and isinstance(part, int) and part < len(values)
        )
        values = values[part] if is_there else None
        name = values.get("name") if isinstance(part, int) and isinstance(values, Mapping) else None
        if isinstance(name, str) and name and not is_about_name:
            words.append(plain_text(name, 60))
        else:
            words.append(plain_text(str(part), 60))
    return ".".join(words)


def _sentence(detail: ErrorDetails, model: type[BaseModel], key: str) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = _keys_at(detail["loc"][:-1], model)
        close = difflib.get_close_matches(str(detail["loc"][-1]), allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(allowed)}."
        return f"{key} is not a known key; {hint}"
    if kind == "missing":
        return f"{key} is missing."
    if kind == "union_tag_invalid":
        choice = "name" if context["discriminator"] == "'name'" else "kind"
        got, tags = shown_value(context["tag"]), context["expected_tags"]
        return f"{key}.{choice} must be one of {tags}, got {got}."
    if kind in ("too_short", "too_long"):
        limit = "min_length" if kind == "too_short" else "max_length"
        word = "least" if kind == "too_short" else "most"
        entries = "entry" if context[limit] == 1 else "entries"
        got = context["actual_length"]
        return f"{key} must have at {word} {context[limit]} {entries}, got {got}."
    what = (
        detail["msg"].removeprefix("Value error, ").removesuffix(".").split(", unable to parse")[0]
    )
    if kind == "value_error":
        return f"{key}: {what}." if key else f"{what}."
    return f"{key} {what.replace('Input should', 'must')}, got {shown_value(detail['input'])}."


def _keys_at(location: Location, model: type[BaseModel]) -> list[str]:
    """The keys of the section at `location`."""
    here: list[type[BaseModel]] = [model]
    for part in location:
        fields = [each.model_fields[part] for each in here if part in each.model_fields]
        if fields:
            here = _models(fields[0].annotation)
        elif isinstance(part, str):  # the tag of a union: a value of the field `name` of one model
            here = [each for each in here if part in _tags(each)] or here
    return list(dict.fromkeys(key for each in here for key in each.model_fields))


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    if "kind" in model.__class_vars__:
        return (getattr(model, "kind", None),)
    name = model.model_fields.get("name")
    return () if name is None else get_args(name.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every pydantic model inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
