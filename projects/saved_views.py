"""Saved views: the rules, the API, and the dialogs of a list's menu."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpResponse, QueryDict
from rest_framework import serializers

from controlplane.kit.api import KitSerializer, RelatedId, ScopedViewSet
from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.forms import DialogForm
from controlplane.kit.fragments import announce_done
from controlplane.kit.saved import address_of, normal
from projects.models import Project, SavedView
from projects.roles import Role

LONGEST_QUERY = 2_000


def seen_by(user: Any) -> QuerySet[SavedView]:
    """Own views, and those that members of one's projects share."""
    rows = SavedView.objects.visible_to(user)
    return rows.filter(Q(user=user) | Q(shared=True)).select_related("user")


def views_of(user: Any, project: Project, table: str) -> list[SavedView]:
    """The views of one list, by name."""
    return list(seen_by(user).filter(project=project, table=table).order_by("name", "pk"))


def default_of(views: list[SavedView], user: Any, admins: set[Any]) -> SavedView | None:
    """The view a list opens with: one's own, else one that an admin shares with everybody."""
    chosen = [view for view in views if view.is_default]
    own = next((view for view in chosen if view.user_id == user.pk), None)
    return own or next((view for view in chosen if view.user_id in admins), None)


def admins_of(project: Project) -> set[Any]:
    """Whose shared default counts for everybody."""
    rows = project.memberships.filter(role__in=(Role.ADMIN, Role.OWNER))
    return set(rows.values_list("user_id", flat=True))


class SavedViewFilter(ListFilterSet):
    """?table=&search=…"""

    table = ManyFilter("table", options=(), label="List", of="text")

    class Meta:
        model = SavedView
        fields: list[str] = []


class SavedViewSerializer(KitSerializer):
    """A named set of filters of one list."""

    immutable = ("project", "table")
    project = RelatedId(queryset=Project.objects.all())
    query = serializers.CharField(default="", allow_blank=True, max_length=LONGEST_QUERY)
    shared = serializers.BooleanField(default=False)
    is_default = serializers.BooleanField(default=False)
    user = serializers.UUIDField(source="user_id", read_only=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = SavedView
        fields: ClassVar[list[str]] = [
            "id", "project", "user", "table", "name", "query", "shared", "is_default", "url",
            "display", "created_at", "updated_at",
        ]  # fmt: skip

    def validate_table(self, value: str) -> str:
        """The name of a list's page."""
        if address_of(value) is None:
            raise serializers.ValidationError("There is no list of that name.", "does_not_exist")
        return value

    def validate_query(self, value: str) -> str:
        """As a list compares it."""
        return normal(QueryDict(value.lstrip("?")))


class SavedViewViewSet(ScopedViewSet):
    """Own and shared views; only one's own are changed."""

    model = SavedView
    serializer_class = SavedViewSerializer
    filterset_class = SavedViewFilter
    ordering_fields = ("created_at", "updated_at", "name", "table")
    audit_fields = ("name", "table", "query", "shared", "is_default")

    def get_queryset(self) -> Any:
        """Own and shared ones."""
        if getattr(self, "swagger_fake_view", False):
            return SavedView.objects.none()
        return seen_by(self.request.user)

    def check_object_permissions(self, request: Any, obj: SavedView) -> None:
        """What others share is looked at only."""
        super().check_object_permissions(request, obj)
        if self.verb_for(self.action) != "view":
            require_own(request.user, obj)

    def perform_create(self, serializer: Any) -> SavedView:
        """One's own."""
        view = serializer.save(user=self.request.user)
        keep_one_default(view)
        return view

    def perform_update(self, serializer: Any) -> SavedView:
        """As given."""
        view = serializer.save()
        keep_one_default(view)
        return view


def require_own(user: Any, view: SavedView) -> None:
    """Go on, or 403 where the view is somebody else's."""
    if view.user_id != user.pk:
        raise PermissionDenied("Only who made a view changes it.")


def keep_one_default(view: SavedView) -> None:
    """Of one person's views of a list at most one opens by itself."""
    if view.is_default:
        same = SavedView.objects.filter(
            project_id=view.project_id, user_id=view.user_id, table=view.table
        )
        same.exclude(pk=view.pk).update(is_default=False)


class SavedViewForm(DialogForm):
    """What a view is called and who sees it."""

    name = forms.CharField(max_length=80)
    shared = forms.BooleanField(
        required=False, label="Share with the project", help_text="Every member finds it here."
    )
    is_default = forms.BooleanField(
        required=False,
        label="Open the list with it",
        help_text="Where an admin shares it, for all who have no such view of their own.",
    )
    table = forms.CharField(widget=forms.HiddenInput, max_length=40)
    query = forms.CharField(widget=forms.HiddenInput, required=False, max_length=LONGEST_QUERY)


class ChangeViewForm(SavedViewForm):
    """The same of a view there is; its filters can be replaced by those shown now."""

    replace = forms.BooleanField(
        required=False,
        label="Replace its filters by those shown now",
        help_text="Else it keeps the ones it has.",
    )
    now = forms.CharField(widget=forms.HiddenInput, required=False, max_length=LONGEST_QUERY)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["table"], self.fields["query"]

    def body(self) -> dict[str, Any]:
        """What the API would be sent."""
        given = super().body()
        now, is_replaced = given.pop("now"), given.pop("replace")
        return {**given, "query": now} if is_replaced else given


class SavedViewNew(FormDialog):
    """Keeping what a list shows now."""

    model = SavedView
    verb = "add"
    form_class = SavedViewForm
    viewset_class = SavedViewViewSet
    title = "Save this view"

    @property
    def noun(self) -> str:
        """What it is called."""
        return "view"

    @property
    def event(self) -> str:
        """Lists fetch themselves at this."""
        return "savedview-changed"

    def get_back(self) -> str:
        """The list."""
        if self.row is not None:
            return self.row.get_absolute_url()
        given = self.request.GET
        return f"{address_of(given.get('table', '')) or '/'}?{given.get('query', '')}"

    def done(self, row: SavedView) -> HttpResponse:
        """Back to the list, as the view shows it."""
        return announce_done(self.request, f"View {row} saved.", go_to=row.get_absolute_url())


class SavedViewEdit(SavedViewNew):
    """Another name, other eyes, other filters."""

    verb = "change"
    form_class = ChangeViewForm
    title = ""

    def rows(self) -> QuerySet:
        """Own and shared ones."""
        return seen_by(self.request.user)

    def get_row(self) -> SavedView:
        """One's own; 403 for what another shares."""
        row: SavedView = super().get_row()
        require_own(self.request.user, row)
        return row


class SavedViewDelete(DeleteDialog):
    """Forgetting a view."""

    model = SavedView
    viewset_class = SavedViewViewSet

    def rows(self) -> QuerySet:
        """Own and shared ones."""
        return seen_by(self.request.user)

    def get_row(self) -> SavedView:
        """One's own; 403 for what another shares."""
        row: SavedView = super().get_row()
        require_own(self.request.user, row)
        return row

    def get_list_url(self, row: SavedView) -> str:
        """The whole list."""
        return address_of(row.table) or "/"
