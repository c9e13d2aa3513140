"""The verbs of projects and their members. Each is one transaction with its audit row."""

import secrets
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils import timezone
from django.utils.text import slugify

from controlplane.kit import audit
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.ids import uuid7
from projects.models import Environment, Invitation, Membership, Project
from projects.people import User
from projects.roles import Role, outranks
from projects.tokens import sha256

# name, rank, protected: what every new project begins with.
ENVIRONMENTS = (("dev", 0, False), ("staging", 1, False), ("prod", 2, True))
INVITATION_DAYS = 14


def free_slug(text: str) -> str:
    """A slug for a new project made from its name; a random tail where that is taken."""
    slug = slugify(text)[:50].strip("-_") or "project"
    # Two people of one name who register at once must not trip over each other.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [slug])
    if not Project.objects.filter(slug=slug).exists():
        return slug
    return f"{slug}-{secrets.token_hex(3)}"


@transaction.atomic
def create_project(*, actor: User, name: str, slug: str = "", **fields: Any) -> Project:
    """A project of `actor` (its owner) with the environments dev, staging and prod."""
    project = Project(name=name, slug=slug or free_slug(name), **fields)
    project.full_clean()
    project.save(force_insert=True)
    Environment.objects.bulk_create(
        Environment(project=project, name=title, rank=rank, protected=protected)
        for title, rank, protected in ENVIRONMENTS
    )
    Membership.objects.create(project=project, user=actor, role=Role.OWNER)
    actor.forget_roles()
    after = {"name": project.name, "slug": project.slug}
    audit.record("project.created", actor=actor, project_id=project.pk, target=project, after=after)
    return project


@transaction.atomic
def set_archived(project: Project, archived: bool, *, actor: User) -> Project:
    """Archive a project (it can then be read only) or wake it. DomainError `invalid_state` where
    it is so already."""
    old, new = Project.Status.ACTIVE, Project.Status.ARCHIVED
    if not archived:
        old, new = new, old
    changed = Project.objects.filter(pk=project.pk, status=old).update(
        status=new, updated_at=timezone.now()
    )
    if not changed:
        raise DomainError(f"The project is {new.value} already.", code="invalid_state")
    verb = "archived" if archived else "activated"
    audit.record(f"project.{verb}", actor=actor, project_id=project.pk, target=project)
    actor.forget_roles()
    project.refresh_from_db()
    return project


def may_give(actor: User | None, project: Project, *roles: str) -> None:
    """Nobody hands out, changes or takes away a role above their own."""
    mine = actor.project_roles().get(project.pk) if actor is not None else Role.OWNER
    for role in roles:
        if not outranks(mine, role):
            raise PermissionDenied(f"Your role may not give or take the role {role}.")


def _keep_an_owner(membership: Membership) -> None:
    owners = Membership.objects.select_for_update().filter(
        project_id=membership.project_id, role=Role.OWNER
    )
    if [m.pk for m in owners.order_by("pk")] == [membership.pk]:
        raise DomainError(
            "A project needs an owner: make somebody else owner first.", code="last_owner"
        )


@transaction.atomic
def add_member(project: Project, *, user: User, role: str, actor: User | None) -> Membership:
    """Make `user` a member. InvalidInput where they are one already."""
    may_give(actor, project, role)
    membership, is_new = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    if not is_new:
        raise InvalidInput.of("email", "This person is a member already.", "unique")
    _record_member("created", membership, actor, after=True)
    user.forget_roles()
    return membership


@transaction.atomic
def add_service_account(
    project: Project, *, name: str, role: str, actor: User | None
) -> Membership:
    """A member that is no person: it signs in by API keys only."""
    if role == Role.OWNER:
        raise InvalidInput.of("role", "A service account cannot own a project.")
    account = User(email=f"{uuid7()}@service.invalid", name=name, is_service=True)
    account.set_unusable_password()
    account.full_clean()
    account.save(force_insert=True)
    return add_member(project, user=account, role=role, actor=actor)


