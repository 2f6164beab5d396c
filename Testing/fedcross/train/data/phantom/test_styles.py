"""Styles drawn for synthetic hospitals."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.train.data.phantom.styles import (
    INVERTED_FROM,
    MEAN_STYLE,
    SiteStyle,
    draw_styles,
    style_at,
)

SEEDS = st.integers(0, 2**63 - 1)
SITES = st.integers(1, 12)


def sites(count: int) -> list[str]:
    return [f"site-{number}" for number in range(count)]


def numbers(style: SiteStyle) -> dict[str, float]:
    """The numeric properties by name; triples by name and axis."""
    found = {}
    for name, value in asdict(style).items():
        if isinstance(value, tuple):
            found |= {f"{name}.{axis}": side for axis, side in zip("xyz", value, strict=True)}
        elif not isinstance(value, bool):
            found[name] = value
    return found


@given(seed=SEEDS, count=SITES)
def test_the_seed_determines_the_styles(seed: int, count: int) -> None:
    assert draw_styles(sites(count), seed) == draw_styles(sites(count), seed)
    if count > 1:
        assert draw_styles(sites(count), seed) != draw_styles(sites(count), seed ^ 1)


@given(seed=SEEDS, count=st.integers(2, 12))
def test_no_two_sites_are_equal_in_any_property(seed: int, count: int) -> None:
    drawn = [numbers(style) for style in draw_styles(sites(count), seed).values()]
    for name in drawn[0]:
        assert len({style[name] for style in drawn}) == count, name


@given(seed=SEEDS)
def test_four_sites_have_one_value_in_each_quarter_of_a_range(seed: int) -> None:
    styles = draw_styles(sites(4), seed).values()
    for name, low, high in (("margin_mm", -1.5, 1.5), ("roundness", 0.0, 1.0), ("bias", 0.02, 0.6)):
        steps = sorted((getattr(style, name) - low) / (high - low) for style in styles)
        assert [int(step * 4) for step in steps] == [0, 1, 2, 3], name
    gains = sorted(np.log(style.gain / 30) / np.log(100) for style in styles)
    assert [int(step * 4) for step in gains] == [0, 1, 2, 3]


@given(seed=SEEDS, count=SITES)
def test_every_fourth_site_is_inverted(seed: int, count: int) -> None:
    inverted = [style.inverted for style in draw_styles(sites(count), seed).values()]
    assert count // 4 <= sum(inverted) <= -(-count // 4)
    assert any(inverted)


@given(seed=SEEDS, shift=st.floats(0, 3))
def test_every_property_depends_linearly_on_shift(seed: int, shift: float) -> None:
    for style in draw_styles(sites(3), seed).values():
        mean, own, moved = numbers(MEAN_STYLE), numbers(style), numbers(style_at(style, shift))
        for name, value in moved.items():
            wanted = mean[name] + shift * (own[name] - mean[name])
            if name in ("apex", "roundness"):
                wanted = min(max(wanted, 0.0), 1.0)
            elif name != "margin_mm":
                wanted = max(wanted, 0.5 if "." in name else 0.02)
            assert value == pytest.approx(wanted), name
        assert style_at(style, shift).inverted == (style.inverted and shift >= INVERTED_FROM)


@given(seed=SEEDS)
def test_with_shift_0_all_drawn_styles_are_the_mean_style(seed: int) -> None:
    assert {style_at(style, 0.0) for style in draw_styles(sites(5), seed).values()} == {MEAN_STYLE}
