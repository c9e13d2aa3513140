"""The console's form is made from the schema and gives JSON values."""

import pytest
from django.http import QueryDict

from tools.console import PREFIX, ArgumentsForm, can_be_form
from tools.models import Tool

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Who"},
        "many": {"type": "integer"},
        "share": {"type": "number"},
        "loud": {"type": "boolean"},
        "tone": {"enum": ["low", "high"]},
        "more": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "many"],
}


class Row:
    """A tool with this schema."""

    kind, config, input_schema = Tool(kind="http").kind, {}, SCHEMA


def form(**fields: str) -> ArgumentsForm:
    data = QueryDict(mutable=True)
    data.update({PREFIX + name: text for name, text in fields.items()})
    return ArgumentsForm(data=data, row=Row())


def test_fields_become_values_and_empty_ones_are_left_out():
    filled = form(name="", many="7", share="0.5", loud="false", tone="high", more='["a"]')
    assert filled.is_valid(), filled.errors
    assert filled.given() == {
        "name": "",
        "many": 7,
        "share": 0.5,
        "loud": False,
        "tone": "high",
        "more": ["a"],
    }
    few = form(name=" x ", many="-3")
    assert few.is_valid(), few.errors
    assert few.given() == {"name": " x ", "many": -3}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("many", "x"),
        ("many", "1.5"),
        ("many", ""),
        ("share", "nan"),
        ("more", "["),
        ("tone", "mid"),
    ],
)
def test_what_is_no_value_is_said_beside_its_field(name, text):
    wrong = form(**{"name": "x", "many": "1", name: text})
    assert not wrong.is_valid()
    assert list(wrong.errors) == [PREFIX + name]


def test_required_fields_begin_with_an_example():
    fresh = ArgumentsForm(row=Row())
    assert fresh[PREFIX + "many"].value() == 0
    assert fresh[PREFIX + "name"].field.required
    assert fresh[PREFIX + "name"].help_text == "Who"
    assert fresh[PREFIX + "share"].value() is None


def test_a_schema_without_names_is_typed_as_json():
    assert can_be_form(SCHEMA)
    assert not can_be_form({"type": "object"})
    assert not can_be_form({"type": "object", "properties": {}})
