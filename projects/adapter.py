"""How allauth's pages behave here: by the same verbs and limits as the API's routes."""

import logging
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.forms import ValidationError
from django.http import HttpRequest

from controlplane.kit.errors import DomainError
from controlplane.kit.rates import client_address
from projects import accounts
from projects.people import User

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    """Registration as configured, sign-ins counted together with the API's, passwords set by our
    verb so that tokens end with them."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether this visitor may register: everybody, or who came by an invitation."""
        return accounts.may_register(request.session.get("invitation", ""))

    def get_client_ip(self, request: HttpRequest) -> str:
        """The caller's address."""
        return client_address(request)

    def format_email_subject(self, subject: str) -> str:
        """Ours, with our name in front."""
        return f"Spark-Ops: {subject}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send, or say that it cannot be done just now."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException) as exc:
            logger.error("mail %s not sent: %s", template_prefix, exc)
            raise DomainError(
                "Mail cannot be sent just now; try again later.", code="unavailable", status=503
            ) from exc

    def send_password_reset_mail(self, user: User, email: str, context: dict[str, Any]) -> None:
        """To people only."""
        if not user.is_service:
            super().send_password_reset_mail(user, email, context)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the try against the address; refuse it after many failures."""
        address = client_address(request)
        try:
            accounts.count_try(address)
            accounts.refuse_after_failures(credentials.get("email", ""), address)
        except DomainError as exc:
            raise ValidationError(exc.message, code=exc.code) from None

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the failure against the e-mail."""
        accounts.count_failure(credentials.get("email", ""), client_address(request))

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """An inactive account looks like none."""
        user = super().authenticate(request, **credentials)
        if user is not None and not user.is_active:
            self.authentication_failed(request, **credentials)
            return None
        return user

    def login(self, request: HttpRequest, user: User) -> None:
        """Sign in, with an audit row."""
        super().login(request, user)
        accounts.note_sign_in(user)

    def set_password(self, user: User, password: str) -> None:
        """Changed or reset by the page: all tokens end."""
        accounts.set_password(user, password)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Back to the start."""
        return "/"
