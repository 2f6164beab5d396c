"""What pydantic finds wrong with a configuration, said in one sentence."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]


def explain(error: ValidationError, model: type[BaseModel], inner: frozenset[str]) -> str:
    """Name the first wrong key, the value received and what is allowed.

    Parameters
    ----------
    error
        What ``model.model_validate`` raised.
    model
        The configuration's root, to list the keys that a section has.
    inner
        Names in locations that the user did not write: the tags of unions, "[key]".
    """
    details = [each for each in error.errors(include_url=False) if each["type"] != "too_short"]
    # A misspelt key also makes another one missing: the misspelling is what to tell.
    details.sort(key=lambda each: each["type"] != "extra_forbidden")
    detail, *others = details or error.errors(include_url=False)
    sentence = _sentence(detail, model, inner)
    return f"{sentence} ({len(others)} more after this.)" if others else sentence


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
        return f"{key} must hold at {word} {context[limit]}, got {context['actual_length']}."
    what = (
        detail["msg"].removeprefix("Value error, ").removesuffix(".").split(", unable to parse")[0]
    )
    if kind == "value_error":
        return f"{key}: {what}." if key else f"{what}."
    return f"{key} {what.replace('Input should', 'must')}, got {detail['input']!r}."


def _keys_at(location: Location, model: type[BaseModel]) -> list[str]:
    """The keys of the section at `location`, found by walking down the models."""
    here: list[type[BaseModel]] = [model]
    for part in location:
        fields = [each.model_fields[part] for each in here if part in each.model_fields]
        if fields:
            here = _models(fields[0].annotation)
        elif isinstance(part, str):  # the tag of a union: the default of one member's name
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
