"""The pages of approvals: the queue, the history, statistics, one approval, and deciding."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from controlplane.kit import pages
from controlplane.kit.dialogs import FormDialog
from controlplane.kit.errors import InvalidInput
from controlplane.kit.fragments import announce_done, fragment_target, wants_fragment
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.tables import Column
from controlplane.kit.views import KitView, ListView
from governance import approval_rules as rules
from governance import approvals
from governance.approval_cards import Card, card
from governance.approval_figures import histories_like, statistics, waiting_count
from governance.approval_filters import ApprovalFilter
from governance.approval_forms import DecideForm, EditForm, RejectForm
from governance.models import Approval

TABS = (
    ("Waiting", "approvals:list", "governance/_queue.html"),
    ("History", "approvals:history", "governance/_history.html"),
    ("Statistics", "approvals:stats", "governance/_stats.html"),
)
DAYS = (1, 7, 30, 90)
BADGE_MOST = 100


def cards_of(rows: Sequence[Approval], user: Any) -> list[Card]:
    """The cards of some approvals, each with how the same was decided before."""
    now, histories = timezone.now(), histories_like(rows)
    return [card(row, user, now, histories[row.pk]) for row in rows]


def facet(project: Any, name: str) -> dict[str, Any]:
    """The tabs of the page, and what the chosen one is drawn by."""
    waiting = waiting_count(project.pk, BADGE_MOST)
    return {
        "title": "Approvals",
        "waiting": waiting,
        "panel": next(template for _, known, template in TABS if known == name),
        "tabs": [
            {
                "label": label,
                "url": reverse(known),
                "active": known == name,
                "count": waiting if known == "approvals:list" else None,
            }
            for label, known, _ in TABS
        ],
    }


def in_ms(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures with every `…_seconds` as `…_ms`, as pages write durations."""
    return {
        name.replace("_seconds", "_ms"): 1000 * value
        if name.endswith("_seconds") and value is not None
        else value
        for name, value in figures.items()
    }


class ApprovalTab(KitView):
    """One of the tabs of the page; a link between them replaces the facet only."""

    model = Approval
    name: ClassVar[str]

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page, or the tab."""
        if self.project is None:
            return render(request, "kit/no_project.html", {"title": "Approvals"})
        require(request.user, permission_name(self.verb, self.model), self.project)
        context = facet(self.project, self.name) | self.get_context(self.in_project(self.rows()))
        template = "kit/_facet.html" if wants_fragment(request) else "governance/page.html"
        return render(request, template, context)

    def get_context(self, queryset: QuerySet) -> dict[str, Any]:
        """What the tab shows."""
        raise NotImplementedError


class ApprovalQueue(ApprovalTab):
    """What waits, the most urgent first, each with everything one needs to decide."""

    name = "approvals:list"

    def get_context(self, queryset: QuerySet) -> dict[str, Any]:
        """One page of cards."""
        rows, page = pages.read_page(queryset.pending().urgent_first().with_people(), self.request)
        return {
            "cards": cards_of(rows, self.request.user),
            "page": page,
            "may_decide": self.may("decide", self.project),
            "full_path": self.request.get_full_path(),
        }


class ApprovalStats(ApprovalTab):
    """How fast people decide, and who does."""

    name = "approvals:stats"

    def get_context(self, queryset: QuerySet) -> dict[str, Any]:
        """Of the last `?days=`."""
        text = self.request.GET.get("days", str(DAYS[2]))
        if text not in map(str, DAYS):
            raise InvalidInput.of("days", f"Choose {', '.join(map(str, DAYS))} days.")
        now = timezone.now()
        figures = statistics(queryset, now - timedelta(days=int(text)), now)
        people = [in_ms(person) for person in figures["by_person"]]
        figures = in_ms(figures) | {"by_person": people}
        return {"figures": figures, "days": int(text), "choices": DAYS}


class ApprovalHistory(ListView):
    """What was decided, and by whom."""

    model = Approval
    title = "Approvals"
    template_name = "governance/page.html"
    filterset_class = ApprovalFilter
    ordering = "-decided_at"
    columns = (
        Column("status", "Status", kind="status", narrow="side"),
        Column("title", "What", kind="lead", sort="title", narrow="lead"),
        Column("subject", "About", narrow="wide-only"),
        Column("decided_by", "By"),
        Column("comment", "Comment", narrow="wide-only", template="governance/_comment.html"),
        Column("decided_at", "When", kind="ago", sort="decided_at"),
        Column("decide_ms", "Took", kind="ms"),
    )
    exported = (
        "id", "status", "title", "subject", "run_id", "step_id", "decided_by", "comment",
        "created_at", "due_at", "decided_at", "decide_ms",
    )  # fmt: skip
    empty: ClassVar[Mapping[str, str]] = {
        "title": "Nothing was decided yet",
        "text": "Who approved or rejected what, and how long it took, will stand here.",
        "icon": "history",
    }

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page, the tab, or the list that a filter narrowed."""
        if self.project is None or fragment_target(request) != "facet":
            return super().get(request)
        require(request.user, permission_name(self.verb, self.model), self.project)
        context = self.get_context(self.in_project(self.get_queryset()))
        return render(request, "kit/_facet.html", context)

    def get_queryset(self) -> QuerySet:
        """What nobody waits for any more, with the people."""
        return super().get_queryset().ended().with_people().defer("packet", "arguments_schema")

    def get_exported(self) -> QuerySet:
        """Those that wait, too, where a status is asked for."""
        if "status" not in self.request.GET:
            return self.get_queryset()
        return super().get_queryset().with_people().defer("packet", "arguments_schema")

    def get_context(self, queryset: QuerySet) -> dict[str, Any]:
        """With the tabs."""
        return super().get_context(queryset) | facet(self.project, "approvals:history")

    def prepare(self, rows: list[Approval]) -> list[Approval]:
        """Each with the last word."""
        for row in rows:
            words = list(row.decisions.all())
            ended = row.status in ("approved", "rejected") and bool(words)
            row.decided_by = str(words[-1].actor) if ended else None
            row.comment = words[-1].comment if ended else ""
            seconds = row.seconds_to_decide
            row.decide_ms = None if seconds is None else 1000 * seconds
        return rows


