"""The pages of the audit log: the list, and one entry with what changed."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from controlplane.kit.permissions import require
from controlplane.kit.tables import Column
from controlplane.kit.views import DetailView, ListView
from governance.audit_filters import AuditFilter
from governance.models import AuditEntry


class AuditList(ListView):
    """Who did what to what, newest first."""

    model = AuditEntry
    title = "Audit log"
    filterset_class = AuditFilter
    ordering = "-id"
    columns = (
        Column("action", "Action", kind="lead", narrow="lead"),
        Column("target_name", "On", template="audit/_target.html"),
        Column("actor_name", "By", template="audit/_actor.html"),
        Column("at", "When", kind="ago", narrow="side"),
        Column("request_id", "Request", kind="code", narrow="wide-only"),
    )
    exported = (
        "id", "at", "action", "actor_type", "actor_id", "actor_name", "target_type", "target_id",
        "target_name", "request_id", "before", "after",
    )  # fmt: skip
    empty = {
        "title": "Nothing was changed yet",
        "text": "Every change has an entry here, made in the same transaction.",
        "icon": "list-details",
    }

    def get_queryset(self) -> QuerySet:
        """Without what changed, which a row does not show."""
        return super().get_queryset().defer("before", "after")

    def get_exported(self) -> QuerySet:
        """With what changed."""
        return super().get_queryset()


class AuditPage(DetailView):
    """One entry."""

    model = AuditEntry
    template_name = "audit/entry.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page."""
        entry = self.rows().filter(pk=pk).first()
        if entry is None:
            raise Http404
        require(request.user, "governance.view_auditentry", entry)
        return render(request, self.template_name, {"entry": entry, **self.facts_of(entry)})

    def facts_of(self, entry: AuditEntry) -> dict[str, Any]:
        """What changed, side by side, and the facts."""
        before, after = entry.before or {}, entry.after or {}
        names = list(dict.fromkeys([*before, *after]))
        changes = [(name, before.get(name), after.get(name)) for name in names]
        pairs = [
            ("By", f"{entry.actor_name} ({entry.actor_type.replace('_', ' ')})"),
            ("On", f"{entry.target_type} {entry.target_name}"),
            ("Id", entry.target_id),
            ("Request", entry.request_id or None),
        ]
        return {"changes": changes, "pairs": pairs}
