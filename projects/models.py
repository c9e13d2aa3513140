"""Who may do what, where: projects, memberships, environments, secrets, keys."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from controlplane.kit import saved
from controlplane.kit.ids import uuid7
from controlplane.kit.models import Row, ScopedQuerySet, SoftDeletedRow
from projects.people import User, name_rule
from projects.roles import ROLES, Role

slug_rule = RegexValidator(
    r"^[a-z0-9][a-z0-9_-]{0,62}$",
    "Use 1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit.",
)


DAYS = [MinValueValidator(1), MaxValueValidator(3650)]
MOST_VARIABLES = 200
LONGEST_VARIABLE = 4_000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def variables_rule(variables: Any) -> None:
    """Named plain values: text, numbers, booleans or null."""
    if not isinstance(variables, dict) or len(variables) > MOST_VARIABLES:
        raise ValidationError(f"Give an object of at most {MOST_VARIABLES} variables.", "invalid")
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise ValidationError(f"{name} is no name: use letters, digits and _.", "invalid")
        if not isinstance(value, str | int | float | type(None)):
            raise ValidationError(f"{name} must be text, a number, a boolean or null.", "invalid")
        if isinstance(value, str) and len(value) > LONGEST_VARIABLE:
            raise ValidationError(f"{name} is longer than {LONGEST_VARIABLE} characters.", "max")


class ProjectQuerySet(ScopedQuerySet):
    """Projects, those in the trash included where asked."""

    def in_trash(self, user: Any) -> "ProjectQuerySet":
        """Deleted projects the user was a member of; an API key sees its own only."""
        found = self.filter(deleted_at__isnull=False, memberships__user=user)
        return found.filter(pk=user.api_key.project_id) if user.api_key else found


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
    # How long ended runs are kept; their log lines, and what went in and out, may go earlier.
    retention_days = models.PositiveIntegerField(default=90, validators=DAYS)
    log_retention_days = models.PositiveIntegerField(null=True, blank=True, validators=DAYS)
    payload_retention_days = models.PositiveIntegerField(null=True, blank=True, validators=DAYS)
    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    frozen_by = models.CharField(max_length=120, default="", db_default="", editable=False)
    frozen_reason = models.CharField(max_length=500, default="", db_default="", editable=False)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        db_table = "project"
        ordering = ["name"]
        indexes = [
            # Asked by every claim of work: nearly always empty.
            models.Index(
                fields=["id"], name="project_frozen", condition=models.Q(frozen_at__isnull=False)
            )
        ]

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

    def get_absolute_url(self) -> str:
        """The list it stands in."""
        return "/settings/members/"


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
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["project", "email"], name="invited_once")]

    def __str__(self) -> str:
        return f"{self.email} invited to {self.project}"

    def get_absolute_url(self) -> str:
        """The list it stands in."""
        return "/settings/invitations/"


class Environment(Row):
    """Where things run: dev, staging, prod or a custom one."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="environments")
    name = models.CharField(max_length=63, validators=[slug_rule])
    rank = models.PositiveSmallIntegerField(default=0)
    protected = models.BooleanField(default=False)
    variables = models.JSONField(default=dict, blank=True, validators=[variables_rule])
    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    frozen_by = models.CharField(max_length=120, default="", db_default="", editable=False)
    frozen_reason = models.CharField(max_length=500, default="", db_default="", editable=False)

    class Meta:
        db_table = "environment"
        ordering = ["rank", "name"]
        indexes = [
            models.Index(
                fields=["id"],
                name="environment_frozen",
                condition=models.Q(frozen_at__isnull=False),
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="environment_name_once",
                violation_error_message="This project has an environment of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The list it stands in."""
        return "/settings/environments/"


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

    def get_absolute_url(self) -> str:
        """The list it stands in."""
        return "/settings/secrets/"


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
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def get_absolute_url(self) -> str:
        """The list it stands in."""
        return "/settings/api-keys/"

    @property
    def status(self) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return "expired" if expired else "active"


class RefreshToken(models.Model):
    """One link of a refresh chain; using a link twice revokes its family."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    family = models.UUIDField(db_index=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    token_sha256 = models.CharField(max_length=64, unique=True)
    password_mark = models.CharField(max_length=24, default="")
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

    def get_absolute_url(self) -> str:
        """The list as it shows it; the whole list where it shows all."""
        return f"{saved.address_of(self.table) or '/'}?{self.query or f'view={saved.WHOLE}'}"
