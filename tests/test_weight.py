"""What a page makes a browser fetch stays small: own styles, own scripts, everything compressed."""

import gzip
from pathlib import Path

import django_htmx
import pytest

STATIC = Path(__file__).resolve().parent.parent / "static"
HTMX = Path(django_htmx.__file__).parent / "static/django_htmx/htmx-2.min.js"
# Fetched when a field takes focus, or by the pages that draw with them.
LATER = {"editor.js"}
KB = 1024


def compressed(files):
    return sum(len(gzip.compress(file.read_bytes())) for file in files)


def test_styles_are_light():
    assert compressed((STATIC / "css").glob("*.css")) < 20 * KB


def test_scripts_of_a_page_are_light():
    own = [file for file in (STATIC / "js").glob("*.js") if file.name not in LATER]
    assert compressed([HTMX, *own]) < 60 * KB


@pytest.mark.parametrize("file", sorted((STATIC / "js").glob("*.js")), ids=lambda f: f.name)
def test_own_scripts_bring_no_code_from_text(file):
    text = file.read_text()
    assert "eval(" not in text
    assert "new Function" not in text
    assert "setAttribute('style'" not in text


def test_nothing_is_asked_of_another_host():
    for file in [*STATIC.glob("css/*.css"), *STATIC.glob("js/*.js")]:
        assert "//cdn" not in file.read_text()
        assert "url(http" not in file.read_text()
