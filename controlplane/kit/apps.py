"""The floor as a Django app: it owns the one table of events."""

from django.apps import AppConfig


class KitConfig(AppConfig):
    name = "controlplane.kit"
    label = "kit"
