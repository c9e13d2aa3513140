"""People and projects for platform staff. Secret values and key hashes are not among the fields."""

from typing import Any, ClassVar

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from controlplane.kit import audit
from controlplane.kit.admin_pages import BoundedPaginator
from projects import keys, tokens
from projects.models import (
    ApiKey,
    Environment,
    Invitation,
    Membership,
    Project,
    SavedView,
    Secret,
)
from projects.people import User


class AuditedAdmin(admin.ModelAdmin):
    """What staff change here has an audit row in the same transaction, as everywhere."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50

    def project_of(self, obj: Any) -> Any:
        """The project the audit row belongs to."""
        path = getattr(obj, "project_path", "")
        return obj.pk if path == "pk" else getattr(obj, "project_id", None)

    def note(self, request: HttpRequest, obj: Any, verb: str, names: list[str]) -> None:
        """One audit row, with the names of what was changed but no values."""
        audit.record(
            f"{obj._meta.model_name}.{verb}",
            actor=request.user,
            project_id=self.project_of(obj),
            target=obj,
            after={"by": "platform staff", "fields": names},
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save with an audit row."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            self.note(request, obj, "changed" if change else "created", form.changed_data)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete with an audit row."""
        with transaction.atomic():
            self.note(request, obj, "deleted", [])
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete each with an audit row."""
        for obj in queryset:
            self.delete_model(request, obj)


class PersonCreationForm(AdminUserCreationForm):
    """A new person: e-mail, name, password."""

    class Meta:
        model = User
        fields = ("email", "name")


class PersonChangeForm(UserChangeForm):
    """A person; the password by its own form."""

    class Meta:
        model = User
        fields = "__all__"


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):
    add_form, form = PersonCreationForm, PersonChangeForm
    ordering = ("email",)
    list_display = ("email", "name", "is_active", "is_staff", "is_service", "last_login")
    list_filter = ("is_active", "is_staff", "is_service")
    search_fields = ("email", "name", "=id")
    readonly_fields = ("last_login", "created_at", "updated_at")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "name", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Times", {"fields": ("last_login", "email_verified_at", "created_at", "updated_at")}),
    )
    add_fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),
    )
    filter_horizontal = ("groups",)

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Another password ends every token of the person."""
        answer = super().user_change_password(request, *args, **kwargs)
        if request.method == "POST" and answer.status_code == 302:
            user = User.objects.get(pk=kwargs.get("id") or args[0])
            with transaction.atomic():
                tokens.revoke_all(user)
                self.note(request, user, "password_changed", ["password"])
        return answer


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    can_delete = False
    readonly_fields = ("user", "role", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Members are managed in the project, where the last owner is protected."""
        return False


@admin.register(Project)
class ProjectAdmin(AuditedAdmin):
    list_display = ("name", "slug", "status", "retention_days", "created_at", "deleted_at")
    list_filter = ("status",)
    search_fields = ("name", "slug", "=id")
    readonly_fields = ("status", "frozen_at", "created_at", "updated_at", "deleted_at")
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(AuditedAdmin):
    list_display = ("project", "user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("project", "user")
    search_fields = ("project__name", "user__email", "user__name")
    autocomplete_fields = ("project", "user")


@admin.register(Environment)
class EnvironmentAdmin(AuditedAdmin):
    list_display = ("name", "project", "rank", "protected", "frozen_at")
    list_filter = ("protected",)
    list_select_related = ("project",)
    search_fields = ("name", "project__name")
    autocomplete_fields = ("project",)
    readonly_fields = ("frozen_at", "created_at", "updated_at")


class LookOnly(AuditedAdmin):
    """Staff look at these, and may delete them; they are made and changed in their project."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Not here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not here."""
        return False


@admin.register(Secret)
class SecretAdmin(LookOnly):
    list_display = ("name", "project", "allowed_hosts", "rotated_at", "last_used_at")
    list_select_related = ("project",)
    search_fields = ("name", "project__name")
    fields = ("project", "name", "allowed_hosts", "rotated_at", "last_used_at", "created_at")


@admin.register(ApiKey)
class ApiKeyAdmin(LookOnly):
    list_display = ("name", "prefix", "project", "user", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("project", "user")
    search_fields = ("name", "prefix", "user__email", "project__name")
    fields = (
        "project",
        "user",
        "name",
        "prefix",
        "scopes",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )
    actions = ("revoke",)

    @admin.action(description="Revoke the selected keys", permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet) -> None:
        """End keys at once; they stay listed."""
        live = [key for key in queryset if key.revoked_at is None]
        for key in live:
            keys.revoke(key, actor=request.user)
        self.message_user(request, f"{len(live)} revoked.")


@admin.register(Invitation)
class InvitationAdmin(LookOnly):
    list_display = ("email", "project", "role", "invited_by", "expires_at", "accepted_at")
    list_select_related = ("project", "invited_by")
    search_fields = ("email", "project__name")
    fields = ("project", "email", "role", "invited_by", "expires_at", "accepted_at")


@admin.register(SavedView)
class SavedViewAdmin(LookOnly):
    list_display = ("name", "table", "user", "project", "shared")
    list_select_related = ("project", "user")
    search_fields = ("name", "user__email")


admin.site.site_header = "Spark-Ops administration"
admin.site.site_title = "Spark-Ops"
# One sign-in page, with its limits; the admin's own has none.
admin.site.login = secure_admin_login(admin.site.login)
