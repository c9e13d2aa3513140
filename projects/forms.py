"""Forms of accounts and project settings."""

from allauth.account.forms import BaseSignupForm


class RegisterForm(BaseSignupForm):
    pass
