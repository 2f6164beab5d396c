"""Write what the documentation takes from the code: tables of keys, and the page of all commands.

    python docs/generate.py

A table stands between the comments `<!-- table NAME -->` and `<!-- end -->` of its page; the text
around it is written by hand. docs/reference/commands.md and docs/reference/summary.md are written as a
whole. The same code gives the same files.
"""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from model_tables import cell, key_rows, kind_of, meaning_of, table
from pydantic import BaseModel

import fedcross
from fedcross.infer.results import summary
from fedcross.model.architecture import (
    CustomArchitecture,
    DynUNetArchitecture,
    SegResNetArchitecture,
    UNetArchitecture,
)
from fedcross.model.plugin import PluginReference
from fedcross.strategies.registry import METHODS
from fedcross.training.config.augmentation import AugmentationConfig
from fedcross.training.config.configuration import STRONG_RECIPE, TrainingConfig
from fedcross.training.config.engine import EngineConfig
from fedcross.training.config.loss import LossConfig
from fedcross.training.config.sections import OptimisationConfig
from fedcross.training.config.site import ExplicitSplit, SiteConfig
from fedcross.training.config.start import StartConfig
from fedcross.uncertainty.measures import MEASURES, upper_bound
from fedcross.volumes.preprocessing import Channel, Preprocessing
from fedcross.volumes.structure import Code, Structure

DOCS = Path(__file__).resolve().parent
HEADING = ("key", "default", "values", "meaning")
NETWORKS = {
    "unet": UNetArchitecture,
    "segresnet": SegResNetArchitecture,
    "dynunet": DynUNetArchitecture,
    "custom": CustomArchitecture,
}
FILLED = ("configuration.md", "reference/measures.md", "reference/python.md")
CONSTANTS = {
    "MEASURES": "Names of the measures of uncertainty",
    "Measure": "Type of the name of a measure",
}
STRONG = {
    key: f"`{value:g}` with the preset `strong`, else {other}"
    for (key, value), other in zip(STRONG_RECIPE.items(), ("`0.0`", "none"), strict=True)
}


def model_table(model: type[BaseModel], defaults: Mapping[str, str] | None = None) -> str:
    """Return the table of the keys of one model."""
    return table([HEADING, *key_rows(model, defaults)])


def shared_table(kinds: Mapping[str, type[BaseModel]], without: tuple[str, ...] = ()) -> str:
    """Return one table for several models, with the kinds that have a key if not all have it.

    A key whose default, values or meaning differs from kind to kind has one row for each.
    """
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for kind, model in kinds.items():
        for row in key_rows(model, without=without):
            found.setdefault(row, []).append(kind)
    rows = []
    for (key, default, values, meaning), having in found.items():
        rows.append((key, default, values, f"{_who(having, kinds)}{meaning}"))
    order = list(dict.fromkeys(row[0] for row in rows))
    return table([HEADING, *sorted(rows, key=lambda row: order.index(row[0]))])


def _who(having: list[str], kinds: Mapping[str, type[BaseModel]]) -> str:
    """Return the kinds that have a key as the beginning of its meaning; empty if all have it."""
    lacking = [kind for kind in kinds if kind not in having]
    names = having if len(having) <= len(lacking) + 4 else lacking
    words = ", ".join(f"`{kind}`" for kind in names)
    if not lacking:
        return ""
    return f"{words}: " if names is having else f"all but {words}: "


TABLES: Mapping[str, Callable[[], str]] = {
    "top level": lambda: model_table(TrainingConfig),
    "method": lambda: shared_table(METHODS),
    "network": lambda: shared_table(NETWORKS, without=("name",)),
    "preprocessing": lambda: model_table(Preprocessing),
    "channel": lambda: model_table(Channel),
    "structures": lambda: model_table(Structure),
    "code": lambda: model_table(Code),
    "sites": lambda: model_table(SiteConfig),
    "split": lambda: model_table(ExplicitSplit),
    "training": lambda: model_table(OptimisationConfig, STRONG),
    "augmentation": lambda: model_table(AugmentationConfig),
    "loss": lambda: model_table(LossConfig),
    "plugin": lambda: model_table(PluginReference),
    "start": lambda: model_table(StartConfig),
    "engine": lambda: model_table(EngineConfig),
    "bounds": lambda: bounds(),
    "names": lambda: names(),
}


