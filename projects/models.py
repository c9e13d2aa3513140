"""Who may do what, where: users, projects, memberships, environments, secrets, keys."""

from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from controlplane.kit.ids import uuid7
from controlplane.kit.models import Row, SoftDeletedRow
from projects.roles import ROLES, Role

slug_rule = RegexValidator(
    r"^[a-z0-9][a-z0-9_-]{0,62}$",
    "Use 1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit.",
)
name_rule = RegexValidator(r"^[^\x00-\x1f\x7f]*$", "A name holds no control characters.")


class UserManager(BaseUserManager):
    """Users are found and made by e-mail, in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A new user; without a password one who cannot sign in by password."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str, **fields: Any) -> "User":
        """A member of the platform staff with all rights in the admin."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """By e-mail, whatever its case."""
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person, or a service account; signs in by e-mail."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField("e-mail", unique=True, max_length=254)
    name = models.CharField(max_length=120, validators=[name_rule])
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_service = models.BooleanField(default=False)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        db_table = "user_account"
        ordering = ["email"]

    def __str__(self) -> str:
        return self.name or self.email

    @cached_property
    def _roles(self) -> dict[UUID, str]:
        rows = Membership.objects.filter(user=self, project__deleted_at=None)
        return dict(rows.values_list("project_id", "role"))

    # The API key this principal came with, if any: it narrows projects and scopes.
    api_key: "ApiKey | None" = None

    def project_roles(self) -> dict[UUID, str]:
        """Project id → role; read once for each request."""
        if self.api_key is not None:
            project_id = self.api_key.project_id
            return {project_id: self._roles[project_id]} if project_id in self._roles else {}
        return self._roles

    def forget_roles(self) -> None:
        """Read the memberships anew at the next question."""
        self.__dict__.pop("_roles", None)


class Project(SoftDeletedRow):
    """What everything belongs to."""

    project_path = "pk"

    class Status(models.TextChoices):
        ACTIVE = "active"
        ARCHIVED = "archived"

    class ContentCapture(models.TextChoices):
        OFF = "off"
        REDACTED = "redacted"
        FULL = "full"

    slug = models.CharField(max_length=63, unique=True, validators=[slug_rule])
    name = models.CharField(max_length=120, validators=[name_rule])
    description = models.TextField(blank=True, default="", max_length=4000)
    status = models.CharField(max_length=8, choices=Status, default=Status.ACTIVE)
    content_capture = models.CharField(
        max_length=8, choices=ContentCapture, default=ContentCapture.FULL
    )
    retention_days = models.PositiveIntegerField(default=90)
    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "project"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The project's settings."""
        return "/settings/"


class Membership(Row):
    """A user's role in a project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=ROLES, default=Role.VIEWER)

    class Meta:
        db_table = "membership"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"],
                name="membership_once",
                violation_error_message="This person is a member already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project}"


class Invitation(Row):
    """An offer of membership by e-mail; the token is stored hashed."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=8, choices=ROLES, default=Role.VIEWER)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "invitation"

    def __str__(self) -> str:
        return f"{self.email} invited to {self.project}"


class Environment(Row):
    """Where things run: dev, staging, prod or a custom one."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="environments")
    name = models.CharField(max_length=63, validators=[slug_rule])
    rank = models.PositiveSmallIntegerField(default=0)
    protected = models.BooleanField(default=False)
    variables = models.JSONField(default=dict, blank=True)
    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "environment"
        ordering = ["rank", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="environment_name_once",
                violation_error_message="This project has an environment of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Secret(Row):
    """A value encrypted at rest that goes only to its hosts and is never shown again."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=63, validators=[slug_rule])
    ciphertext = models.BinaryField(editable=False)
    allowed_hosts = models.JSONField(default=list, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "secret"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="secret_name_once",
                violation_error_message="This project has a secret of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ApiKey(Row):
    """A bearer key of a user or service account; only its hash is stored."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="api_keys")
    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=120, validators=[name_rule])
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    key_sha256 = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "api_key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class RefreshToken(models.Model):
    """One link of a refresh chain; using a link twice revokes its family."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    family = models.UUIDField(db_index=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    token_sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "refresh_token"

    def __str__(self) -> str:
        return f"{self.user_id} {self.family}"


class SavedView(Row):
    """A named set of filters of one list, own or shared."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="saved_views")
    user = models.ForeignKey(User, models.CASCADE, related_name="saved_views")
    table = models.CharField(max_length=40)
    name = models.CharField(max_length=80, validators=[name_rule])
    query = models.CharField(max_length=2000, blank=True, default="")
    shared = models.BooleanField(default=False)
    is_default = models.BooleanField(default=False)

    class Meta:
        db_table = "saved_view"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user", "table", "name"],
                name="saved_view_once",
                violation_error_message="You have a view of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name
