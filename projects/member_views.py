"""The pages of members and invitations."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View

from controlplane.kit.forms import DialogForm
from controlplane.kit.fragments import announce_done
from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from projects import services
from projects.filters import InvitationFilter, MemberFilter
from projects.models import Invitation, Membership
from projects.people import User
from projects.roles import outranks
from projects.settings_base import ChangeEvent, SettingsDialog, SettingsList, ShownOnce
from projects.settings_forms import InviteForm, RoleForm, ServiceAccountForm


class MemberList(SettingsList):
    """People and service accounts with their roles."""

    model = Membership
    title = "Members"
    filterset_class = MemberFilter
    ordering = "user__email"
    columns = (
        Column("user.name", "Name", narrow="lead", sort="user__name"),
        Column("user.email", "E-mail", template="settings/_email.html", sort="user__email"),
        Column("role", "Role", kind="badge", narrow="side", sort="role"),
        Column("created_at", "Since", kind="ago", sort="created_at"),
    )

    def get_queryset(self) -> QuerySet:
        """With the people, and the project, which the words for a row name."""
        return super().get_queryset().select_related("user", "project")

    def get_actions(self) -> list[Verb]:
        """Inviting, and service accounts."""
        if not self.may("add", self.project):
            return []
        robot, person = reverse("settings:member_service"), reverse("settings:member_new")
        return [
            Verb("New service account", robot, icon="robot", dialog=True),
            Verb("Invite", person, icon="plus", dialog=True, kind="primary"),
        ]

    def get_menu(self, row: Membership) -> list[Verb]:
        """Role and removal, of those who are not above oneself."""
        mine = self.request.user.project_roles().get(row.project_id)
        if not (self.may("change", row) and outranks(mine, row.role)):
            return []
        role = reverse("settings:member_role", args=[row.pk])
        remove = reverse("settings:member_remove", args=[row.pk])
        return [
            Verb("Change role", role, icon="pencil", dialog=True),
            Verb("Remove", remove, icon="trash", dialog=True, danger=True),
        ]


class MemberNew(ShownOnce):
    """Adding somebody by e-mail: a member at once where they have an account, else invited."""

    model = Membership
    verb = "add"
    title = "Invite somebody"
    submit = "Invite"
    form_class = InviteForm
    once_title = "Invitation"
    once_text = "Send them this link; it works for their address only, for 14 days."

    def save(self, form: Any) -> Membership | Invitation:
        """Add or invite."""
        email, role = form.cleaned_data["email"].lower(), form.cleaned_data["role"]
        actor = self.request.user
        user = User.objects.filter(email=email, is_active=True).first()
        if user is not None:
            return services.add_member(self.project, user=user, role=role, actor=actor)
        invitation, token = services.invite(self.project, email=email, role=role, actor=actor)
        path = reverse("projects:invitation", args=[token])
        self.once = self.request.build_absolute_uri(path)
        return invitation


class ServiceAccountNew(SettingsDialog):
    """A member that is no person."""

    model = Membership
    verb = "add"
    title = "New service account"
    form_class = ServiceAccountForm

    def save(self, form: Any) -> Membership:
        """Make it."""
        return services.add_service_account(
            self.project, **form.cleaned_data, actor=self.request.user
        )


class MemberRole(SettingsDialog):
    """Another role for a member."""

    model = Membership
    verb = "change"
    form_class = RoleForm

    def get_title(self) -> str:
        """Whose."""
        return f"Role of {self.row.user}"

    def save(self, form: Any) -> Membership:
        """Change it."""
        return services.change_role(self.row, form.cleaned_data["role"], actor=self.request.user)


class MemberRemove(SettingsDialog):
    """Ending a membership."""

    model = Membership
    verb = "delete"
    form_class = DialogForm
    submit = "Remove"

    def get_title(self) -> str:
        """Whom."""
        return f"Remove {self.row.user} from {self.row.project}?"

    def save(self, form: Any) -> Membership:
        """Remove; API keys of theirs in this project end too."""
        services.remove_member(self.row, actor=self.request.user)
        return self.row

    def done(self, row: Membership) -> HttpResponse:
        """Back to the list."""
        return announce_done(
            self.request,
            f"{row.user} is no member any more.",
            events={self.event: {}},
            back_to=row.get_absolute_url(),
        )


class InvitationList(SettingsList):
    """Invitations that nobody took yet."""

    model = Invitation
    title = "Invitations"
    filterset_class = InvitationFilter
    columns = (
        Column("email", "E-mail", narrow="lead", sort="email"),
        Column("role", "Role", kind="badge", narrow="side"),
        Column("invited_by", "By"),
        Column("created_at", "Invited", kind="ago", sort="created_at"),
        Column("expires_at", "Expires", kind="ago", sort="expires_at"),
    )
    empty = {"title": "No open invitations", "text": "", "icon": "mail"}

    def get_queryset(self) -> QuerySet:
        """Open ones."""
        return (
            super().get_queryset().filter(accepted_at=None).select_related("invited_by", "project")
        )

    def get_menu(self, row: Invitation) -> list[Verb]:
        """Withdrawing."""
        url = reverse("settings:invitation_withdraw", args=[row.pk])
        verb = Verb("Withdraw", url, icon="trash", post=True, danger=True)
        return [verb] if self.may("delete", row) else []


class InvitationWithdraw(ChangeEvent, ActionView):
    """Making an invitation's link useless."""

    model = Invitation
    verb = "delete"

    def perform(self, row: Invitation) -> tuple[str, str | None]:
        """Delete it."""
        services.withdraw(row, actor=self.request.user)
        return f"The invitation of {row.email} is withdrawn.", None


@method_decorator(login_not_required, name="dispatch")
class InvitationPage(View):
    """What an invitation's link opens: accept it, or sign in or register first."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """The question; kept in the session, so that registering by it is open."""
        invitation = services.open_invitation(token)
        if invitation is not None and not request.user.is_authenticated:
            request.session["invitation"] = token
        context = {
            "invitation": invitation,
            "register_url": reverse("account_signup"),
            "login_url": f"{reverse('account_login')}?next={request.path}",
            "is_theirs": invitation is not None
            and request.user.is_authenticated
            and request.user.email == invitation.email,
        }
        status = 200 if invitation is not None else 404
        return render(request, "settings/invitation.html", context, status=status)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Accept."""
        if not request.user.is_authenticated:
            return HttpResponseRedirect(f"{reverse('account_login')}?next={request.path}")
        membership = services.accept_invitation(token, actor=request.user)
        request.session.pop("invitation", None)
        request.place.choose(membership.project_id)
        return announce_done(
            request, f"You are now {membership.role} of {membership.project}.", go_to="/"
        )
