"""JSON has types: a number is no text, a text is no number, 1 is not true.

DRF is made for forms and turns the one into the other; a body of the API says what it means.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rest_framework import serializers

_TEXT = (serializers.CharField, serializers.DateTimeField, serializers.DateField)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


_RULES: tuple[tuple[Any, Callable[[Any], bool], str], ...] = (
    (_TEXT, _is_text, "This must be text."),
    (serializers.BooleanField, _is_truth, "This must be true or false."),
    (serializers.IntegerField, _is_whole, "This must be a whole number."),
    (serializers.FloatField, _is_number, "This must be a number."),
)


def type_faults(fields: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Field → faults of those values of a body whose JSON type is another than the field's."""
    return {
        name: fault
        for name, field in fields.items()
        if not field.read_only and name in data and (fault := _fault(field, data[name]))
    }


def _fault(field: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        found = {n: fault for n, item in enumerate(value) if (fault := _fault(field.child, item))}
        return found or None
    for kinds, fits, words in _RULES:
        if isinstance(field, kinds) and not fits(value):
            return [serializers.ErrorDetail(words, "invalid_type")]
    return None
