"""What happens and happened."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"
