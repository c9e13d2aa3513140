"""Bearer credentials of the API: access tokens and API keys."""

from rest_framework.authentication import BaseAuthentication


class BearerAuthentication(BaseAuthentication):
    """Authorization: Bearer <access token or API key>."""

    def authenticate(self, request):
        return None
