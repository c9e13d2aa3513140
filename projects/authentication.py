"""Who is asking: bearer credentials of the API, and the three ways to open a socket."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, parse_cookie
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from projects import keys, principals, tickets, tokens
from projects.credentials import Credential
from projects.people import User
from projects.tokens import InvalidToken

SUBPROTOCOL = "bearer"


def bearer(text: str) -> User:
    """The principal of an access token or API key. InvalidToken says why there is none."""
    if prefix := keys.prefix_of(text):
        user = principals.by_prefix(prefix, text)
        if user is None:
            raise InvalidToken("The API key is unknown, expired or revoked.")
        return user
    user = principals.load(tokens.read_access(text))
    if user is None:
        raise InvalidToken("The access token was revoked; sign in again.", code="token_revoked")
    return user


class BearerAuthentication(BaseAuthentication):
    """Authorization: Bearer <access token or API key>. Without the header the next class is
    asked; a header of that kind that does not hold is 401, whatever else came along."""

    def authenticate(self, request: Request) -> tuple[User, Credential | None] | None:
        """(principal, credential), or None where no bearer header came."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            user = bearer(text.strip())
        except InvalidToken as exc:
            raise AuthenticationFailed(exc.message, code=exc.code) from None
        return user, user.credential

    def authenticate_header(self, request: Request) -> str:
        """For WWW-Authenticate."""
        return "Bearer"


def session_credential(request: Any) -> Credential | None:
    """The credential of a page's session, for tickets; None for a stranger."""
    user, session = request.user, getattr(request, "session", None)
    if not user.is_authenticated or session is None or not session.session_key:
        return None
    mark = user.password_mark()
    return Credential("session", user.pk, mark=mark, session_key=session.session_key)


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the page that opens a socket is ours: a browser lets any site try, and sends the
    cookie along."""
    origin = headers.get("origin", "")
    host = urlsplit(origin).netloc.lower()
    if not host:
        return False
    return host == headers.get("host", "").lower() or origin.lower() == settings.PUBLIC_URL.lower()


def _by_session(headers: Mapping[str, str]) -> User | None:
    session_key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if not session_key or not is_same_origin(headers):
        return None
    request = HttpRequest()
    request.session = SessionStore(session_key)
    request.user = auth.get_user(request)
    credential = session_credential(request)
    return principals.load(credential) if credential else None


def _offered_token(scope: Mapping[str, Any]) -> str | None:
    offered = list(scope.get("subprotocols") or ())
    if SUBPROTOCOL not in offered:
        return None
    rest = offered[offered.index(SUBPROTOCOL) + 1 :]
    return rest[0] if rest else ""


def find_user(scope: Mapping[str, Any]) -> tuple[User | None, str | None]:
    """`user_from_scope` for synchronous callers."""
    token = _offered_token(scope)
    if token is not None:
        try:
            return bearer(token), SUBPROTOCOL
        except InvalidToken:
            return None, SUBPROTOCOL
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if ticket := query.get("ticket", [""])[0]:
        credential = tickets.take(ticket)
        return (principals.load(credential) if credential else None), None
    return _by_session(_headers(scope)), None


async def user_from_scope(scope: Mapping[str, Any]) -> tuple[User | None, str | None]:
    """(principal or None, subprotocol to select) of a WebSocket handshake.

    In this order: the subprotocol pair ["bearer", <access token or API key>], `?ticket=`, the
    session cookie with an Origin of ours. One that is offered and does not hold is not followed by
    another. The subprotocol is to be selected even for a refusal, else browsers hide the close
    code.
    """
    return await database_sync_to_async(find_user)(scope)


async def refreshed(user: User) -> User | None:
    """The same principal as of now, roles read anew, or None where its credential no longer holds
    (signed out, revoked, deactivated, password changed). One query; ask it every few seconds."""
    if user.credential is None:
        return None
    return await database_sync_to_async(principals.load)(user.credential)
