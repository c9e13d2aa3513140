"""The API about itself: its root, its OpenAPI document, Swagger UI."""

import hashlib
from functools import cache
from typing import Any

from django.http import HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from controlplane.kit.formats import FormatView

BASE = "/api/v1"
COLLECTIONS = (
    "projects", "secrets", "api-keys", "tools", "agents", "instances", "workflows", "runs",
    "approvals", "audit",
)  # fmt: skip
REPORTS = ("overview", "runs", "costs", "agents", "workflows")


@cache
def document(renderer: Any) -> tuple[bytes, str]:
    """(the OpenAPI document, its ETag). Made once a process: it takes a second, and changes only
    with the program."""
    content = renderer().render(SchemaGenerator().get_schema(public=True), renderer_context={})
    return content, f'"{hashlib.sha256(content).hexdigest()[:24]}"'


class Open(APIView):
    """For everybody: it tells nothing of anybody's."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []


@extend_schema(exclude=True)
class RootView(Open):
    """Where to begin."""

    def get(self, request: Request) -> Response:
        """The collections, the reports, the description."""

        def url(path: str) -> str:
            return request.build_absolute_uri(f"{BASE}/{path}")

        return Response(
            {name.replace("-", "_"): url(name) for name in COLLECTIONS}
            | {"analytics": {name: url(f"analytics/{name}") for name in REPORTS}}
            | {"me": url("auth/me"), "schema": url("schema"), "docs": url("docs")}
        )


@extend_schema(exclude=True)
class SchemaView(FormatView, Open):
    """The OpenAPI document: YAML, or JSON where that is asked for."""

    renderer_classes = SpectacularAPIView.renderer_classes

    def get(self, request: Request) -> HttpResponse:
        """The document."""
        content, etag = document(type(request.accepted_renderer))
        response = HttpResponse(content, content_type=request.accepted_renderer.media_type)
        response.headers["ETag"] = etag
        patch_vary_headers(response, ("Accept",))
        return get_conditional_response(request._request, etag=etag, response=response)


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI of the document."""

    template_name = "api/docs.html"
    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    url = f"{BASE}/schema"
    title = "The API of Spark-Ops"
