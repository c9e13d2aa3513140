"""Forms of accounts and project settings."""

from typing import Any

from allauth.account.forms import SignupForm
from django import forms
from django.http import HttpRequest

from projects import accounts
from projects.people import User


class RegisterForm(SignupForm):
    """Registering by the page: the same verb as POST /auth/register."""

    field_order = ("name", "email", "password1")
    name = forms.CharField(max_length=120, widget=forms.TextInput({"autocomplete": "name"}))

    def clean_email(self) -> str:
        """An address that has no account yet."""
        email = self.cleaned_data["email"].lower()
        if User.objects.filter(email=email).exists():
            raise forms.ValidationError("There is an account with this e-mail.", code="unique")
        return email

    def try_save(self, request: HttpRequest) -> tuple[User, Any]:
        """The new user with a project of their own; allauth then signs them in."""
        user = accounts.register(
            email=self.cleaned_data["email"],
            password=self.cleaned_data["password1"],
            name=self.cleaned_data["name"],
            invitation=request.session.get("invitation", ""),
        )
        return user, None
