"""Who works."""

from importlib import import_module

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        """Answer where a tool is an agent."""
        import_module("agents.as_tool").register()
