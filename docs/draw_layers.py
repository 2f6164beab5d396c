"""Draw docs/layers.svg: the layers of the package and which layer imports which.

    python docs/draw_layers.py

The order of the layers is that of Testing/fedcross/test_layers.py. The imports are read from the
sources. The same sources give the same file.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "training" / "src" / "fedcross"
ORDER = ROOT / "Testing" / "fedcross" / "test_layers.py"
PICTURE = ROOT / "docs" / "layers.svg"

DESCRIPTIONS = {
    "__main__": "the command fedcross: handles Ctrl-C, then imports the rest",
    "cli": "the command line: its commands and its errors",
    "commands": "one module per group of commands",
    "demo": "the whole path on synthetic hospitals",
    "api": "what import fedcross offers",
    "study": "compare methods, loss landscape, report of a data check",
    "federate": "engines: local, NVIDIA FLARE; startup kits, privacy",
    "calibration": "a bundle on labelled cases: intervals, contours, familiarity",
    "training": "configuration, data, plan, run folder, training step, evaluation",
    "strategies": "the training methods, the schedule, the member",
    "infer": "one segmentation from file to files; the child process",
    "ensemble": "all members over one volume; the localiser",
    "backends": "a patch through a member: PyTorch, OpenVINO",
    "model": "networks, weights, the bundle",
    "patches": "where patches lie; blending",
    "volumes": "grids, resampling, reading and writing volumes",
    "uncertainty": "measures, agreement, hot spots (numpy only)",
    "runtime": "reporting, files, locks, memory, devices",
    "contract": "what child process and Slicer module agree on",
    "errors": "errors with message and hint",
}

ROW, CELL, LEFT, TOP, NAME = 24, 24, 12, 104, 96
DESCRIPTION = 372


def layers() -> list[str]:
    """Return the names of the layers that have a module, lowest first."""
    for node in ast.parse(ORDER.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS":
            present = {layer_of(path) for path in modules()}
            return [name for name in ast.literal_eval(node.value) if name in present]
    raise SystemExit(f"{ORDER.name} has no LAYERS.")


def modules() -> list[Path]:
    """Return every module of the package, in order, without package files."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def layer_of(path: Path) -> str:
    """Return the layer of a module: the first folder below the package, or the module itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(source: str) -> Iterator[str]:
    """Yield the layers that a source text imports, with repetitions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("fedcross."))


def imports() -> dict[str, set[str]]:
    """Return the other layers that each layer imports."""
    found: dict[str, set[str]] = {name: set() for name in layers()}
    for path in modules():
        found[layer_of(path)].update(imported_layers(path.read_text(encoding="utf-8")))
    return {name: {other for other in others if other != name} for name, others in found.items()}


def draw(order: Sequence[str], found: Mapping[str, set[str]]) -> str:
    """Return the picture as SVG: a row and a column per layer, the highest layer first.

    Parameters
    ----------
    order
        Names of the layers, lowest first.
    found
        The other layers that each layer imports.
    """
    missing = [name for name in order if name not in DESCRIPTIONS]
    if missing:
        raise SystemExit(f"docs/draw_layers.py has no description of {', '.join(missing)}.")
    names = list(reversed(order))
    left = LEFT + NAME + DESCRIPTION
    width, height = left + CELL * len(names) + 60, TOP + ROW * len(names) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        "<title>The layers of the package fedcross and their imports</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for place, name in enumerate(names):
        parts += _row(place, name, names, found[name], left, width)
    return "\n".join([*parts, "</svg>", ""])


def _row(
    place: int, name: str, names: Sequence[str], used: set[str], left: int, width: int
) -> list[str]:
    y = TOP + ROW * place
    x = left + CELL * place + CELL // 2
    shade = "#f3f5f7" if place % 2 == 0 else "#ffffff"
    lines = [
        f'<rect x="0" y="{y}" width="{width}" height="{ROW}" fill="{shade}"/>',
        f'<text x="{LEFT}" y="{y + 16}" font-weight="bold">{escape(name)}</text>',
        f'<text x="{LEFT + NAME}" y="{y + 16}" fill="#444444">{escape(DESCRIPTIONS[name])}</text>',
        f'<rect x="{x - 8}" y="{y + 4}" width="16" height="16" fill="#c3ccd5"/>',
        f'<text transform="translate({x + 4},{TOP - 8}) rotate(-50)">{escape(name)}</text>',
    ]
    for column, other in enumerate(names):
        if other in used:
            cx = left + CELL * column + CELL // 2
            lines.append(f'<circle cx="{cx}" cy="{y + ROW // 2}" r="5" fill="#2a7f9e"/>')
    return lines


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(layers(), imports()), encoding="utf-8")


if __name__ == "__main__":
    main()
