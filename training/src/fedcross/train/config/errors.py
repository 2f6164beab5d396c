"""Error messages in one sentence from pydantic's validation errors."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]


def explain(error: ValidationError, model: type[BaseModel], inner: frozenset[str]) -> str:
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

    Returns
    -------
    str
        One line.
    """
    details = [each for each in error.errors(include_url=False) if each["type"] != "too_short"]
    # A misspelt key often causes the error "missing" for another key; the misspelling is reported.
    details.sort(key=lambda each: each["type"] != "extra_forbidden")
    detail, *others = details or error.errors(include_url=False)
    sentence = _sentence(detail, model, inner)
    return f"{sentence} (Other errors: {len(others)}.)" if others else sentence


def _sentence(detail: ErrorDetails, model: type[BaseModel], inner: frozenset[str]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    key = ".".join(str(part) for part in detail["loc"] if part not in inner)
    if kind == "extra_forbidden":
        allowed = _keys_at(detail["loc"][:-1], model)
        close = difflib.get_close_matches(str(detail["loc"][-1]), allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(allowed)}."
        return f"{key} is not a known key; {hint}"
    if kind == "missing":
        return f"{key} is missing."
    if kind == "union_tag_invalid":
        choice = "name" if context["discriminator"] == "'name'" else "kind"
        return f"{key}.{choice} must be one of {context['expected_tags']}, got {context['tag']!r}."
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
    return f"{key} {what.replace('Input should', 'must')}, got {detail['input']!r}."


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
