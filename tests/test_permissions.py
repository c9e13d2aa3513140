"""The permission table: role × route × verb, each cell asked for real through its door.

A new route needs a row here, or `test_every_route_has_a_row` fails. A row says the lowest role
that may, and what each other kind of visitor gets follows: a stranger to the project 404 (or as
the row says), nobody signed in 401 (a page: to the sign-in), a lower role 403.
"""

import functools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from projects.models import Project
from projects.people import User
from projects.roles import as_markdown
from tests.support.cast import DEFINITION, MODEL, PASSWORD, Api
from tests.support.routes import routes, shape
from tests.support.world import World

VIEWER, OPERATOR, ADMIN, OWNER = range(4)
# Anybody signed in, member or not; and everybody, signed in or not.
ANYONE, EVERYBODY = -1, -2
ROLES = ("vic", "ana", "ada", "own")


@dataclass(frozen=True)
class Row:
    """One route and method: the lowest role that may, the answer it then gets, what a stranger
    to the project gets, and a body. `{name}` in path and body is made by tests.support.world.
    `nobody` is for pages that only strangers see."""

    method: str
    path: str
    lowest: int
    ok: int
    body: dict[str, Any] = field(default_factory=dict)
    stranger: int = 404
    nobody: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def expected(self, rank: int) -> int:
        """What a member of this rank gets."""
        return self.ok if rank >= self.lowest else 403


P = "{project}"
LIST, CREATE = 200, 422  # what a stranger gets: an empty list; "no such project"
NEW_TOOL = {
    "project": P,
    "slug": "t",
    "name": "T",
    "kind": "python",
    "config": {"function": "echo"},
}
NEW_SERVER = {"project": P, "name": "New server", "url": "https://h.example.com/mcp"}
NEW_AGENT = {"project": P, "slug": "a", "name": "A", "kind": "model", "config": MODEL}
NEW_SECRET = {"project": P, "name": "s", "value": "vvvv", "allowed_hosts": ["a.example.com"]}
NEW_WORKFLOW = {"project": P, "slug": "w", "name": "W", "definition": DEFINITION}
DEV = {"environment": "dev"}
REGISTER_WORKER = {"agent": "{agent}", "environment": "dev", "name": "w"}
NEW_CONNECTION = {
    "project": P,
    "name": "Ours",
    "provider": "openai",
    "base_url": "http://127.0.0.1:9/v1",
}
NEW_PRICE = {
    "project": P,
    "provider": "openai",
    "model": "small*",
    "input_per_million": "1",
    "output_per_million": "2",
}
UP = {"source": "dev", "environment": "staging"}
TWICE = {**DEV, "mode": "hand", "replicas": 2, "concurrency": 4}
START = {"workflow": "{workflow}", "environment": "dev", "input": {}}
NAMED_QA = {"confirm_name": "qa"}
REGISTER = {"email": "new@example.com", "password": PASSWORD, "name": "New"}
SIGN_IN = {"email": "nobody@example.com", "password": "x"}
PASSWORDS = {"current_password": "wrong", "new_password": PASSWORD}
NEW_VIEW = {"project": P, "table": "runs:list", "name": "Mine", "query": "status=failed"}
ALL_GONE: dict[str, Any] = {"action": "delete", "filter": {}}
CHOSEN = {"action": "cancel", "id": "{live_run}"}
INVITE = {"email": "x@example.com", "role": "viewer"}

