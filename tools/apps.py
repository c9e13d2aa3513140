"""What an agent may call."""

from django.apps import AppConfig


class ToolsConfig(AppConfig):
    name = "tools"