def bounds() -> str:
    """Return the table of the largest values of the measures for a few ensembles."""
    rows = [("K", "C", *(f"`{measure}`" for measure in MEASURES))]
    for members, classes in ((2, 2), (3, 2), (4, 2), (5, 2), (4, 3), (5, 5)):
        largest = (f"{upper_bound(measure, classes, members):.3f}" for measure in MEASURES)
        rows.append((str(members), str(classes), *largest))
    return table(rows)


def names() -> str:
    """Return the table of the public names of the package, each with its docstring's first sentence."""
    rows = [("name", "what it is")]
    for name in sorted(set(fedcross.__all__) - {"__version__"}, key=str.casefold):
        value = getattr(fedcross, name)
        is_documented = inspect.isclass(value) or inspect.isfunction(value)
        text = inspect.getdoc(value) if is_documented else CONSTANTS[name]
        rows.append((f"`{name}`", cell((text or "").split("\n\n")[0])))
    return table(rows)


def fill(page: str) -> str:
    """Return a page whose tables are made anew; SystemExit if it names an unknown table."""

    def made(match: re.Match[str]) -> str:
        if match[1] not in TABLES:
            raise SystemExit(f"There is no table {match[1]!r}.")
        return f"<!-- table {match[1]} -->\n\n{TABLES[match[1]]()}\n\n<!-- end -->"

    return re.sub(r"<!-- table ([\w ]+) -->\n.*?<!-- end -->", made, page, flags=re.S)


def commands() -> str:
    """Return the page of all commands, as Typer documents them."""
    words = ["fedcross.cli", "utils", "docs", "--name", "fedcross", "--title", "Commands"]
    done = subprocess.run(
        [sys.executable, "-m", "typer", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1", "TERMINAL_WIDTH": "100"},
    )
    # Typer cuts the sentences of these lists off; the sections below have them as a whole.
    text = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", done.stdout)
    text = re.sub(r"\* `--help`: .*\n", "", text)
    text = re.sub(r"\*\*Options\*\*:\n\n(?!\*)", "", text)
    title, rest = text.split("\n", 1)
    note = (
        "This page is made from the code. What `fedcross segment` reads and writes, and the exit codes: "
        "[command line](../command-line.md)."
    )
    return f"{title}\n\n{note}\n{rest.rstrip()}\n"


def summary_page() -> str:
    """Return the page of the fields of ``summary.json``."""
    parts = [
        "# The fields of summary.json",
        "This page is made from the code. `fedcross segment` writes `summary.json` last, so a folder "
        "that has one is complete ([files](../command-line.md#result-files)). It contains no file paths "
        "and nothing about the patient. Lengths are in mm, volumes in mL, world coordinates in LPS, "
        "triples in the order x, y, z, entropies in nats.",
    ]
    for model in summary_models():
        title = "The whole file" if model is summary.Summary else f"`{model.__name__}`"
        parts += [
            f"## {title}",
            (model.__doc__ or "").replace("``", "`").strip(),
            field_table(model),
        ]
    return "\n\n".join(parts) + "\n"


def summary_models() -> list[type[BaseModel]]:
    """Return the models of the file, the whole one first."""
    found = [
        value
        for value in vars(summary).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.model_fields
    ]
    return [summary.Summary, *(model for model in found if model is not summary.Summary)]


def field_table(model: type[BaseModel]) -> str:
    """Return the table of the fields of a part of the summary."""
    rows = [("field", "values", "meaning")]
    for name, field in model.model_fields.items():
        rows.append(
            (f"`{name}`", kind_of(field.annotation, field.metadata), meaning_of(model, name))
        )
    return table(rows)


def pages() -> dict[Path, str]:
    """Return the content of every page that is made from the code."""
    filled = {page: fill(page.read_text(encoding="utf-8")) for page in map(DOCS.joinpath, FILLED)}
    return filled | {
        DOCS / "reference" / "commands.md": commands(),
        DOCS / "reference" / "summary.md": summary_page(),
    }


def main() -> None:
    """Write the pages."""
    for path, content in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