API: list[Row] = [
    # the API about itself
    Row("GET", "", EVERYBODY, 200),
    Row("GET", "/schema", EVERYBODY, 200),
    Row("GET", "/docs", EVERYBODY, 200),
    # accounts: the answers of EVERYBODY and ANYONE are the same for all of them
    Row("POST", "/auth/register", EVERYBODY, 201, REGISTER),
    Row("POST", "/auth/login", EVERYBODY, 401, SIGN_IN),
    Row("POST", "/auth/refresh", EVERYBODY, 401, {"refresh": "x"}),
    Row("POST", "/auth/logout", EVERYBODY, 204, {"refresh": "x"}),
    Row("POST", "/auth/password-reset", EVERYBODY, 202, {"email": "nobody@example.com"}),
    Row("POST", "/auth/password-reset/confirm", EVERYBODY, 422, {"key": "x", "password": "y"}),
    Row("GET", "/auth/me", ANYONE, 200),
    Row("PATCH", "/auth/me", ANYONE, 200, {"name": "Other"}),
    Row("POST", "/auth/password", ANYONE, 422, PASSWORDS),
    Row("POST", "/auth/ws-ticket", ANYONE, 409),
    Row("POST", "/invitations/accept", ANYONE, 404, {"token": "x"}),
    # projects
    Row("GET", "/projects", ANYONE, 200),
    Row("POST", "/projects", ANYONE, 201, {"name": "P"}),
    Row("GET", "/projects/{project}", VIEWER, 200),
    Row("PATCH", "/projects/{project}", ADMIN, 200, {"name": "P"}),
    Row("PUT", "/projects/{project}", ADMIN, 200, {"name": "P"}),
    Row("DELETE", "/projects/{project}", OWNER, 204),
    Row("POST", "/projects/{trashed_project}/restore", OWNER, 200),
    Row("POST", "/projects/{project}/archive", ADMIN, 200),
    Row("POST", "/projects/{archived_project}/activate", ADMIN, 200),
    Row("POST", "/projects/{project}/freeze", OWNER, 200),
    Row("POST", "/projects/{project}/unfreeze", OWNER, 200),
    Row("GET", "/projects/{archived_project}", VIEWER, 200),
    Row("PATCH", "/projects/{archived_project}", OWNER + 1, 403, {"name": "P"}),
    Row("DELETE", "/projects/{archived_project}", OWNER, 204),
    # leaving: the one owner of the cast is refused as such
    Row("POST", "/projects/{project}/leave", VIEWER, 204),
    Row("GET", "/projects/{project}/environments", VIEWER, 200),
    Row("POST", "/projects/{project}/environments", ADMIN, 201, {"name": "e"}),
    Row("GET", "/projects/{project}/environments/{environment}", VIEWER, 200),
    Row("PATCH", "/projects/{project}/environments/{environment}", ADMIN, 200, {"rank": 3}),
    Row("PUT", "/projects/{project}/environments/{environment}", ADMIN, 200, {"name": "qa"}),
    Row("DELETE", "/projects/{project}/environments/{environment}", ADMIN, 204),
    Row("GET", "/projects/{project}/members", VIEWER, 200),
    Row("POST", "/projects/{project}/members", ADMIN, 201, INVITE),
    Row("POST", "/projects/{project}/members", ADMIN, 201, {"email": "{person}", "role": "admin"}),
    Row("POST", "/projects/{project}/members", OWNER, 201, {"email": "{person}", "role": "owner"}),
    Row("GET", "/projects/{project}/members/{member}", VIEWER, 200),
    Row("PATCH", "/projects/{project}/members/{member}", ADMIN, 200, {"role": "operator"}),
    Row("PATCH", "/projects/{project}/members/{member}", OWNER, 200, {"role": "owner"}),
    Row("DELETE", "/projects/{project}/members/{member}", ADMIN, 204),
    Row("GET", "/projects/{project}/invitations", VIEWER, 200),
    Row("GET", "/projects/{project}/invitations/{invitation}", VIEWER, 200),
    Row("DELETE", "/projects/{project}/invitations/{invitation}", ADMIN, 204),
    # secrets and API keys (keys are invisible below admin)
    Row("GET", "/secrets", VIEWER, 200, stranger=LIST),
    Row("POST", "/secrets", ADMIN, 201, NEW_SECRET, CREATE),
    Row("GET", "/secrets/{secret}", VIEWER, 200),
    Row("PATCH", "/secrets/{secret}", ADMIN, 200, {"allowed_hosts": ["b.example.com"]}),
    Row("PUT", "/secrets/{secret}", ADMIN, 200, {"project": P, "name": "openai"}),
    Row("DELETE", "/secrets/{secret}", ADMIN, 204),
    Row("POST", "/secrets/{secret}/rotate", ADMIN, 200, {"value": "vvvvv"}),
    Row("GET", "/api-keys", VIEWER, 200, stranger=LIST),
    Row("POST", "/api-keys", ADMIN, 201, {"project": P, "name": "k"}, CREATE),
    Row("GET", "/api-keys/{key}", ADMIN, 200),
    Row("PATCH", "/api-keys/{key}", ADMIN, 200, {"name": "kk"}),
    Row("PUT", "/api-keys/{key}", ADMIN, 200, {"project": P, "name": "kk"}),
    Row("DELETE", "/api-keys/{key}", ADMIN, 204),
    Row("POST", "/api-keys/{key}/revoke", ADMIN, 200),
    # audit
    Row("GET", "/audit", VIEWER, 200, stranger=LIST),
    Row("GET", "/audit/{audit}", VIEWER, 200),
    # approvals: nobody asks by HTTP
    Row("GET", "/approvals", VIEWER, 200, stranger=LIST),
    Row("POST", "/approvals", ANYONE, 405),
    Row("GET", "/approvals/stats", ANYONE, 200),
    Row("GET", "/approvals/{approval}", VIEWER, 200),
    Row("POST", "/approvals/{approval}/approve", OPERATOR, 200),
    Row("POST", "/approvals/{approval}/reject", OPERATOR, 200, {"comment": "No."}),
    # reports: of the projects of whoever asks
    Row("GET", "/analytics/overview", ANYONE, 200),
    Row("GET", "/analytics/runs", ANYONE, 200),
    Row("GET", "/analytics/costs", ANYONE, 200),
    Row("GET", "/analytics/agents", ANYONE, 200),
    Row("GET", "/analytics/workflows", ANYONE, 200),
    # exports: everybody sees their own; that of the world is the owner's
    Row("GET", "/exports", VIEWER, 200, stranger=LIST),
    Row("POST", "/exports", VIEWER, 201, {"project": P, "list": "runs"}, CREATE),
    Row("GET", "/exports/{export}", VIEWER, 404),
    Row("GET", "/exports/{export}/file", VIEWER, 404),
    Row("DELETE", "/exports/{export}", VIEWER, 404),
    # tools
    Row("GET", "/tools", VIEWER, 200, stranger=LIST),
    Row("GET", "/tools/functions", ANYONE, 200),
    Row("POST", "/tools", OPERATOR, 201, NEW_TOOL, CREATE),
    Row("GET", "/tools/{tool}", VIEWER, 200),
    Row("PATCH", "/tools/{tool}", OPERATOR, 200, {"name": "T"}),
    Row("PUT", "/tools/{tool}", OPERATOR, 200, {**NEW_TOOL, "slug": "echo"}),
    Row("DELETE", "/tools/{tool}", OPERATOR, 204),
    Row("POST", "/tools/{trashed_tool}/restore", OPERATOR, 200),
    Row("POST", "/tools/{tool}/test", OPERATOR, 200, {"arguments": {}}),
    Row("GET", "/tools/{tool}/usage", VIEWER, 200),
    Row("GET", "/tools/{tool}/versions", VIEWER, 200),
    Row("GET", "/tools/{tool}/versions/{one}", VIEWER, 200),
    Row("GET", "/tools/{tool}/versions/{one}/diff", VIEWER, 200),
    Row("GET", "/tools/{tool}/users", VIEWER, 200),
    Row("POST", "/tools/{tool}/rollback", OPERATOR, 409, {"version": 1}),
    Row("POST", "/tools/{held_tool}/approve-definition", ADMIN, 200),
    # tool servers: nobody may call the address of this one
    Row("GET", "/tool-servers", VIEWER, 200, stranger=LIST),
    Row("POST", "/tool-servers", OPERATOR, 201, NEW_SERVER, CREATE),
    Row("GET", "/tool-servers/{server}", VIEWER, 200),
    Row("PATCH", "/tool-servers/{server}", OPERATOR, 200, {"name": "S"}),
    Row("PUT", "/tool-servers/{server}", OPERATOR, 200, NEW_SERVER),
    Row("DELETE", "/tool-servers/{server}", OPERATOR, 204),
    Row("POST", "/tool-servers/{trashed_server}/restore", OPERATOR, 200),
    Row("POST", "/tool-servers/{server}/discover", OPERATOR, 409),
    Row("POST", "/tool-servers/{server}/refresh", OPERATOR, 409),
    Row("POST", "/tool-servers/{server}/import", OPERATOR, 201, {"tools": ["add"]}),
    # agents
    Row("GET", "/agents", VIEWER, 200, stranger=LIST),
    Row("POST", "/agents", OPERATOR, 201, NEW_AGENT, CREATE),
    Row("GET", "/agents/{agent}", VIEWER, 200),
    Row("PATCH", "/agents/{agent}", OPERATOR, 200, {"name": "A"}),
    Row("PUT", "/agents/{agent}", OPERATOR, 200, {**NEW_AGENT, "slug": "packer"}),
    Row("DELETE", "/agents/{agent}", OPERATOR, 204),
    Row("POST", "/agents/{trashed_agent}/restore", OPERATOR, 200),
    Row("POST", "/agents/{agent}/check-connection", OPERATOR, 200),
    Row("POST", "/agents/{agent}/rollback", OPERATOR, 409, {"version": 1}),
    Row("POST", "/agents/{agent}/play", OPERATOR, 200, {"message": "Hi"}),
    Row("POST", "/agents/{agent}/deploy", OPERATOR, 201, DEV),
    Row("POST", "/agents/{agent}/deploy", ADMIN, 201, {"environment": "prod"}),
    Row("POST", "/agents/{deployed}/promote", OPERATOR, 201, {"environment": "staging"}),
    Row("POST", "/agents/{deployed}/promote", ADMIN, 201, {"environment": "prod"}),
    Row("POST", "/agents/{deployed}/rollback", OPERATOR, 409, DEV),
    Row("POST", "/agents/{deployed}/retire", OPERATOR, 200, DEV),
    Row("POST", "/agents/{deployed}/scale", OPERATOR, 200, {**DEV, "replicas": 2}),
    Row("GET", "/agents/{deployed}/deployments", VIEWER, 200),
    Row("GET", "/agents/{deployed}/deployment-events", VIEWER, 200),
    Row("GET", "/agents/{agent}/health", VIEWER, 200),
    Row("GET", "/agents/{agent}/metrics", VIEWER, 200),
    Row("GET", "/agents/{agent}/runs", VIEWER, 200),
    Row("GET", "/agents/{agent}/versions", VIEWER, 200),
    Row("GET", "/agents/{agent}/versions/{one}", VIEWER, 200),
    Row("GET", "/agents/{agent}/versions/{one}/diff", VIEWER, 200),
    Row("GET", "/instances", VIEWER, 200, stranger=LIST),
    Row("GET", "/instances/{instance}", VIEWER, 200),
    Row("GET", "/instances/{instance}/logs", VIEWER, 200),
    Row("GET", "/provider-connections", VIEWER, 200, stranger=LIST),
    Row("POST", "/provider-connections", ADMIN, 201, NEW_CONNECTION, CREATE),
    Row("GET", "/provider-connections/{connection}", VIEWER, 200),
    Row("PATCH", "/provider-connections/{connection}", ADMIN, 200, {"name": "C"}),
    Row("PUT", "/provider-connections/{connection}", ADMIN, 200, NEW_CONNECTION),
    Row("DELETE", "/provider-connections/{connection}", ADMIN, 204),
    Row("POST", "/provider-connections/{connection}/check", OPERATOR, 200),
    Row("GET", "/model-prices", VIEWER, 200, stranger=LIST),
    Row("POST", "/model-prices", ADMIN, 201, NEW_PRICE, CREATE),
    Row("GET", "/model-prices/in-force", ANYONE, 422),
    Row("GET", "/model-prices/{price}", VIEWER, 200),
    Row("PATCH", "/model-prices/{price}", ADMIN, 200, {"input_per_million": "2"}),
    Row("PUT", "/model-prices/{price}", ADMIN, 200, NEW_PRICE),
    Row("DELETE", "/model-prices/{price}", ADMIN, 204),
    # workers that come by HTTP: nobody holds the lease that is named
    Row("POST", "/workers/register", OPERATOR, 409, REGISTER_WORKER, CREATE),
    Row("POST", "/workers/{puller}/heartbeat", OPERATOR, 200),
    Row("POST", "/instances/{puller}/heartbeat", OPERATOR, 200),
    Row("POST", "/workers/{puller}/lease", OPERATOR, 200),
    Row("DELETE", "/workers/{puller}", OPERATOR, 204),
    Row("POST", "/workers/{puller}/leases/{nobody}/renew", OPERATOR, 409),
    Row("POST", "/workers/{puller}/leases/{nobody}/report", OPERATOR, 409, {"message": "m"}),
    Row("POST", "/workers/{puller}/leases/{nobody}/complete", OPERATOR, 409),
    Row("POST", "/workers/{puller}/leases/{nobody}/fail", OPERATOR, 409, {"message": "m"}),
    Row("POST", "/workers/{puller}/leases/{nobody}/release", OPERATOR, 409),
    Row("GET", "/instances/{instance}/samples", VIEWER, 200),
    # workflows
    Row("GET", "/workflows", VIEWER, 200, stranger=LIST),
    Row("POST", "/workflows", OPERATOR, 201, NEW_WORKFLOW, CREATE),
    Row("GET", "/workflows/{workflow}", VIEWER, 200),
    Row("PATCH", "/workflows/{workflow}", OPERATOR, 200, {"name": "W"}),
    Row("PUT", "/workflows/{workflow}", OPERATOR, 200, {**NEW_WORKFLOW, "slug": "chain"}),
    Row("DELETE", "/workflows/{workflow}", OPERATOR, 204),
    Row("POST", "/workflows/{trashed_workflow}/restore", OPERATOR, 200),
    Row("POST", "/workflows/{workflow}/validate", VIEWER, 200),
    Row("POST", "/workflows/{draft}/publish", OPERATOR, 201),
    Row("GET", "/workflows/{workflow}/runs", VIEWER, 200),
    Row("GET", "/workflows/{workflow}/analytics", VIEWER, 200),
    Row("GET", "/workflows/{workflow}/versions", VIEWER, 200),
    Row("GET", "/workflows/{workflow}/versions/{one}", VIEWER, 200),
    Row("GET", "/workflows/{workflow}/versions/{one}/diff", VIEWER, 200),
    Row("POST", "/workflows/{workflow}/versions/{one}/restore", OPERATOR, 409),
    Row("POST", "/workflows/{workflow}/versions/{one}/deprecate", OPERATOR, 200),
    # runs (a batch answers each of its runs by itself)
    Row("GET", "/runs", VIEWER, 200, stranger=LIST),
    Row("POST", "/runs", OPERATOR, 201, START, CREATE),
    Row("POST", "/runs/batch", ANYONE, 201, {"runs": [START]}),
    Row("GET", "/runs/{run}", VIEWER, 200),
    Row("GET", "/runs/{run}/steps", VIEWER, 200),
    Row("GET", "/runs/{run}/events", VIEWER, 200),
    Row("GET", "/runs/{run}/logs", VIEWER, 200),
    Row("GET", "/runs/{run}/diff", VIEWER, 200),
    Row("POST", "/runs/{live_run}/cancel", OPERATOR, 202),
    Row("POST", "/runs/{live_run}/signals/{signal}", OPERATOR, 202),
    Row("POST", "/runs/{live_run}/steps/{nobody}/answer", OPERATOR, 404),
    Row("POST", "/runs/{failed_run}/retry", OPERATOR, 201, {"from": "start"}),
    Row("POST", "/runs/{run}/fork", OPERATOR, 201, {"from": "start"}),
    Row("POST", "/runs/{live_run}/pause", OPERATOR, 200),
    Row("POST", "/runs/{paused_run}/resume", OPERATOR, 200),
    # saved views: that of the world is shared by the owner, who alone changes it
    Row("GET", "/saved-views", ANYONE, 200),
    Row("POST", "/saved-views", VIEWER, 201, NEW_VIEW, CREATE),
    Row("GET", "/saved-views/{view}", VIEWER, 200),
    Row("PATCH", "/saved-views/{view}", OWNER, 200, {"name": "V"}),
    Row("PUT", "/saved-views/{view}", OWNER, 200, {**NEW_VIEW, "name": "V"}),
    Row("DELETE", "/saved-views/{view}", OWNER, 204),
    # bulk: each row is asked about by itself; the job of the world is the owner's
    Row("POST", "/runs/bulk", ANYONE, 201, {"action": "cancel", "ids": ["{live_run}"]}),
    Row("POST", "/tools/bulk", ANYONE, 201, ALL_GONE),
    Row("POST", "/agents/bulk", ANYONE, 201, ALL_GONE),
    Row("POST", "/workflows/bulk", ANYONE, 201, ALL_GONE),
    Row("GET", "/bulk-jobs", ANYONE, 200),
    Row("GET", "/bulk-jobs/{bulk_job}", VIEWER, 404),
    Row("POST", "/bulk-jobs/{bulk_job}/stop", VIEWER, 404),
    Row("GET", "/projects/{project}/retention", VIEWER, 200),
    # queues: of the projects of whoever asks
    Row("POST", "/runs/{parked_run}/replay", OPERATOR, 200),
    Row("GET", "/queues", ANYONE, 200),
    Row("GET", "/queues/{queue}", ANYONE, 200),
    Row("GET", "/queues/{queue}/parked", ANYONE, 200),
    Row("POST", "/queues/{queue}/parked/replay", ANYONE, 200),
    # calls in doubt: nobody makes one by HTTP
    Row("GET", "/reconciliations", VIEWER, 200, stranger=LIST),
    Row("POST", "/reconciliations", ANYONE, 405),
    Row("GET", "/reconciliations/{doubt}", VIEWER, 200),
    Row("POST", "/reconciliations/{doubt}/resolve", OPERATOR, 200, {"action": "done"}),
]
# A member's answer that is another than the row says, with the reason beside the row above.
BUT = {
    ("GET /bulk-jobs/{bulk_job}", "own"): 200,
    ("POST /bulk-jobs/{bulk_job}/stop", "own"): 202,
    ("GET /bulk/jobs/{bulk_job}/", "own"): 200,
    ("POST /bulk/jobs/{bulk_job}/stop/", "own"): 302,
    ("POST /projects/{project}/leave", "own"): 409,
    ("POST /settings/project/{project}/leave/", "own"): 409,
    ("GET /exports/{export}", "own"): 200,
    ("GET /exports/{export}/file", "own"): 409,
    ("DELETE /exports/{export}", "own"): 204,
    ("GET /exports/{export}/progress/", "own"): 200,
    ("GET /exports/{export}/file/", "own"): 409,
    ("POST /exports/{export}/delete/", "own"): 302,
    ("GET /api-keys/{key}", "vic"): 404,
    ("GET /api-keys/{key}", "ana"): 404,
    ("PATCH /api-keys/{key}", "vic"): 404,
    ("PATCH /api-keys/{key}", "ana"): 404,
    ("PUT /api-keys/{key}", "vic"): 404,
    ("PUT /api-keys/{key}", "ana"): 404,
    ("DELETE /api-keys/{key}", "vic"): 404,
    ("DELETE /api-keys/{key}", "ana"): 404,
    ("POST /api-keys/{key}/revoke", "vic"): 404,
    ("POST /api-keys/{key}/revoke", "ana"): 404,
}

