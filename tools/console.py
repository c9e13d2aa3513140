"""The form of the test console, made from a tool's schema of arguments."""

from collections.abc import Mapping
from typing import Any

from django import forms

from controlplane.kit.forms import DialogForm, JsonEditor, JsonField
from tools.kinds import kind
from tools.sample import sample

PREFIX = "arg_"
MOST_FIELDS = 40
_LONG_TEXT = 200


class NumberField(forms.CharField):
    """A number as JSON writes it; whole where the schema says so."""

    def __init__(self, *, is_whole: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_whole = is_whole
        self.widget.attrs |= {"inputmode": "numeric" if is_whole else "decimal"}

    def to_python(self, value: Any) -> Any:
        """The number, or None for nothing."""
        text = super().to_python(value)
        if not text:
            return None
        try:
            return int(text) if self.is_whole else _number(text)
        except ValueError:
            kind = "whole number" if self.is_whole else "number"
            raise forms.ValidationError(f"This is no {kind}.", code="invalid") from None


class TextField(forms.CharField):
    """A text; an empty one is a text, and only the schema says whether it will do."""

    def validate(self, value: Any) -> None:
        """Whatever was typed."""


def _number(text: str) -> int | float:
    number = float(text)
    if number in (float("inf"), float("-inf")) or number != number:
        raise ValueError
    return int(text) if text.lstrip("-").isdigit() else number


def can_be_form(schema: Mapping[str, Any]) -> bool:
    """Whether fields can be made of a schema: an object whose properties are named."""
    properties = schema.get("properties")
    return isinstance(properties, dict) and 0 < len(properties) <= MOST_FIELDS


class ArgumentsForm(DialogForm):
    """One field for each argument. `faults` of a call stand beside the field they are about."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        schema = kind(self.row.kind).input_schema(self.row.config, self.row.input_schema)
        self.required = set(schema.get("required") or ())
        example = sample(schema) if isinstance(schema, dict) else {}
        for name, part in schema["properties"].items():
            field = _field(part if isinstance(part, dict) else {}, name in self.required)
            field.label = name
            self.fields[PREFIX + name] = field
            if name in self.required and isinstance(example, dict) and name in example:
                self.initial.setdefault(PREFIX + name, _shown(field, example[name]))

    def given(self) -> dict[str, Any]:
        """The arguments that were filled in; an empty field is an argument left out, unless it is
        required text."""
        found = {}
        for key, value in self.cleaned_data.items():
            name = key.removeprefix(PREFIX)
            if value is None or (value == "" and name not in self.required):
                continue
            found[name] = value
        return found


class RawForm(DialogForm):
    """All arguments as one JSON object."""

    arguments = JsonField(label="Arguments", required=True)

    def given(self) -> dict[str, Any]:
        """As typed."""
        return dict(self.cleaned_data["arguments"])


def _shown(field: forms.Field, value: Any) -> Any:
    if isinstance(field, forms.TypedChoiceField):
        return _BOOLEANS_SHOWN.get(value, value) if isinstance(value, bool) else value
    return value


_BOOLEANS = {"true": True, "false": False}
_BOOLEANS_SHOWN = {True: "true", False: "false"}


def _field(part: Mapping[str, Any], required: bool) -> forms.Field:
    kind = part.get("type")
    told = {"required": required, "help_text": str(part.get("description") or "")[:500]}
    options = part.get("enum")
    if isinstance(options, list) and options and all(isinstance(o, str) for o in options):
        return _choice([(option, option) for option in options], {}, told)
    if kind == "boolean":
        return _choice([("true", "true"), ("false", "false")], _BOOLEANS, told)
    if kind in ("integer", "number"):
        return NumberField(is_whole=kind == "integer", **told)
    if kind == "string":
        widget = forms.Textarea({"rows": 3}) if _is_long(part) else forms.TextInput()
        return TextField(strip=False, widget=widget, **told)
    return JsonField(kind=None, widget=JsonEditor({"rows": 4}), **told)


def _is_long(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("maxLength"), int) and part["maxLength"] > _LONG_TEXT


def _choice(options: list[tuple[str, str]], values: Mapping[str, Any], told: Any) -> forms.Field:
    first = [] if told["required"] else [("", "—")]
    return forms.TypedChoiceField(
        choices=[*first, *options],
        coerce=lambda text: values.get(text, text),
        empty_value=None,
        **told,
    )
