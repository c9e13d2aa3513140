"""Instances that are not ours to start: they come and go by themselves."""

from agents.models import Deployment, Instance


class Elsewhere:
    """Nothing is started or stopped; `reason` says where to look instead."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def ensure(self, deployment: Deployment, live: list[Instance]) -> list[Instance]:
        """Their heartbeats say who lives; the sweep buries the silent."""
        return live

    def scale(self, deployment: Deployment, live: list[Instance]) -> None:
        """Not ours."""

    def drain(self, instance: Instance, reason: str) -> None:
        """It hears of it at its next heartbeat."""
        Instance.objects.live().filter(pk=instance.pk).update(state=Instance.State.DRAINING)

    def stop(self, instance: Instance, reason: str) -> None:
        """It can only be asked."""
        self.drain(instance, reason)

    def logs(self, instance: Instance, lines: int) -> tuple[list[str], str]:
        """Not here."""
        return [], self.reason

    def capacity(self) -> int:
        """None of ours."""
        return 0
