"""Every component in every state, and the rules its template must keep."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from django.test import RequestFactory

from controlplane.gallery import SPECIMENS, rendered
from controlplane.gallery.samples import HOSTILE
from controlplane.kit.tables import Verb
from controlplane.templatetags.menus import row_menu

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ROOT / "templates" / "components"
VOID = {"input", "meta", "link", "br", "hr", "img", "path", "use", "rect", "circle"}
# Parts of a component, shown as part of it.
PARTS = {
    "_table_row", "_filters_kept", "_filters_clear", "_chip", "_chip_words", "_chip_clear",
    "_field_errors", "_form_errors", "_fields", "_log_lines", "_password_field", "_tab_counts",
}  # fmt: skip


class Balance(HTMLParser):
    """Finds elements that are not closed, and what a strict content policy would block."""

    def __init__(self):
        super().__init__()
        self.open, self.faults, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "style" or name.startswith("on") or str(value).startswith("javascript:"):
                self.faults.append(f"{tag} {name}")
            if name == "id":
                self.ids.append(value)
        if tag in {"script", "style"}:
            self.faults.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")


def request():
    return RequestFactory().get("/runs/", {"status": ["failed", "cancelled"], "page": "2"})


CASES = [
    pytest.param(html, id=f"{name}-{state}")
    for name, states in [(s.template, s.states) for s in SPECIMENS]
    for state, html in [(state, (name, context)) for state, context in states.items()]
]


@pytest.mark.parametrize("case", CASES)
def test_a_component_is_whole_and_has_nothing_inline(case):
    name, context = case
    html = render_to_string(f"components/{name}.html", dict(context), request())
    found = Balance()
    found.feed(html)
    assert not found.faults, html
    assert not found.open, html
    assert len(found.ids) == len(set(found.ids))


def test_hostile_text_is_never_markup_anywhere():
    for name, states in rendered(request()):
        for state, html in states.items():
            assert "<script" not in html, (name, state)
    assert "<script" in HOSTILE


def test_the_gallery_shows_every_component():
    shown = {specimen.template for specimen in SPECIMENS}
    assert {path.stem for path in COMPONENTS.glob("_*.html")} - PARTS == shown


def test_every_component_says_what_it_takes():
    for path in COMPONENTS.glob("_*.html"):
        text = re.sub(r"^\{% load [^%]*%\}", "", path.read_text())
        assert text.startswith("{# "), path.name


def test_links_of_a_list_keep_its_filters():
    pager = dict(rendered(request()))["_pagination"]["middle"]
    assert "?status=failed&amp;status=cancelled&amp;page=3" in pager


def test_icons_named_in_templates_exist_in_the_sprite():
    sprite = (ROOT / "static/img/icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    for path in (ROOT / "templates").rglob("*.html"):
        for name in re.findall(r'\{% icon "([^"]+)"', path.read_text()):
            assert name in known, f"{path.name}: {name}"


def test_a_row_menu_ends_with_what_cannot_be_taken_back():
    verbs = [Verb("Delete", "/d/", danger=True), Verb("Edit", "/e/"), Verb("Test", "/t/")]
    html = row_menu("one", "Actions", verbs)
    assert html.index("Edit") < html.index("Test") < html.index("Delete")
    risky = row_menu("<b>", '"Actions"', [Verb("<i>", "/x?a=1&b=2", post=True)], '"token')
    assert "<b>" not in risky
    assert "&lt;i&gt;" in risky
    assert 'action="/x?a=1&amp;b=2"' in risky
    assert "&quot;token" in risky