# Pages answer 302 where the API answers 401. A form that is posted empty answers 200 or 422.
PAGES: list[Row] = [
    Row("GET", "/health/live", EVERYBODY, 200),
    Row("GET", "/health/ready", EVERYBODY, 503),
    Row("GET", "/", ANYONE, 200),
    # accounts: who is signed in is sent on from the pages for strangers
    Row("GET", "/accounts/login/", ANYONE, 302, nobody=200),
    Row("POST", "/accounts/login/", ANYONE, 302, nobody=200),
    Row("GET", "/accounts/register/", ANYONE, 302, nobody=200),
    Row("POST", "/accounts/register/", ANYONE, 302, nobody=200),
    Row("GET", "/accounts/signup/", EVERYBODY, 302),
    Row("POST", "/accounts/signup/", EVERYBODY, 302),
    Row("GET", "/accounts/logout/", ANYONE, 200),
    Row("POST", "/accounts/logout/", ANYONE, 302),
    Row("GET", "/accounts/inactive/", EVERYBODY, 200),
    Row("GET", "/accounts/password/change/", ANYONE, 302),
    Row("POST", "/accounts/password/change/", ANYONE, 302),
    Row("GET", "/accounts/password/set/", ANYONE, 200),
    Row("POST", "/accounts/password/set/", ANYONE, 200),
    Row("GET", "/accounts/password/reset/", EVERYBODY, 200),
    Row("POST", "/accounts/password/reset/", EVERYBODY, 200),
    Row("GET", "/accounts/password/reset/done/", EVERYBODY, 200),
    Row("GET", "/accounts/password/reset/key/done/", EVERYBODY, 200),
    Row("GET", "/accounts/password/reset/key/{one}-{one}/", EVERYBODY, 200),
    Row("POST", "/accounts/password/reset/key/{one}-{one}/", EVERYBODY, 200),
    Row("GET", "/components/", OWNER + 1, 403, stranger=403),
    # choosing: strangers have a project of their own, with a dev
    Row("GET", "/projects/", ANYONE, 200),
    Row("GET", "/projects/new/", ANYONE, 200),
    Row("POST", "/projects/new/", ANYONE, 422),
    Row("GET", "/projects/profile/", ANYONE, 200),
    Row("POST", "/projects/profile/", ANYONE, 422),
    Row("GET", "/projects/invitations/{one}/", EVERYBODY, 404),
    Row("POST", "/projects/invitations/{one}/", ANYONE, 404),
    Row("POST", "/projects/choose/", VIEWER, 302, {"project": P}),
    Row("POST", "/projects/choose-environment/", ANYONE, 302, {"environment": "dev"}),
    # settings: lists and new rows are of the visitor's own current project
    Row("GET", "/settings/", ANYONE, 200),
    Row("GET", "/settings/project/{project}/edit/", ADMIN, 200),
    Row("POST", "/settings/project/{project}/edit/", ADMIN, 422),
    Row("GET", "/settings/project/{project}/delete/", OWNER, 200),
    Row("POST", "/settings/project/{project}/delete/", OWNER, 302),
    Row("POST", "/settings/project/{project}/archive/", ADMIN, 302),
    Row("POST", "/settings/project/{archived_project}/activate/", ADMIN, 302),
    Row("POST", "/settings/project/{project}/leave/", VIEWER, 302),
    Row("GET", "/settings/members/", ANYONE, 200),
    Row("GET", "/settings/members/new/", ADMIN, 200, stranger=200),
    Row("POST", "/settings/members/new/", ADMIN, 422, stranger=422),
    Row("GET", "/settings/members/service/", ADMIN, 200, stranger=200),
    Row("POST", "/settings/members/service/", ADMIN, 422, stranger=422),
    Row("GET", "/settings/members/{member}/role/", ADMIN, 200),
    Row("POST", "/settings/members/{member}/role/", ADMIN, 302, {"role": "operator"}),
    Row("GET", "/settings/members/{member}/remove/", ADMIN, 200),
    Row("POST", "/settings/members/{member}/remove/", ADMIN, 302),
    Row("GET", "/settings/invitations/", ANYONE, 200),
    Row("POST", "/settings/invitations/{invitation}/withdraw/", ADMIN, 302),
    Row("GET", "/settings/environments/", ANYONE, 200),
    Row("GET", "/settings/environments/new/", ADMIN, 200, stranger=200),
    Row("POST", "/settings/environments/new/", ADMIN, 422, stranger=422),
    Row("GET", "/settings/environments/{environment}/edit/", ADMIN, 200),
    Row("POST", "/settings/environments/{environment}/edit/", ADMIN, 302, {"rank": 3}),
    Row("GET", "/settings/environments/{environment}/delete/", ADMIN, 200),
    Row("POST", "/settings/environments/{environment}/delete/", ADMIN, 302, NAMED_QA),
    Row("GET", "/settings/secrets/", ANYONE, 200),
    Row("GET", "/settings/secrets/new/", ADMIN, 200, stranger=200),
    Row("POST", "/settings/secrets/new/", ADMIN, 422, stranger=422),
    Row("GET", "/settings/secrets/{secret}/edit/", ADMIN, 200),
    Row("POST", "/settings/secrets/{secret}/edit/", ADMIN, 302),
    Row("GET", "/settings/secrets/{secret}/delete/", ADMIN, 200),
    Row("POST", "/settings/secrets/{secret}/delete/", ADMIN, 422),
    Row("GET", "/settings/api-keys/", ADMIN, 200, stranger=200),
    Row("GET", "/settings/api-keys/new/", ADMIN, 200, stranger=200),
    Row("POST", "/settings/api-keys/new/", ADMIN, 200, {"name": "k"}, 200),
    Row("POST", "/settings/api-keys/{key}/revoke/", ADMIN, 302),
    Row("GET", "/settings/api-keys/{key}/delete/", ADMIN, 200),
    Row("POST", "/settings/api-keys/{key}/delete/", ADMIN, 422),
    # audit
    Row("GET", "/audit/", ANYONE, 200),
    Row("GET", "/audit/{audit}/", VIEWER, 200),
    # approvals
    Row("GET", "/approvals/", ANYONE, 200),
    Row("GET", "/approvals/history/", ANYONE, 200),
    Row("GET", "/approvals/stats/", ANYONE, 200),
    Row("GET", "/approvals/badge/", ANYONE, 200),
    Row("GET", "/approvals/{approval}/", VIEWER, 200),
    Row("GET", "/approvals/{approval}/approve/", OPERATOR, 200),
    Row("POST", "/approvals/{approval}/approve/", OPERATOR, 302),
    Row("GET", "/approvals/{approval}/edit/", OPERATOR, 200),
    Row("POST", "/approvals/{approval}/edit/", OPERATOR, 302),
    Row("GET", "/approvals/{approval}/reject/", OPERATOR, 200),
    Row("POST", "/approvals/{approval}/reject/", OPERATOR, 422),
    # exports: the same
    Row("GET", "/exports/", ANYONE, 200),
    Row("GET", "/exports/{export}/progress/", VIEWER, 404),
    Row("GET", "/exports/{export}/file/", VIEWER, 404),
    Row("POST", "/exports/{export}/delete/", VIEWER, 404),
    # tools
    Row("GET", "/tools/", ANYONE, 200),
    Row("GET", "/tools/new/", OPERATOR, 200, stranger=200),
    Row("POST", "/tools/new/", OPERATOR, 422, stranger=422),
    Row("GET", "/tools/import/", OPERATOR, 200, stranger=200),
    Row("POST", "/tools/import/", OPERATOR, 422, stranger=422),
    Row("GET", "/tools/{tool}/", VIEWER, 200),
    Row("GET", "/tools/{tool}/edit/", OPERATOR, 200),
    Row("POST", "/tools/{tool}/edit/", OPERATOR, 422),
    Row("GET", "/tools/{tool}/delete/", OPERATOR, 200),
    Row("POST", "/tools/{tool}/delete/", OPERATOR, 302),
    Row("GET", "/tools/{tool}/test/", OPERATOR, 200),
    Row("POST", "/tools/{tool}/test/", OPERATOR, 200),
    Row("GET", "/tools/{held_tool}/approve-definition/", ADMIN, 200),
    Row("POST", "/tools/{held_tool}/approve-definition/", ADMIN, 422),
    Row("GET", "/tools/{tool}/rollback/", OPERATOR, 404),
    Row("POST", "/tools/{tool}/rollback/", OPERATOR, 404),
    Row("GET", "/tools/servers/", ANYONE, 200),
    Row("GET", "/tools/servers/new/", OPERATOR, 200, stranger=200),
    Row("POST", "/tools/servers/new/", OPERATOR, 422, stranger=422),
    Row("GET", "/tools/servers/{server}/", VIEWER, 200),
    Row("GET", "/tools/servers/{server}/edit/", OPERATOR, 200),
    Row("POST", "/tools/servers/{server}/edit/", OPERATOR, 422),
    Row("GET", "/tools/servers/{server}/delete/", OPERATOR, 200),
    Row("POST", "/tools/servers/{server}/delete/", OPERATOR, 302),
    Row("POST", "/tools/servers/{server}/discover/", OPERATOR, 302),
    Row("POST", "/tools/servers/{server}/import/", OPERATOR, 422),
    Row("GET", "/agents/prices/", ANYONE, 200),
    Row("GET", "/agents/prices/new/", ADMIN, 200, stranger=200),
    Row("POST", "/agents/prices/new/", ADMIN, 422, stranger=422),
    Row("GET", "/agents/prices/{price}/edit/", ADMIN, 200),
    Row("POST", "/agents/prices/{price}/edit/", ADMIN, 422),
    Row("GET", "/agents/prices/{price}/delete/", ADMIN, 200),
    Row("POST", "/agents/prices/{price}/delete/", ADMIN, 422),
    Row("GET", "/agents/connections/", ANYONE, 200),
    Row("GET", "/agents/connections/new/", ADMIN, 200, stranger=200),
    Row("POST", "/agents/connections/new/", ADMIN, 422, stranger=422),
    Row("GET", "/agents/connections/{connection}/", VIEWER, 200),
    Row("GET", "/agents/connections/{connection}/edit/", ADMIN, 200),
    Row("POST", "/agents/connections/{connection}/edit/", ADMIN, 422),
    Row("GET", "/agents/connections/{connection}/delete/", ADMIN, 200),
    Row("POST", "/agents/connections/{connection}/delete/", ADMIN, 302, {"confirm_name": "Own"}),
    Row("POST", "/agents/connections/{connection}/check/", OPERATOR, 302),
    # agents
    # deleted while nothing uses it yet
    Row("GET", "/agents/{agent}/delete/", OPERATOR, 200),
    Row("POST", "/agents/{agent}/delete/", OPERATOR, 302),
    Row("GET", "/agents/", ANYONE, 200),
    Row("GET", "/agents/new/", OPERATOR, 200, stranger=200),
    Row("POST", "/agents/new/", OPERATOR, 422, stranger=422),
    Row("GET", "/agents/import/", OPERATOR, 200, stranger=200),
    Row("POST", "/agents/import/", OPERATOR, 422, stranger=422),
    Row("GET", "/agents/{agent}/", VIEWER, 200),
    Row("GET", "/agents/{agent}/edit/", OPERATOR, 200),
    Row("POST", "/agents/{agent}/edit/", OPERATOR, 422),
    Row("GET", "/agents/{deployed}/deploy/", OPERATOR, 200),
    Row("POST", "/agents/{deployed}/deploy/", OPERATOR, 302, {**DEV, "version": 1}),
    Row("POST", "/agents/{deployed}/deploy/", ADMIN, 302, {"environment": "prod", "version": 1}),
    Row("GET", "/agents/{deployed}/promote/", OPERATOR, 200),
    Row("POST", "/agents/{deployed}/promote/", OPERATOR, 302, UP),
    Row("GET", "/agents/{deployed}/roll-back/", OPERATOR, 200),
    Row("POST", "/agents/{deployed}/roll-back/", OPERATOR, 422),
    Row("GET", "/agents/{deployed}/retire/", OPERATOR, 200),
    Row("POST", "/agents/{deployed}/retire/", OPERATOR, 302, DEV),
    Row("GET", "/agents/{deployed}/scale/", OPERATOR, 200),
    Row("POST", "/agents/{deployed}/scale/", OPERATOR, 302, TWICE),
    Row("POST", "/agents/{agent}/play/", OPERATOR, 200, {"message": "Hi", "version": "1"}),
    Row("GET", "/agents/{agent}/check/", OPERATOR, 200),
    Row("POST", "/agents/{agent}/check/", OPERATOR, 200),
    Row("POST", "/agents/{agent}/restore/", OPERATOR, 409, {"version": "1"}),
    Row("GET", "/agents/instances/{instance}/log/", VIEWER, 200),
    # workflows
    Row("GET", "/workflows/", ANYONE, 200),
    Row("GET", "/workflows/new/", OPERATOR, 200, stranger=200),
    Row("POST", "/workflows/new/", OPERATOR, 422, stranger=422),
    Row("GET", "/workflows/import/", OPERATOR, 200, stranger=200),
    Row("POST", "/workflows/import/", OPERATOR, 422, stranger=422),
    Row("GET", "/workflows/{workflow}/", VIEWER, 200),
    Row("GET", "/workflows/{workflow}/edit/", OPERATOR, 200),
    Row("POST", "/workflows/{workflow}/edit/", OPERATOR, 422),
    Row("GET", "/workflows/{workflow}/publish/", OPERATOR, 200),
    Row("POST", "/workflows/{workflow}/publish/", OPERATOR, 422),
    Row("GET", "/workflows/{workflow}/delete/", OPERATOR, 200),
    Row("POST", "/workflows/{workflow}/delete/", OPERATOR, 302),
    # runs
    Row("GET", "/runs/", ANYONE, 200),
    Row("GET", "/runs/new/", OPERATOR, 200, stranger=200),
    Row("POST", "/runs/new/", OPERATOR, 422, stranger=422),
    Row("GET", "/runs/{run}/", VIEWER, 200),
    Row("GET", "/runs/{live_run}/cancel/", OPERATOR, 200),
    Row("POST", "/runs/{live_run}/cancel/", OPERATOR, 302),
    Row("GET", "/runs/{failed_run}/retry/", OPERATOR, 200),
    Row("POST", "/runs/{failed_run}/retry/", OPERATOR, 302, {"start_from": "start"}),
    Row("GET", "/runs/{run}/fork/", OPERATOR, 200),
    Row("POST", "/runs/{run}/fork/", OPERATOR, 302, {"start_from": "start"}),
    Row("POST", "/runs/{live_run}/pause/", OPERATOR, 302),
    Row("POST", "/runs/{paused_run}/resume/", OPERATOR, 302),
    # saved views: the same
    Row("GET", "/views/new/", ANYONE, 200),
    Row("POST", "/views/new/", ANYONE, 422),
    Row("GET", "/views/{view}/edit/", OWNER, 200),
    Row("POST", "/views/{view}/edit/", OWNER, 302, {"name": "V"}),
    Row("GET", "/views/{view}/delete/", OWNER, 200),
    Row("POST", "/views/{view}/delete/", OWNER, 302, {"confirm_name": "Late"}),
    # the trash
    Row("GET", "/trash/", ANYONE, 302),
    Row("GET", "/trash/{kind}/", ANYONE, 200),
    Row("POST", "/trash/{kind}/{trashed_tool}/restore/", OPERATOR, 302),
    Row("GET", "/trash/{kind}/{trashed_tool}/delete/", OPERATOR, 200),
    Row("POST", "/trash/{kind}/{trashed_tool}/delete/", OPERATOR, 422),
    # bulk: strangers have a project of their own; rows of others are refused one by one
    Row("POST", "/bulk/{table}/", OPERATOR, 200, CHOSEN, 200),
    *(
        Row("POST", "/bulk/{table}/", OPERATOR, 200, {**CHOSEN, "action": verb}, 200)
        for verb in ("retry", "replay", "pause", "resume", "tags")
    ),
    Row("POST", "/bulk/{table}/", ADMIN, 200, {**CHOSEN, "action": "delete"}, 200),
    Row("GET", "/bulk/jobs/{bulk_job}/", VIEWER, 404),
    Row("POST", "/bulk/jobs/{bulk_job}/stop/", VIEWER, 404),
    # settings › data
    Row("GET", "/settings/data/", ANYONE, 200),
    Row("GET", "/settings/data/{project}/edit/", ADMIN, 200),
    Row("POST", "/settings/data/{project}/edit/", ADMIN, 422),
    # queues
    Row("POST", "/runs/{parked_run}/replay/", OPERATOR, 302),
    Row("GET", "/queues/", ANYONE, 200),
    Row("POST", "/queues/replay/", OPERATOR, 302, stranger=302),
    # calls in doubt
    Row("GET", "/reconciliations/", ANYONE, 200),
    Row("GET", "/reconciliations/badge/", ANYONE, 200),
    Row("GET", "/reconciliations/{doubt}/", VIEWER, 200),
    Row("GET", "/reconciliations/{doubt}/done/", OPERATOR, 200),
    Row("POST", "/reconciliations/{doubt}/done/", OPERATOR, 302),
    Row("GET", "/reconciliations/{doubt}/redo/", OPERATOR, 200),
    Row("POST", "/reconciliations/{doubt}/redo/", OPERATOR, 302),
    Row("GET", "/freeze/state/", ANYONE, 200),
    Row("GET", "/freeze/{project}/", OWNER, 200),
    Row("POST", "/freeze/{project}/", OWNER, 422),
    Row("GET", "/freeze/{project}/thaw/", OWNER, 200),
    Row("POST", "/freeze/{project}/thaw/", OWNER, 422),
    Row("GET", "/reconciliations/{doubt}/compensate/", OPERATOR, 200),
    Row("POST", "/reconciliations/{doubt}/compensate/", OPERATOR, 302),
]


