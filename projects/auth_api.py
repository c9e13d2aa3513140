"""The routes of accounts: registering, signing in and out, oneself, passwords, socket tickets."""

from typing import Any

from allauth.account.forms import ResetPasswordForm, UserTokenForm
from django.core.exceptions import PermissionDenied
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from controlplane.kit.access import PrincipalThrottle, SignInThrottle
from controlplane.kit.bodies import Body
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.rates import client_address
from projects import accounts, tickets, tokens
from projects.authentication import session_credential
from projects.models import Membership
from projects.people import User


class BearerScheme(OpenApiAuthenticationExtension):
    """Access tokens and API keys, as the OpenAPI document describes them."""

    target_class = "projects.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """The security scheme."""
        return {"type": "http", "scheme": "bearer"}


class PasswordField(serializers.CharField):
    """A password: taken as it is, blanks included."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=1024, write_only=True, **kwargs)


class MembershipShape(serializers.ModelSerializer):
    """A membership as /auth/me shows it."""

    project_name = serializers.CharField(source="project.name")
    project_slug = serializers.CharField(source="project.slug")

    class Meta:
        model = Membership
        fields = ["project", "role", "project_name", "project_slug"]


class MeShape(serializers.ModelSerializer):
    """Oneself."""

    memberships = MembershipShape(many=True)

    class Meta:
        model = User
        fields = ["id", "email", "name", "is_staff", "is_service", "created_at", "memberships"]


class TokenPair(serializers.Serializer):
    """An access token (15 minutes) and the refresh token (14 days) for the next pair."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class SignedIn(TokenPair):
    """What registering and signing in answer."""

    user = MeShape()


class TicketShape(serializers.Serializer):
    """A ticket for one socket."""

    ticket = serializers.CharField()


class RegisterBody(Body):
    """A new account."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField()
    name = serializers.CharField(max_length=120)
    invitation = serializers.CharField(max_length=200, required=False, default="")


class LoginBody(Body):
    """E-mail, password, and the code of the second factor where there is one."""

    email = serializers.CharField(max_length=254)
    password = PasswordField()
    otp = serializers.CharField(max_length=20, required=False, allow_null=True, allow_blank=True)


class RefreshBody(Body):
    """A refresh token."""

    refresh = serializers.CharField(max_length=512)


class ProfileBody(Body):
    """What one may change of oneself."""

    name = serializers.CharField(max_length=120, required=False)


class ChangePasswordBody(Body):
    """The password now and the one to come."""

    current_password = PasswordField()
    new_password = PasswordField()


class ResetBody(Body):
    """Whose password is forgotten."""

    email = serializers.EmailField(max_length=254)


class ResetConfirmBody(Body):
    """The key of the e-mail's link (its last part) and the new password."""

    key = serializers.CharField(max_length=200)
    password = PasswordField()


def me(user: User) -> dict[str, Any]:
    """The shape of GET /auth/me. An API key sees the membership of its project only."""
    rows = Membership.objects.filter(user=user, project__deleted_at=None)
    if user.api_key is not None:
        rows = rows.filter(project_id=user.api_key.project_id)
    memberships = rows.select_related("project").order_by("created_at")
    fields = [name for name in MeShape.Meta.fields if name != "memberships"]
    shape = {name: getattr(user, name) for name in fields}
    shape["memberships"] = MembershipShape(memberships, many=True).data
    return shape


def signed_in(user: User) -> dict[str, Any]:
    """A fresh pair of tokens with whose they are."""
    pair = tokens.issue(user)
    return {"user": me(user), "access": pair.access, "refresh": pair.refresh}


