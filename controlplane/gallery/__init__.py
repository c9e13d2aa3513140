"""Every component in every state, with invented content: for the gallery page and its tests."""

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from controlplane.gallery.controls import CONTROLS
from controlplane.gallery.many import MANY
from controlplane.gallery.reading import READING

SPECIMENS = (*CONTROLS, *MANY, *READING)


def rendered(request: HttpRequest | None) -> list[tuple[str, dict[str, SafeString]]]:
    """Each component's name with the HTML of each of its states."""
    return [
        (
            specimen.template,
            {
                state: render_to_string(
                    f"components/{specimen.template}.html", dict(context), request
                )
                for state, context in specimen.states.items()
            },
        )
        for specimen in SPECIMENS
    ]