@pytest.fixture
def cast(own, project, ada, ana, vic, bo) -> dict[str, User]:
    return {"bo": bo, "vic": vic, "ana": ana, "ada": ada, "own": own}


@pytest.fixture
def world(
    project: Project,
    own: User,
    cast: dict[str, User],
    make_secret: Callable[..., Any],
    make_tool: Callable[..., Any],
    make_agent: Callable[..., Any],
    make_workflow: Callable[..., Any],
    make_run: Callable[..., Any],
) -> World:
    makers = {"secret": make_secret, "tool": make_tool, "agent": make_agent}
    return World(project, own, {**makers, "workflow": make_workflow, "run": make_run})


def wanted(row: Row) -> dict[str, int]:
    """Name of the visitor → status."""
    if row.lowest == EVERYBODY:
        return dict.fromkeys(("nobody", "bo", *ROLES), row.ok)
    answers = {name: row.expected(rank) for rank, name in enumerate(ROLES)}
    answers["bo"] = row.ok if row.lowest == ANYONE else row.stranger
    answers |= {name: BUT[str(row), name] for name in ROLES if (str(row), name) in BUT}
    return answers


def ask(visitor: Callable[[], Any], row: Row, world: World) -> int:
    """The status of one request; what it did is undone."""
    path, body = world.fill(row.path), world.fill(row.body)
    with transaction.atomic():
        answer = getattr(visitor(), row.method.lower())(path, body)
        transaction.set_rollback(True)
    return answer.status_code


