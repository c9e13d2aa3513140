"""Filters of the audit log, for its page and its API."""

from django.db.models import Q, QuerySet

from controlplane.kit.filter_options import words
from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.ids import parse_uuid
from governance.models import AuditEntry

ACTORS = (
    ("user", "People"),
    ("api_key", "API keys"),
    ("service", "Service accounts"),
    ("system", "Spark-Ops itself"),
)


class AuditFilter(ListFilterSet):
    """Entries by time, verb, who, what, request and words."""

    search_fields = ("actor_name", "action", "target_name")
    period_field = "at"

    action = ManyFilter(
        "action", options=words(AuditEntry, "action", order="-id"), label="Action", of="text"
    )
    actor_type = ManyFilter("actor_type", options=ACTORS, label="By", of="text")
    actor = ManyFilter("actor_id", options=(), label="Who", of="id")
    target_type = ManyFilter(
        "target_type",
        options=words(AuditEntry, "target_type", order="-id"),
        label="Kind",
        of="text",
    )
    target = ManyFilter("target_id", options=(), label="What", of="text")
    request_id = ManyFilter("request_id", options=(), label="Request", of="text")

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def by_search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """Rows with the words, or about (or by) the row whose id this is."""
        wanted = Q()
        for path in self.search_fields:
            wanted |= Q(**{f"{path}__icontains": value})
        if (found := parse_uuid(value)) is not None:
            wanted |= Q(target_id=str(found)) | Q(actor_id=found)
        return queryset.filter(wanted)