class OpenView(APIView):
    """A route for strangers; a credential that came along is not looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (SignInThrottle,)


class RegisterView(OpenView):
    """A new account."""

    @extend_schema(request=RegisterBody, responses={201: SignedIn})
    def post(self, request: Request) -> Response:
        """Register: user, personal project, tokens, at once."""
        user = accounts.register(**RegisterBody.read(request))
        return Response(signed_in(user), status=status.HTTP_201_CREATED)


class LoginView(OpenView):
    """Signing in."""

    @extend_schema(request=LoginBody, responses=SignedIn)
    def post(self, request: Request) -> Response:
        """E-mail and password for tokens."""
        body = LoginBody.read(request)
        user = accounts.sign_in(
            email=body["email"], password=body["password"], address=client_address(request)
        )
        return Response(signed_in(user))


class RefreshView(OpenView):
    """The next pair of tokens."""

    throttle_classes = (PrincipalThrottle,)

    @extend_schema(request=RefreshBody, responses=TokenPair)
    def post(self, request: Request) -> Response:
        """A refresh token for a new pair; it is used up."""
        pair = tokens.rotate(RefreshBody.read(request)["refresh"])
        return Response({"access": pair.access, "refresh": pair.refresh})


class LogoutView(OpenView):
    """Signing out."""

    throttle_classes = (PrincipalThrottle,)

    @extend_schema(request=RefreshBody, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the family of a refresh token, its access tokens too; an unknown one is no fault."""
        tokens.revoke(RefreshBody.read(request)["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """Oneself."""

    any_scope = True

    @extend_schema(responses=MeShape)
    def get(self, request: Request) -> Response:
        """Who am I?"""
        return Response(me(request.user))

    @extend_schema(request=ProfileBody, responses=MeShape)
    def patch(self, request: Request) -> Response:
        """Change one's name."""
        _no_key(request.user)
        fields = ProfileBody.read(request)
        if fields:
            accounts.change_profile(request.user, **fields)
        return Response(me(request.user))


def _no_key(user: User) -> None:
    if user.api_key is not None:
        raise PermissionDenied("An API key does not change the account it belongs to.")


class TicketView(APIView):
    """Tickets for sockets."""

    any_scope = True

    @extend_schema(request=None, responses=TicketShape)
    def post(self, request: Request) -> Response:
        """A ticket that opens one socket within 30 seconds."""
        credential = request.user.credential or session_credential(request)
        if credential is None:
            raise DomainError("Sign in by token or session first.", code="no_credential")
        return Response({"ticket": tickets.give(credential)})


class ChangePasswordView(APIView):
    """Changing one's password."""

    throttle_classes = (SignInThrottle,)

    @extend_schema(request=ChangePasswordBody, responses=SignedIn)
    def post(self, request: Request) -> Response:
        """Change it; all other tokens and sessions end, new ones are answered."""
        _no_key(request.user)
        body = ChangePasswordBody.read(request)
        accounts.change_password(
            request.user, current=body["current_password"], new=body["new_password"]
        )
        return Response(signed_in(request.user))


class ResetView(OpenView):
    """A forgotten password."""

    @extend_schema(request=ResetBody, responses={202: None})
    def post(self, request: Request) -> Response:
        """Mail a link. The answer is the same whether there is such an account or not."""
        form = ResetPasswordForm({"email": ResetBody.read(request)["email"]})
        if form.is_valid():
            form.save(request._request)
        return Response(status=status.HTTP_202_ACCEPTED)


class ResetConfirmView(OpenView):
    """The end of a reset."""

    @extend_schema(request=ResetConfirmBody, responses={204: None})
    def post(self, request: Request) -> Response:
        """Set a new password by the key of the mailed link; all tokens and sessions end."""
        body = ResetConfirmBody.read(request)
        uid, _, key = body["key"].partition("-")
        form = UserTokenForm({"uidb36": uid, "key": key})
        if not form.is_valid():
            raise InvalidInput.of("key", "This link is not valid or too old.", "invalid_key")
        accounts.check_password_rules(body["password"], form.reset_user)
        accounts.set_password(form.reset_user, body["password"], verb="password_reset")
        return Response(status=status.HTTP_204_NO_CONTENT)


ROUTES = {
    "register": RegisterView,
    "login": LoginView,
    "refresh": RefreshView,
    "logout": LogoutView,
    "me": MeView,
    "ws-ticket": TicketView,
    "password": ChangePasswordView,
    "password-reset": ResetView,
    "password-reset/confirm": ResetConfirmView,
}
