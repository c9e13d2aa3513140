"""Secrets are masked in every usual spelling."""

import base64
from urllib.parse import quote

import pytest

from controlplane.kit.egress import Redactor
from controlplane.kit.egress.redaction import MASK

VALUE = 'p@ss/wörd "x" + 1'


@pytest.mark.parametrize(
    "spelled",
    [
        VALUE,
        quote(VALUE, safe=""),
        quote(VALUE),
        'p@ss/wörd \\"x\\" + 1',
        'p@ss/w\\u00f6rd \\"x\\" + 1',
        base64.b64encode(VALUE.encode()).decode(),
    ],
)
def test_each_spelling_is_masked(spelled):
    assert Redactor([VALUE]).text(f"a {spelled} b") == f"a {MASK} b"


def test_values_are_masked_in_depth_with_their_keys():
    found = Redactor(["hush-hush"]).value({"a": ["x hush-hush", 1, None], "hush-hush": {"b": 2.5}})
    assert found == {"a": [f"x {MASK}", 1, None], MASK: {"b": 2.5}}


def test_without_secrets_a_value_is_left_as_it_is():
    value = {"a": 1}
    assert Redactor([]).value(value) is value


def test_a_short_value_is_left_alone():
    assert Redactor(["ab"]).text("abc") == "abc"
