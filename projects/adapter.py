"""How allauth's pages behave here."""

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Registration is open or by invitation, as configured."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether strangers may register."""
        return settings.REGISTRATION == "open"
