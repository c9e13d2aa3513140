"""The roof: pages, commands and the composition of the API."""

from django.apps import AppConfig


class ControlplaneConfig(AppConfig):
    name = "controlplane"
