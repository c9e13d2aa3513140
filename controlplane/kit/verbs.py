"""The generic verb of pages: one row by POST."""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse

from controlplane.kit.fragments import announce_done
from controlplane.kit.views import KitView


class ActionView(KitView):
    """One verb on one row by POST: calls a service, says what was done."""

    verb: ClassVar[str]
    http_method_names: ClassVar[list[str]] = ["post", "options"]

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Carry out the verb; a DomainError becomes a toast or a message in the middleware."""
        row = self.get_row()
        text, go_to = self.perform(row)
        return announce_done(
            request,
            text,
            events={self.event: {"id": str(row.pk)}},
            go_to=go_to,
            back_to=self.get_back(row),
        )

    def get_back(self, row: Any) -> str:
        """Where the way leads without script."""
        return str(row.get_absolute_url())

    def perform(self, row: Any) -> tuple[str, str | None]:
        """Call the service; what to say, and where to go (None stays)."""
        raise NotImplementedError
