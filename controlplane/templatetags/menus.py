"""The menu of a row, drawn by a function because every row of a list has one."""

from collections.abc import Sequence
from typing import Any

from django.utils.safestring import SafeString

from controlplane.templatetags.marks import icon, safe

DIALOG = ' hx-target="#dialog" hx-swap="innerHTML"'


def _read(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name)


def _item(item: Any, token: str) -> str:
    url, label = safe(_read(item, "url")), safe(_read(item, "label"))
    mark = icon(_read(item, "icon")) if _read(item, "icon") else ""
    css = "menu-item danger" if _read(item, "danger") else "menu-item"
    if _read(item, "post"):
        return (
            f'<form method="post" action="{url}" hx-post="{url}" hx-swap="none">'
            f'<input type="hidden" name="csrfmiddlewaretoken" value="{safe(token)}">'
            f'<button class="{css}">{mark}{label}</button></form>'
        )
    asks = f' hx-get="{url}"{DIALOG}' if _read(item, "dialog") else ""
    return f'<a class="{css}" href="{url}"{asks}>{mark}{label}</a>'


def row_menu(id: Any, label: str, items: Sequence[Any], csrf_token: str = "") -> SafeString:
    """A button and the popover it opens; `id` is unique on the page."""
    key, words = safe(id), safe(label)
    # What cannot be taken back stands last, where no finger falls first.
    ordered = sorted(items, key=lambda item: bool(_read(item, "danger")))
    return SafeString(
        f'<button class="icon-button small quiet" type="button" popovertarget="menu-{key}"'
        f' aria-label="{words}">{icon("dots")}</button>'
        f'<div popover id="menu-{key}" class="to-left" aria-label="{words}">'
        f"{''.join(_item(item, csrf_token) for item in ordered)}</div>"
    )
