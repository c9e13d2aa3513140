"""The worker protocol over HTTP, one method a route. Nothing is tried again here."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """A refusal of the server: HTTP `status` (0 where it could not be reached), machine `code`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in (0, 408, 429) or self.status >= 500


@dataclass(frozen=True)
class Registration:
    """What the server said to a worker that came."""

    id: str
    heartbeat_seconds: float
    silent_seconds: float


class Api:
    """The routes below `<url>/api/v1/workers`. `timeout` in seconds, for each request."""

    def __init__(self, url: str, token: str, *, timeout: float = 15.0) -> None:
        self.base = f"{url.rstrip('/')}/api/v1/workers"
        self.token = token
        self.timeout = timeout

    def register(
        self,
        *,
        agent: str,
        environment: str,
        name: str,
        capacity: int,
        about: Mapping[str, Any] | None = None,
    ) -> Registration:
        """Come as a worker of an agent in an environment."""
        body = {
            "agent": agent,
            "environment": environment,
            "name": name,
            "capacity": capacity,
            "about": dict(about or {}),
        }
        told = self._post("register", body)
        return Registration(told["id"], told["heartbeat_seconds"], told["silent_seconds"])

    def heartbeat(
        self, worker: str, *, rss_bytes: int = 0, cpu_percent: float = 0
    ) -> dict[str, Any]:
        """Live on: {state, drain, leases, cancelled}."""
        return self._post(
            f"{worker}/heartbeat", {"rss_bytes": rss_bytes, "cpu_percent": cpu_percent}
        )

    def lease(self, worker: str, most: int) -> list[dict[str, Any]]:
        """Take up to so many tasks."""
        found: list[dict[str, Any]] = self._post(f"{worker}/lease", {"max": most})["results"]
        return found

    def renew(self, worker: str, lease: str) -> dict[str, Any]:
        """Hold on to a task: {expires_at, cancelled}."""
        return self._post(f"{worker}/leases/{lease}/renew", {})

    def report(self, worker: str, lease: str, level: str, message: str, data: Any = None) -> None:
        """Write a line to the run's log."""
        body = {"level": level, "message": message[:8_000], "data": data}
        self._post(f"{worker}/leases/{lease}/report", body)

    def complete(self, worker: str, lease: str, answer: Mapping[str, Any]) -> None:
        """Say what came of a task."""
        self._post(f"{worker}/leases/{lease}/complete", answer)

    def fail(self, worker: str, lease: str, failure: Mapping[str, Any]) -> None:
        """Say why a task did not succeed."""
        self._post(f"{worker}/leases/{lease}/fail", failure)

    def release(self, worker: str, lease: str) -> None:
        """Give a task back to others."""
        self._post(f"{worker}/leases/{lease}/release", {})

    def leave(self, worker: str) -> None:
        """Say goodbye; what is still held is given back."""
        self._send("DELETE", worker, None)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 (the operator names the server)
            f"{self.base}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310
                content = answer.read()
        except urllib.error.HTTPError as exc:
            raise _refusal(exc) from None
        except (OSError, TimeoutError) as exc:
            raise ApiError(0, "unreachable", str(exc)) from None
        found: dict[str, Any] = json.loads(content) if content else {}
        return found


def _refusal(exc: urllib.error.HTTPError) -> ApiError:
    try:
        told = json.loads(exc.read())
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    return ApiError(exc.code, str(told.get("code", "")), str(told.get("detail", exc.reason)))