def rooms(rows: list[Row]) -> list[Any]:
    """The rows by the first word of their path: they share one world, since what each request does
    is undone."""
    by_word: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_word[row.path.strip("/").partition("/")[0] or "root"].append(row)
    return [pytest.param(found, id=word) for word, found in by_word.items()]


@pytest.mark.parametrize("rows", rooms(API))
def test_the_api_answers_as_the_table_says(
    rows: list[Row], world: World, cast: dict[str, User]
) -> None:
    found = []
    for row in rows:
        answers = {
            name: ask(lambda user=user: Api(user), row, world) for name, user in cast.items()
        }
        found.append((str(row), answers | {"nobody": ask(lambda: Api(None), row, world)}))
    assert found == [(str(row), {"nobody": 401, **wanted(row)}) for row in rows]


def page_clients(cast: dict[str, User]) -> dict[str, Callable[[], Client]]:
    """Browsers by the name of who is signed in; each call opens it anew, as it was after that."""

    def opened(cookies: SimpleCookie) -> Client:
        client = Client()
        client.cookies = SimpleCookie(cookies)
        return client

    found = {}
    for name, user in [*cast.items(), ("nobody", None)]:
        client = Client()
        if user is not None:
            client.force_login(user)
        found[name] = functools.partial(opened, client.cookies)
    return found


