"""The generic verbs of pages: one row by POST, several rows by POST."""

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import announce_done
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import permission_name, require
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
            back_to=row.get_absolute_url(),
        )

    def perform(self, row: Any) -> tuple[str, str | None]:
        """Call the service; what to say, and where to go (None stays)."""
        raise NotImplementedError


class BulkAction(ActionView):
    """The same verb on several rows (`id` repeated): one transaction each, refusals counted."""

    most: ClassVar[int] = 200

    def post(self, request: HttpRequest) -> HttpResponse:  # type: ignore[override]
        """Each row by itself; what was refused, and why, is told."""
        keys = [key for text in request.POST.getlist("id") if (key := parse_uuid(text))]
        done = 0
        refused: list[str] = []
        for row in self.rows().filter(pk__in=keys[: self.most]):
            try:
                require(request.user, permission_name(self.verb, self.model), row)
                with transaction.atomic():
                    self.perform(row)
                done += 1
            except (DomainError, PermissionDenied) as error:
                refused.append(str(error))
        return announce_done(
            request,
            self.report(done, refused),
            events={self.event: {}},
            back_to=request.headers.get("Referer", "/"),
        )

    def report(self, done: int, refused: list[str]) -> str:
        """How many were done and why others were not."""
        if not refused:
            return f"{done} done."
        return f"{done} done, {len(refused)} refused: {' '.join(sorted(set(refused))[:3])}"
