"""People and service accounts, and how their rights are asked for."""

from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from controlplane.kit.ids import uuid7
from projects.backends import ProjectRoleBackend, in_scopes, project_id_of
from projects.credentials import Credential
from projects.roles import ARCHIVED, effective

name_rule = RegexValidator(r"^[^\x00-\x1f\x7f]*$", "A name holds no control characters.")


class UserManager(BaseUserManager["User"]):
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

    def acting(self, user_id: UUID, key_id: UUID | None = None) -> "User | None":
        """Who started work that goes on later, with the API key they came by; None where the person
        or the key no longer counts."""
        user = self.filter(pk=user_id, is_active=True).first()
        if user is None or key_id is None:
            return user
        alive = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        user.api_key = user.api_keys.filter(alive, pk=key_id, revoked_at=None).first()
        return user if user.api_key is not None else None

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

    # What this principal came with; an API key narrows projects and scopes.
    credential: Credential | None = None
    api_key: Any = None

    @cached_property
    def _roles(self) -> dict[UUID, str]:
        rows = self.memberships.filter(project__deleted_at=None)
        found = rows.values_list("project_id", "role", "project__status")
        return {project_id: effective(role, status) for project_id, role, status in found}

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Rows of projects: by role alone, so that platform staff and superusers get no way
        around it. Everything else (the admin's model permissions): Django's own answer."""
        if obj is not None and hasattr(obj, "project_path"):
            return self.is_active and ProjectRoleBackend().has_perm(self, perm, obj)
        return super().has_perm(perm, obj)

    def in_scope(self, permission: str) -> bool:
        """Whether the scopes of the API key this principal came with reach so far."""
        scopes = self.api_key.scopes if self.api_key is not None else []
        return not scopes or in_scopes(permission, scopes)

    def refusal(self, obj: Any) -> str:
        """Why the role does not allow a change of this row, as a sentence."""
        if self.api_key is not None and self.api_key.scopes:
            return "The scopes of this API key, or its role, do not allow this."
        project_id = project_id_of(obj)
        role = self.project_roles().get(project_id, "") if project_id else ""
        if role.startswith(ARCHIVED):
            return "This project is archived: it can be read, not changed."
        return "Your role in this project does not allow this."

    def password_mark(self) -> str:
        """A fingerprint of the password: tokens given out under another one no longer hold."""
        return self.get_session_auth_hash()[:24]

    def project_roles(self) -> dict[UUID, str]:
        """Project id → role; read once for each request."""
        if self.api_key is not None:
            project_id = self.api_key.project_id
            return {project_id: self._roles[project_id]} if project_id in self._roles else {}
        return self._roles

    def forget_roles(self) -> None:
        """Read the memberships anew at the next question."""
        self.__dict__.pop("_roles", None)
