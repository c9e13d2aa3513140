"""What templates call: formatters, icons, times and status looks."""

from typing import Any

from django import template

from controlplane.templatetags import cells, formats, jsontext, marks, menus

register = template.Library()

register.simple_tag(marks.icon, name="icon")
register.simple_tag(marks.shape, name="shape")
register.simple_tag(marks.ago, name="ago")
register.simple_tag(cells.cells, name="cells")
register.simple_tag(cells.status_pill, name="pill")
register.simple_tag(menus.row_menu, name="row_menu")

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