@transaction.atomic
def change_role(membership: Membership, role: str, *, actor: User | None) -> Membership:
    """Give a member another role. DomainError `last_owner` where none would be left."""
    may_give(actor, membership.project, membership.role, role)
    if membership.user.is_service and role == Role.OWNER:
        raise InvalidInput.of("role", "A service account cannot own a project.")
    if membership.role == Role.OWNER and role != Role.OWNER:
        _keep_an_owner(membership)
    before, membership.role = membership.role, role
    membership.save(update_fields=["role", "updated_at"])
    _record_member("changed", membership, actor, before=before, after=True)
    return membership


@transaction.atomic
def remove_member(membership: Membership, *, actor: User | None) -> None:
    """End a membership; with it the member's API keys of the project. Leaving is removing
    oneself. DomainError `last_owner` where none would be left."""
    leaving = actor is not None and actor.pk == membership.user_id
    if not leaving:
        may_give(actor, membership.project, membership.role)
    if membership.role == Role.OWNER:
        _keep_an_owner(membership)
    _record_member("left" if leaving else "deleted", membership, actor, before=membership.role)
    account, project = membership.user, membership.project
    account.api_keys.filter(project=project).delete()
    membership.delete()
    if account.is_service:
        account.delete()
    elif actor is not None:
        actor.forget_roles()


def _record_member(
    verb: str,
    membership: Membership,
    actor: User | None,
    *,
    before: str | None = None,
    after: bool = False,
) -> None:
    who = str(membership.user)
    audit.record(
        f"membership.{verb}",
        actor=actor,
        project_id=membership.project_id,
        target=membership,
        before={"user": who, "role": before} if before else None,
        after={"user": who, "role": membership.role} if after else None,
    )


@transaction.atomic
def invite(project: Project, *, email: str, role: str, actor: User) -> tuple[Invitation, str]:
    """Offer membership to an e-mail address; the invitation and its token, which is shown once.
    A further one to the same address replaces the first."""
    may_give(actor, project, role)
    token = secrets.token_urlsafe(32)
    invitation, _ = Invitation.objects.update_or_create(
        project=project,
        email=email.lower(),
        defaults={
            "role": role,
            "token_sha256": sha256(token),
            "invited_by": actor,
            "expires_at": timezone.now() + timedelta(days=INVITATION_DAYS),
            "accepted_at": None,
        },
    )
    after = {"email": invitation.email, "role": role}
    audit.record(
        "invitation.created", actor=actor, project_id=project.pk, target=invitation, after=after
    )
    return invitation, token


@transaction.atomic
def withdraw(invitation: Invitation, *, actor: User) -> None:
    """Make an open invitation useless."""
    before = {"email": invitation.email, "role": invitation.role}
    audit.record(
        "invitation.deleted",
        actor=actor,
        project_id=invitation.project_id,
        target=invitation,
        before=before,
    )
    Invitation.objects.filter(pk=invitation.pk).delete()


def open_invitation(token: str) -> Invitation | None:
    """The invitation a token opens; None where it is unknown, taken or too old."""
    return (
        Invitation.objects.select_related("project")
        .filter(
            token_sha256=sha256(token),
            accepted_at=None,
            expires_at__gt=timezone.now(),
            project__deleted_at=None,
        )
        .first()
    )


@transaction.atomic
def accept_invitation(token: str, *, actor: User) -> Membership:
    """Become a member by an invitation to one's own address. DomainError 404 where the token opens
    nothing, 403 where it was sent to somebody else."""
    invitation = open_invitation(token)
    if invitation is None:
        raise DomainError(
            "This invitation was taken, withdrawn or is too old.", code="not_found", status=404
        )
    if invitation.email != actor.email:
        raise PermissionDenied("This invitation was sent to another address.")
    Invitation.objects.filter(pk=invitation.pk).update(accepted_at=timezone.now())
    membership, is_new = Membership.objects.get_or_create(
        project=invitation.project, user=actor, defaults={"role": invitation.role}
    )
    if is_new:
        _record_member("joined", membership, actor, after=True)
    actor.forget_roles()
    return membership


def environment_named(project: Project, name: str) -> Environment:
    """The environment of that name; InvalidInput `does_not_exist` where there is none."""
    found = Environment.objects.filter(project=project, name=name).first()
    if found is None:
        message = f"This project has no environment named {name}."
        raise InvalidInput.of("environment", message, "does_not_exist")
    return found
