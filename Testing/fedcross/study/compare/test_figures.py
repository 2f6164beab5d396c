import xml.etree.ElementTree as ET

import numpy as np

from fedcross.study.compare import figures
from fedcross.study.compare.results import Cost, RunFigures
from fedcross.study.page import figure, page, table

SVG = "{http://www.w3.org/2000/svg}"


def run(curve: list[tuple[float, float]], spread: bool = True) -> RunFigures:
    counts = {"voxels": [8, *[0] * 8, 4], "wrong": [1, *[0] * 8, 3]}
    scores: dict[str, list] = {"A": []}
    return RunFigures(0, scores, curve, [counts] if spread else [], Cost(1, 1, 1, 0, 1.0))


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_same_figures_give_the_same_file() -> None:
    runs = {"A": [run([(0.5, 0.2), (1.0, 0.6)])]}
    assert figures.training_curves(runs) == figures.training_curves(runs)
    assert "A" in texts(figures.training_curves(runs) or "")


def test_runs_without_validation_or_spread_have_no_such_figure() -> None:
    assert figures.training_curves({"A": [run([])]}) is None
    assert figures.reliability({"A": [run([], spread=False)]}) is None


def test_names_are_drawn_without_interpretation() -> None:
    names = ["a $x$ & <b>", "Spital_1 $"]
    shown = texts(figures.box_plots({name: {0: 0.5, 1: 0.7} for name in names}, "Dice"))
    assert set(names) <= set(shown)


def test_every_case_is_a_dot_even_a_single_one() -> None:
    svg = figures.box_plots({"A": {k: float(v) for k, v in enumerate(np.arange(7))}}, "mm")
    one = figures.box_plots({"A": {0: 0.5}}, "mm")
    dots = [len(list(ET.fromstring(text).iter(f"{SVG}use"))) for text in (svg, one)]
    assert dots[0] - dots[1] >= 6


def test_texts_are_escaped_in_the_page() -> None:
    text = page("<T>", "a & b", {"<h>": [table(["<x>"], [["1 < 2"]], reference=0)]})
    for plain in ("<T>", "<h>", "<x>", "1 < 2", "a & b"):
        assert plain not in text
    assert '<tr class="reference"><td class="words">1 &lt; 2</td></tr>' in text
    assert "nothing to show" in figure(None, "A curve")
