"""What happens and happened."""

from importlib import import_module

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"

    def ready(self) -> None:
        """Hear the one signal of the house."""
        import_module("runs.receivers")
