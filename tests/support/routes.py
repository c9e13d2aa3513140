"""Every route of the site with its methods, as the permission table must know them."""

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver

# Served by Django's admin behind its own staff check; it has a test of its own.
APART = ("/admin/",)
_PARAMETER = re.compile(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)|<[^>]+>")


def shape(path: str) -> str:
    """A path with its parameters blanked: `/runs/{}/steps`."""
    text = _PARAMETER.sub("{}", path)
    text = re.sub(r"\{\w+\}", "{}", text)
    text = text.replace("^", "").replace("$", "").replace("/?", "").replace("\\", "")
    return "/" + text.lstrip("/")


def methods(callback: Any) -> set[str]:
    """The methods a view answers, without HEAD and OPTIONS. Of pages GET and POST: Django's form
    and redirect views answer the others as if they were one of these."""
    view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    if actions := getattr(callback, "actions", None):
        found = {name for name in actions if name in view.http_method_names}
    elif view is not None:
        found = {name for name in view.http_method_names if hasattr(view, name)}
    else:
        found = {"get"}
    if getattr(callback, "cls", None) is None:
        found = set(found) & {"get", "post"}
    return {name.upper() for name in found} - {"HEAD", "OPTIONS"}


def _walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        text = prefix + str(pattern.pattern)
        if shape(text).startswith(APART):
            continue
        if hasattr(pattern, "url_patterns"):
            yield from _walk(pattern.url_patterns, text)
        else:
            yield text, pattern


def routes() -> set[tuple[str, str]]:
    """(method, shape of the path) of everything that is served."""
    return {
        (method, shape(text))
        for text, pattern in _walk(get_resolver().url_patterns, "/")
        for method in methods(pattern.callback)
    }