@pytest.mark.parametrize("rows", rooms(PAGES))
def test_pages_answer_as_the_table_says(
    rows: list[Row], world: World, cast: dict[str, User]
) -> None:
    visitors = page_clients(cast)
    found = [
        (str(row), {name: ask(visitor, row, world) for name, visitor in visitors.items()})
        for row in rows
    ]
    assert found == [(str(row), {"nobody": row.nobody or 302, **wanted(row)}) for row in rows]


def test_every_route_has_a_row() -> None:
    known = {(row.method, shape("/api/v1" + row.path)) for row in API}
    known |= {(row.method, shape(row.path)) for row in PAGES}
    missing = sorted(routes() - known)
    stale = sorted(known - routes())
    assert not missing, f"routes without a row in the permission table: {missing}"
    assert not stale, f"rows without a route: {stale}"


@pytest.mark.parametrize("row", [r for r in API if r.stranger == LIST], ids=str)
def test_a_strangers_list_is_empty(row: Row, world: World, bo: User) -> None:
    for name in ("secret", "key", "audit", "approval", "tool", "agent", "workflow", "doubt"):
        assert world[name]
    rows = Api(bo).get(row.path, {"project": world["project"]}).json()["results"]
    assert rows == []


def test_the_document_shows_the_table_of_roles() -> None:
    document = (Path(__file__).parent.parent / "docs" / "permissions.md").read_text()
    assert as_markdown() in document, "paste projects.roles.as_markdown() into docs/permissions.md"
