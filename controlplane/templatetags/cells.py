"""The cells of lists, drawn by functions: a page has hundreds, and an include for each would be
most of its time. A column with a template of its own is drawn by that."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from django.template.loader import get_template, render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from controlplane.templatetags import formats, marks
from controlplane.templatetags.marks import safe

EMPTY = SafeString("")
NOTHING = SafeString('<span class="faint">–</span>')
Cell = Callable[[Any, Any, str], str]


@lru_cache(maxsize=256)
def status_pill(status: str) -> SafeString:
    """components/_status_pill.html for one of the few states there are."""
    return SafeString(render_to_string("components/_status_pill.html", {"status": status}).strip())


@lru_cache(maxsize=2_000)
def badge(label: str) -> SafeString:
    """components/_badge.html of a word."""
    return SafeString(render_to_string("components/_badge.html", {"label": label}).strip())


def _text(value: Any, row: Any, url: str) -> str:
    return formats.NONE if value is None else str(value)


def _lead(value: Any, row: Any, url: str) -> str:
    return SafeString(f'<a href="{safe(url)}">{safe(value)}</a>')


def _lead_id(value: Any, row: Any, url: str) -> str:
    short = f'<span class="short-id">…{safe(formats.short(row.pk))}</span>'
    return SafeString(f'<a href="{safe(url)}">{safe(value)} {short}</a>')


def _duration(value: Any, row: Any, url: str) -> str:
    share = getattr(row, "duration_share", None)
    bar = ""
    if share is not None:
        rect = '<rect width="100%" height="100%" rx="3"/>'
        bar = f'<svg width="{safe(share)}" aria-hidden="true">{rect}</svg>'
    words = f'<span class="number">{safe(formats.format_duration(value))}</span>'
    return SafeString(f'<span class="duration">{bar}{words}</span>')


def _cost(value: Any, row: Any, url: str) -> str:
    if value is None:
        return SafeString('<span class="bad">unpriced</span>') if row.unpriced_calls else NOTHING
    shown = formats.format_money(value, row.currency)
    if not row.unpriced_calls:
        return shown
    return format_html(
        '{}<span class="bad" title="{} calls without a price">+</span>', shown, row.unpriced_calls
    )


def _tags(value: Any, row: Any, url: str) -> str:
    return format_html_join(" ", "{}", ((badge(tag),) for tag in value or ()))


CELLS: dict[str, Cell] = {
    "text": _text,
    "lead": _lead,
    "lead_id": _lead_id,
    "status": lambda value, row, url: status_pill(str(value or "unknown")),
    "badge": lambda value, row, url: badge(str(value)) if value else EMPTY,
    "ago": lambda value, row, url: marks.ago(value),
    "duration": _duration,
    "ms": lambda value, row, url: formats.format_duration(value),
    "money": lambda value, row, url: formats.format_money(value, row.currency),
    "cost": _cost,
    "count": lambda value, row, url: formats.format_count(value),
    "code": lambda value, row, url: format_html("<code>{}</code>", _text(value, row, url)),
    "tags": _tags,
}


def cells(row: Mapping[str, Any]) -> SafeString:
    """All cells of a row of kit.tables."""
    thing, url = row["object"], row["url"]
    drawn = [
        f'<td class="{safe(c["css"])}">{safe(_drawn(c, thing, url))}</td>' for c in row["cells"]
    ]
    return SafeString("".join(drawn))


def _drawn(cell: Mapping[str, Any], thing: Any, url: str) -> str:
    if cell["template"]:
        context = {"value": cell["value"], "object": thing, "url": url}
        return SafeString(get_template(cell["template"]).render(context).strip())
    return CELLS[cell["kind"]](cell["value"], thing, url)
