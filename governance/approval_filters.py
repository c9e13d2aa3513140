"""Filters of approvals, for their pages and their API."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.ids import parse_uuid
from governance.models import Approval, ApprovalDecision

SUBJECTS = (
    ("step", "A step"),
    ("call", "A call"),
    ("run", "A run"),
    ("deployment", "A deployment"),
)


class DecidedByFilter(ManyFilter):
    """Approvals on which one of the people said something."""

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        """Without doubling what several of them decided."""
        if not value:
            return qs
        words = ApprovalDecision.objects.filter(approval=OuterRef("pk"), actor_id__in=value)
        return qs.filter(Exists(words))


class ApprovalFilter(ListFilterSet):
    """?status=&run=&step=&subject=&decided_by=&search=&period=&created_after=&created_before="""

    search_fields = ("title",)

    status = ManyFilter("status", options=Approval.Status.choices, label="Status", looks=True)
    subject = ManyFilter("subject", options=SUBJECTS, label="About", of="text")
    run = ManyFilter("run_id", options=(), label="Run", of="id")
    step = ManyFilter("step_id", options=(), label="Step", of="id")
    requested_by = ManyFilter("requested_by_id", options=(), label="Asked by", of="id")
    decided_by = DecidedByFilter("decided_by", options=(), label="Decided by", of="id")

    class Meta:
        model = Approval
        fields: list[str] = []

    def by_search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """By words of the title, or by the id of the approval, its run or its step."""
        if (found := parse_uuid(value)) is not None:
            return queryset.filter(Q(pk=found) | Q(run_id=found) | Q(step_id=found))
        return super().by_search(queryset, name, value)
