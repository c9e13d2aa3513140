"""What templates call: formatters, icons, times and status looks."""

from datetime import UTC, datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from controlplane.templatetags import formats, jsontext

register = template.Library()

register.filter("duration_ms", formats.format_duration)
register.filter("count", formats.format_count)
register.filter("short_id", formats.short)
register.filter("initials", formats.initials)
register.filter("exact", formats.format_moment)
register.filter("look", formats.look_of)
register.filter("json_text", jsontext.as_json_text)
register.filter("json_pretty", jsontext.highlight)
register.filter("json_line", jsontext.as_json_line)
register.filter("visible", jsontext.visible_text)


@register.filter
def money(amount: Any, currency: str | None = "USD") -> str:
    """An amount with its currency's sign, or `unpriced`."""
    return formats.format_money(amount, currency or "USD")


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """An outline of the sprite; decoration only, so hidden from readers."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"/></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


@register.simple_tag
def shape(status: Any) -> SafeString:
    """The shape of a state in its colour; the word must stand beside it or in its label."""
    look = formats.look_of(status)
    return format_html(
        '<svg class="shape tone-{}{}" aria-hidden="true"><use href="{}#state-{}"/></svg>',
        look.tone,
        " pulse" if look.shape == "running" else "",
        static("img/icons.svg"),
        look.shape,
    )


@register.simple_tag
def ago(moment: datetime | None, css: str = "") -> SafeString:
    """A time in relative words with the exact time on hover; kept fresh by app.js."""
    if moment is None:
        return format_html('<span class="faint">{}</span>', formats.NONE)
    return format_html(
        '<time class="{}" datetime="{}" title="{}" data-ago>{}</time>',
        css,
        moment.astimezone(UTC).isoformat(),
        formats.format_moment(moment),
        formats.format_ago(moment),
    )


@register.filter
def field_kind(field: Any) -> str:
    """Which shape a bound form field takes: `check`, `options`, `hidden` or `plain`."""
    widget = field.field.widget
    if widget.is_hidden:
        return "hidden"
    kind = getattr(widget, "input_type", "")
    if kind == "checkbox" and not hasattr(widget, "choices"):
        return "check"
    return "options" if kind in ("checkbox", "radio") else "plain"
