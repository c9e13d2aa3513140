"""A small HTTP client that speaks the API of the contract as one user."""

import secrets
import time
from typing import Any

import httpx2

TERMINAL = {"succeeded", "failed", "cancelled", "timed_out"}
PASSWORD = "Correct-horse-7-battery"  # noqa: S105


class Client:
    """Requests below /api/v1 with the user's token; methods answer httpx2 responses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=f"{url}/api/v1", timeout=30, trust_env=False)
        self.user: dict[str, Any] = {}
        self.project = ""
        self.access = ""
        self.refresh = ""
        self.email = ""
        self.password = PASSWORD

    def register(self, name: str = "Ana") -> "Client":
        """Register a new user; takes their personal project as `project`."""
        self.email = f"{name.lower()}-{secrets.token_hex(6)}@example.com"
        body = {"email": self.email, "password": self.password, "name": name}
        answer = self.http.post("/auth/register", json=body)
        for _ in range(3):
            if answer.status_code != 429:
                break
            time.sleep(float(answer.headers.get("Retry-After", 1)))
            answer = self.http.post("/auth/register", json=body)
        return self._signed_in(answer, 201)

    def login(self, email: str, password: str = PASSWORD) -> "Client":
        """Sign in as an existing user."""
        self.email, self.password = email, password
        answer = self.http.post("/auth/login", json={"email": email, "password": password})
        return self._signed_in(answer, 200)

    def _signed_in(self, answer: httpx2.Response, status: int) -> "Client":
        assert answer.status_code == status, answer.text
        body = answer.json()
        self.user, self.access, self.refresh = body["user"], body["access"], body["refresh"]
        self.http.headers["Authorization"] = f"Bearer {self.access}"
        memberships = self.get("/auth/me").json()["memberships"]
        project = memberships[0]["project"] if memberships else ""
        self.project = project["id"] if isinstance(project, dict) else project
        return self

    def get(self, path: str, **query: Any) -> httpx2.Response:
        """GET a route; keywords are query parameters."""
        return self.http.get(path, params=query or None)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """POST JSON."""
        return self.http.post(path, json=body if body is not None else {}, headers=headers)

    def patch(self, path: str, body: Any) -> httpx2.Response:
        """PATCH JSON."""
        return self.http.patch(path, json=body)

    def put(self, path: str, body: Any) -> httpx2.Response:
        """PUT JSON."""
        return self.http.put(path, json=body)

    def delete(self, path: str, **query: Any) -> httpx2.Response:
        """DELETE a route."""
        return self.http.delete(path, params=query or None)

    def made(self, path: str, body: Any) -> dict[str, Any]:
        """POST that must answer 200 or 201; answers the JSON."""
        answer = self.post(path, body)
        assert answer.status_code in {200, 201}, f"{path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def make_tool(self, slug: str, function: str, **more: Any) -> dict[str, Any]:
        """A built-in Python tool."""
        body = {
            "project": self.project,
            "slug": slug,
            "name": slug,
            "kind": "python",
            "config": {"function": function},
            "effect_class": "read",
            "stakes": "read",
            **more,
        }
        return self.made("/tools", body)

    def make_workflow(
        self, slug: str, definition: dict[str, Any], *, publish: bool = True
    ) -> dict[str, Any]:
        """A workflow, by default published."""
        body = {"project": self.project, "slug": slug, "name": slug, "definition": definition}
        workflow = self.made("/workflows", body)
        if publish:
            self.made(f"/workflows/{workflow['id']}/publish", {"note": "test"})
        return workflow

    def start(self, workflow: dict[str, Any], input: Any = None, **more: Any) -> dict[str, Any]:
        """Start a run in dev."""
        body = {"workflow": workflow["id"], "environment": "dev", "input": input or {}, **more}
        return self.made("/runs", body)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as it is now."""
        return dict(self.get(f"/runs/{run_id}").json())

    def steps(self, run_id: str) -> list[dict[str, Any]]:
        """All steps of a run."""
        return list(self.get(f"/runs/{run_id}/steps", page_size=200).json()["results"])

    def wait(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """Wait for a run's end; answers the run."""
        deadline = time.monotonic() + seconds
        while (run := self.run(run_id))["status"] not in TERMINAL:
            assert time.monotonic() < deadline, f"run {run_id} is {run['status']}: {run}"
            time.sleep(0.03)
        return run
