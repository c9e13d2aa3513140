"""Colours of the interface reach WCAG AA in both themes: 4.5:1 for text, 3:1 for controls."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).resolve().parent.parent / "static/css/tokens.css").read_text()
PAIRS = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)
TOKENS = {name: (light, dark) for name, light, dark in PAIRS}
THEMES = {"light": 0, "dark": 1}
TONES = ("green", "blue", "amber", "red", "grey", "accent")
TEXT = [
    *((ink, ground) for ink in ("text", "muted", "faint", *TONES)
      for ground in ("ground", "panel", "raised", "sunk", "hover")),
    *((tone, f"{tone}-tint") for tone in TONES),
    *((ink, "accent-tint") for ink in ("text", "muted", *TONES)),
    ("on-accent", "accent"), ("on-accent", "accent-strong"), ("on-accent", "red"),
]  # fmt: skip
CONTROLS = [("control-line", "panel"), ("control-line", "raised"), ("accent", "ground")]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_sum_is_that_of_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read(ink, ground, theme):
    side = THEMES[theme]
    assert contrast(TOKENS[ink][side], TOKENS[ground][side]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("ink", "ground"), CONTROLS)
def test_controls_can_be_seen(ink, ground, theme):
    side = THEMES[theme]
    assert contrast(TOKENS[ink][side], TOKENS[ground][side]) >= 3
