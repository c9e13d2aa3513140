"""The verbs of accounts: registering, signing in, passwords."""

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from controlplane.kit import audit, rates
from controlplane.kit.access import SignInThrottle
from controlplane.kit.errors import DomainError, FieldProblem, InvalidInput, from_django
from projects import services, tokens
from projects.people import User

# Wrong passwords for one e-mail address: from one network address, and from all together.
FAILED_SECONDS = 300
FAILED_HERE = 10
FAILED_ANYWHERE = 50


class WrongCredentials(DomainError):
    """No account with that e-mail and password; the same answer whichever of them is wrong."""

    status = 401
    code = "invalid_credentials"


def check_password_rules(password: str, user: User, field: str = "password") -> None:
    """InvalidInput names every rule of settings that a new password breaks."""
    try:
        validate_password(password, user)
    except ValidationError as exc:
        faults = [
            FieldProblem(field, item.code or "invalid", text)
            for item in exc.error_list
            for text in item.messages
        ]
        raise InvalidInput(faults[0].message, errors=faults) from None


def may_register(invitation: str, email: str | None = None) -> bool:
    """Whether somebody may register: always, or only who was invited (to that address)."""
    if settings.REGISTRATION == "open":
        return True
    found = services.open_invitation(invitation) if invitation else None
    return found is not None and email in (None, found.email)


def register(*, email: str, password: str, name: str, invitation: str = "") -> User:
    """A new user with a personal project of that name; member of the project of an invitation too.

    InvalidInput where the e-mail is taken or the password too weak; DomainError
    `registration_closed` (403) where registration is by invitation and there is none.
    """
    if not may_register(invitation, email.lower()):
        raise DomainError(
            "Registration is by invitation only.", code="registration_closed", status=403
        )
    user = User(email=User.objects.normalize_email(email).lower(), name=name)
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as exc:
        raise from_django(exc) from None
    check_password_rules(password, user)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            audit.record("user.registered", actor=user, project_id=None, target=user)
            services.create_project(actor=user, name=name)
            found = services.open_invitation(invitation) if invitation else None
            if found is not None and found.email == user.email:
                services.accept_invitation(invitation, actor=user)
    except IntegrityError:
        raise InvalidInput.of("email", "There is an account with this e-mail.", "unique") from None
    return user


def count_try(address: str) -> None:
    """Count a sign-in or registration by page against the limit of the API's routes."""
    SignInThrottle.count(address)


def _failed_keys(email: str, address: str) -> tuple[tuple[str, int], tuple[str, int]]:
    digest = hashlib.sha256(email.lower().encode()).hexdigest()[:32]
    return (f"failed:{digest}:{address}", FAILED_HERE), (f"failed:{digest}", FAILED_ANYWHERE)


def refuse_after_failures(email: str, address: str) -> None:
    """DomainError 429 after too many wrong passwords for one e-mail."""
    wait = max(
        rates.hit(key, limit=limit, seconds=FAILED_SECONDS, hits=0)
        for key, limit in _failed_keys(email, address)
    )
    if wait:
        raise DomainError(
            "Too many failed sign-ins with this e-mail; try again later.",
            code="too_many_failures",
            status=429,
            extra={"retry_after": wait},
        )


def count_failure(email: str, address: str) -> None:
    """Count a wrong password."""
    for key, limit in _failed_keys(email, address):
        rates.hit(key, limit=limit, seconds=FAILED_SECONDS)


def sign_in(*, email: str, password: str, address: str) -> User:
    """The user of an e-mail and password.

    WrongCredentials takes as long and says the same for an unknown e-mail, a wrong password and an
    inactive account. After several failures with one e-mail: DomainError 429.
    """
    refuse_after_failures(email, address)
    user = User.objects.filter(email=email.lower()).first()
    if user is None:
        # One hash is computed for nobody too, or the time would tell who has an account.
        User().set_password(password)
    if user is None or not user.check_password(password) or not user.is_active:
        count_failure(email, address)
        raise WrongCredentials("E-mail or password is wrong.")
    note_sign_in(user)
    return user


@transaction.atomic
def note_sign_in(user: User) -> None:
    """Time and audit row of a sign-in that succeeded."""
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    audit.record("user.signed_in", actor=user, project_id=None, target=user)


@transaction.atomic
def set_password(user: User, password: str, *, verb: str = "password_changed") -> None:
    """Give a user another password: every token and session of theirs ends at once."""
    user.set_password(password)
    user.save(update_fields=["password", "updated_at"])
    tokens.revoke_all(user)
    audit.record(f"user.{verb}", actor=user, project_id=None, target=user)


def change_password(user: User, *, current: str, new: str) -> None:
    """Change one's own password. InvalidInput where the current one is wrong or the new weak."""
    if not user.check_password(current):
        raise InvalidInput.of("current_password", "This is not your password.", "wrong_password")
    check_password_rules(new, user, "new_password")
    set_password(user, new)


@transaction.atomic
def change_profile(user: User, **fields: Any) -> User:
    """Change what a user may change of themselves."""
    before = {name: getattr(user, name) for name in fields}
    for name, value in fields.items():
        setattr(user, name, value)
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as exc:
        raise from_django(exc) from None
    user.save(update_fields=[*fields, "updated_at"])
    audit.record(
        "user.changed", actor=user, project_id=None, target=user, before=before, after=fields
    )
    return user
