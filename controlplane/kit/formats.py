"""Answers in other formats than JSON: chosen by ?format=, else by the Accept header."""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from controlplane.kit.errors import InvalidInput
from controlplane.kit.json import OrjsonRenderer


class FormatView(APIView):
    """A view whose `renderer_classes` can be named by ?format=. DRF's own parameter of that name is
    switched off, because it answers 404 where a format is not known."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """(renderer, media type); 422 where no renderer has the format that is asked for."""
        wanted = request.query_params.get("format")
        if not wanted or force:
            return super().perform_content_negotiation(request, force)
        renderers = self.get_renderers()
        for renderer in renderers:
            if renderer.format == wanted:
                return renderer, renderer.media_type
        known = ", ".join(dict.fromkeys(str(r.format) for r in renderers if r.format != "api"))
        raise InvalidInput.of("format", f"format is one of {known}.", "invalid_choice")

    def handle_exception(self, exc: Exception) -> Any:
        """A refusal is JSON, whatever was asked for."""
        self.answer_json()
        return super().handle_exception(exc)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """What the view offers, as JSON."""
        self.answer_json()
        return super().options(request, *args, **kwargs)

    def answer_json(self) -> None:
        """For what is not in the format of the view."""
        self.request.accepted_renderer = OrjsonRenderer()
        self.request.accepted_media_type = OrjsonRenderer.media_type
