"""What is allowed."""

from importlib import import_module

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "governance"

    def ready(self) -> None:
        """Carry out what was approved."""
        import_module("governance.questions")
