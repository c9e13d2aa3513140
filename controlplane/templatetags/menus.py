"""The menu of a row, drawn by a function because every row of a list has one."""

from collections.abc import Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from controlplane.templatetags import marks

DIALOG = SafeString(' hx-target="#dialog" hx-swap="innerHTML"')
EMPTY = SafeString("")


def _read(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name)


def _item(item: Any, token: str) -> str:
    url = _read(item, "url")
    mark = marks.icon(_read(item, "icon")) if _read(item, "icon") else EMPTY
    css = "menu-item danger" if _read(item, "danger") else "menu-item"
    if _read(item, "post"):
        return format_html(
            '<form method="post" action="{}" hx-post="{}" hx-swap="none"><input type="hidden"'
            ' name="csrfmiddlewaretoken" value="{}"><button class="{}">{}{}</button></form>',
            url, url, token, css, mark, _read(item, "label"),
        )  # fmt: skip
    asks = format_html(' hx-get="{}"{}', url, DIALOG) if _read(item, "dialog") else EMPTY
    return format_html(
        '<a class="{}" href="{}"{}>{}{}</a>', css, url, asks, mark, _read(item, "label")
    )


def row_menu(id: Any, label: str, items: Sequence[Any], csrf_token: str = "") -> SafeString:
    """A button and the popover it opens; `id` is unique on the page."""
    return format_html(
        '<button class="icon-button small quiet" type="button" popovertarget="menu-{}"'
        ' aria-label="{}">{}</button>'
        '<div popover id="menu-{}" class="to-left" aria-label="{}">{}</div>',
        id, label, marks.icon("dots"), id, label,
        format_html_join("", "{}", ((_item(item, csrf_token),) for item in items)),
    )  # fmt: skip
