"""Forms of dialogs: they know the project and the person, and take JSON as strictly as the API."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from rest_framework.exceptions import ParseError

from controlplane.kit.errors import DomainError
from controlplane.kit.json import strict_loads


class JsonEditor(forms.Textarea):
    """A text area that becomes a JSON editor when it takes focus."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            {
                "data-json-editor": "",
                "spellcheck": "false",
                "autocomplete": "off",
                "rows": 10,
                **(attrs or {}),
            }
        )


class JsonField(forms.CharField):
    """A JSON value. `kind` is the Python type it must have (dict, list), None for any."""

    widget = JsonEditor

    def __init__(self, *, kind: type | None = dict, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind

    def to_python(self, value: Any) -> Any:
        """The value; empty text is an empty object, or null where the field is not required."""
        if value in self.empty_values:
            return {} if self.required and self.kind is dict else None
        if not isinstance(value, str):
            return value
        try:
            parsed = strict_loads(value.encode("utf-8", "surrogatepass"))
        except (DomainError, ParseError) as exc:
            text = str(exc).replace("The body", "This", 1)
            raise ValidationError(text, code="invalid_json") from None
        if self.kind is not None and not isinstance(parsed, self.kind):
            wanted = "a list […]" if self.kind is list else "an object {…}"
            raise ValidationError(f"This must be {wanted}.", code="wrong_type")
        return parsed

    def validate(self, value: Any) -> None:
        """An empty object or list is a value."""
        if self.required and value is None:
            raise ValidationError(self.error_messages["required"], code="required")

    def prepare_value(self, value: Any) -> str:
        """What stands in the editor: the text as typed, or the value indented."""
        if value is None or isinstance(value, str):
            return value or ""
        return json.dumps(value, indent=2, ensure_ascii=False)


class TagsField(forms.Field):
    """Words between commas."""

    def to_python(self, value: Any) -> list[str]:
        """The words, each once, in the order given."""
        words = (word.strip() for word in str(value or "").split(","))
        return list(dict.fromkeys(word for word in words if word))

    def prepare_value(self, value: Any) -> str:
        """The words as they are typed."""
        return value if isinstance(value, str) else ", ".join(value or ())


class DialogForm(forms.Form):
    """A form that knows the row it edits (None for a new one), the current project and the
    person. `body()` is what the API would be sent."""

    def __init__(
        self, *args: Any, row: Any = None, project: Any = None, user: Any = None, **kwargs: Any
    ) -> None:
        self.row, self.project, self.user = row, project, user
        given = kwargs.pop("initial", None) or {}
        super().__init__(*args, initial={**self.facts(), **given}, **kwargs)

    def facts(self) -> dict[str, Any]:
        """What the row says now, by field; nothing for a new one."""
        if self.row is None:
            return {}
        return {name: getattr(self.row, name, None) for name in self.base_fields}

    def body(self) -> dict[str, Any]:
        """The cleaned fields; of a new row also the project."""
        body = dict(self.cleaned_data)
        if self.row is None and self.project is not None:
            body["project"] = str(self.project.pk)
        return body
