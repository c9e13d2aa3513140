"""Small pieces of HTML that stand everywhere: icons, shapes of states, times."""

from datetime import UTC, datetime
from functools import cache
from html import escape
from typing import Any

from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from controlplane.templatetags import formats


def safe(value: Any) -> str:
    """As it may stand in HTML, between tags and in quotes. Lists call this some thousand times a
    page, and Django's own looks for lazy texts each time."""
    return value if isinstance(value, SafeString) else escape(str(value))


@cache
def sprite() -> str:
    """The address of the icons; it does not change while a process lives."""
    return static("img/icons.svg")


@cache
def icon(name: str, css: str = "") -> SafeString:
    """An outline of the sprite; decoration only, so hidden from readers."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"/></svg>', css, sprite(), name
    )


@cache
def _shape(tone: str, name: str) -> SafeString:
    pulse = " pulse" if name == "running" else ""
    return format_html(
        '<svg class="shape tone-{}{}" aria-hidden="true"><use href="{}#state-{}"/></svg>',
        tone, pulse, sprite(), name,
    )  # fmt: skip


def shape(status: Any) -> SafeString:
    """The shape of a state in its colour; the word must stand beside it or in its label."""
    look = formats.look_of(status)
    return _shape(look.tone, look.shape)


def ago(moment: datetime | None, css: str = "") -> SafeString:
    """A time in relative words with the exact time on hover; kept fresh by app.js."""
    if moment is None:
        return format_html('<span class="faint">{}</span>', formats.NONE)
    exact = moment.astimezone(UTC)
    return SafeString(
        f'<time class="{safe(css)}" datetime="{exact.isoformat()}"'
        f' title="{safe(formats.format_moment(exact))}" data-ago>'
        f"{safe(formats.format_ago(moment))}</time>"
    )