class ApprovalPage(KitView):
    """One approval: what was asked, who said what."""

    model = Approval

    def rows(self) -> QuerySet:
        """With the people."""
        return super().rows().with_people()

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The page, or its card."""
        row = self.get_row()
        context = {
            "approval": row,
            "card": cards_of([row], request.user)[0],
            "may_decide": self.may("decide", row),
        }
        name = (
            "governance/_approval.html" if wants_fragment(request) else "governance/approval.html"
        )
        return render(request, name, context)


class ApprovalBadge(KitView):
    """How many wait, for the rail; fetches itself anew."""

    model = Approval

    def get(self, request: HttpRequest) -> HttpResponse:
        """The count alone."""
        count = waiting_count(self.project.pk, BADGE_MOST) if self.project else 0
        return render(request, "governance/_badge.html", {"count": count})


class DecideDialog(FormDialog):
    """A person's word, after a look at what it is about."""

    model = Approval
    verb = "decide"
    action: ClassVar[str] = "approve"
    form_class = DecideForm
    submit = "Approve"

    def rows(self) -> QuerySet:
        """With the people."""
        return super().rows().with_people()

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The question; refused at once where this person could not decide it."""
        refusal = rules.refusal(
            self.row, request.user, list(self.row.decisions.all()), timezone.now()
        )
        if refusal is not None:
            raise refusal
        return super().get(request, *args, **kwargs)

    def save(self, form: DecideForm) -> Approval:
        """By the service of the API."""
        return approvals.decide(
            self.row, actor=self.request.user, action=self.action, **form.words()
        )

    def done(self, row: Approval) -> HttpResponse:
        """The queue follows by itself; without JavaScript back to it."""
        events = {self.event: {"id": str(row.pk)}}
        return announce_done(
            self.request, self.said(row), events=events, back_to=reverse("approvals:list")
        )

    def said(self, row: Approval) -> str:
        """What was done, in words."""
        if row.is_pending:
            yes = row.decisions.filter(action="approve", shown_sha256=row.shown_sha256).count()
            return f"Approved by you; {yes} of {row.quorum} so far."
        return "Approved." if row.status == "approved" else "Rejected."

    def get_title(self) -> str:
        """Names the verb; what it is about stands below."""
        return self.title or f"{self.submit}?"

    def extra_context(self, form: DecideForm) -> dict[str, Any]:
        """What it is about."""
        return {
            "form_template": "governance/_decide.html",
            "approval": self.row,
            "is_edit": "arguments" in form.fields,
        }


class ApprovalApprove(DecideDialog):
    """Yes."""


class ApprovalEdit(DecideDialog):
    """Yes, with other arguments."""

    form_class = EditForm
    title = "Edit and approve"
    submit = "Approve as edited"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Only where there is an object to edit."""
        if not self.row.may_be_edited:
            raise InvalidInput.of("arguments", "This approval has no arguments to edit.")
        return super().get(request, *args, **kwargs)


class ApprovalReject(DecideDialog):
    """No, and why."""

    action = "reject"
    form_class = RejectForm
    submit = "Reject"
