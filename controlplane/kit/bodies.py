"""Bodies of requests that are no row: checked fields, and nothing besides them."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from controlplane.kit.errors import InvalidInput
from controlplane.kit.strict import type_faults


class Body(serializers.Serializer):
    """A small strict serializer: an unknown field is 422, as in bodies of rows."""

    def to_internal_value(self, data: Any) -> Any:
        """Checked input."""
        if not isinstance(data, dict):
            raise InvalidInput("The body must be a JSON object.", code="not_an_object")
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            fault = serializers.ErrorDetail("Unknown field.", "unknown_field")
            raise serializers.ValidationError({name: [fault] for name in unknown})
        if faults := type_faults(self.fields, data):
            raise serializers.ValidationError(faults)
        return super().to_internal_value(data)

    @classmethod
    def read(cls, request: Request, **context: Any) -> dict[str, Any]:
        """The checked body of a request; ValidationError (422) says what is wrong."""
        body = cls(data=request.data, context={"request": request, **context})
        body.is_valid(raise_exception=True)
        return body.validated_data
