"""Every page of the console, found from its routes, with ids of what the visitor's project has."""

from collections.abc import Iterator
from urllib.parse import urljoin

from playwright.sync_api import Error, Page

from tests.support.client import Client
from tests.support.routes import routes

# The segment before an id → the collection of the API that has such ids.
COLLECTIONS = {
    "runs": "/runs",
    "workflows": "/workflows",
    "agents": "/agents",
    "tools": "/tools",
    "servers": "/tool-servers",
    "connections": "/provider-connections",
    "prices": "/model-prices",
    "approvals": "/approvals",
    "reconciliations": "/reconciliations",
    "policies": "/policies",
    "violations": "/violations",
    "budgets": "/budgets",
    "schedules": "/schedules",
    "triggers": "/triggers",
    "audit": "/audit",
    "exports": "/exports",
    "jobs": "/bulk-jobs",
    "secrets": "/secrets",
    "api-keys": "/api-keys",
    "members": "/projects/{project}/members",
    "invitations": "/projects/{project}/invitations",
    "environments": "/projects/{project}/environments",
    "project": "/projects",
}
# Signs out, changes a password by way of a mail, or is shown to strangers only.
NOT_VISITED = ("/accounts/", "/api/", "/health/")
FOR_STRANGERS = ("/accounts/login/", "/accounts/register/", "/accounts/password/reset/")


def addresses(client: Client) -> list[str]:
    """The addresses of all pages, for the person of `client`; a route whose id stands for nothing
    that is there is left out."""
    first: dict[str, str | None] = {}

    def id_of(segment: str) -> str | None:
        if segment not in first and segment in COLLECTIONS:
            path = COLLECTIONS[segment].format(project=client.project)
            answer = client.get(path, project=client.project, page_size=1)
            rows = answer.json()["results"] if answer.status_code == 200 else []
            first[segment] = str(rows[0]["id"]) if rows else None
        return first.get(segment)

    def filled(path: str) -> str | None:
        parts = path.split("/")
        for place, part in enumerate(parts):
            if part == "{}":
                found = id_of(parts[place - 1])
                if found is None:
                    return None
                parts[place] = found
        return "/".join(parts)

    shapes = sorted(path for method, path in routes() if method == "GET")
    wanted = (path for path in shapes if not path.startswith(NOT_VISITED))
    return [path for path in map(filled, wanted) if path]


def walk(page: Page, paths: list[str]) -> Iterator[str]:
    """Go to one page after the other, its tabs too; answers the address of each page it stands on.
    What is no whole page (a fragment, a file), or is not there now, is passed over."""
    waiting, seen = list(paths), set(paths)
    while waiting:
        path = waiting.pop(0)
        try:
            answer = page.goto(path)
        except Error:  # a download
            continue
        if answer is None or answer.status != 200 or page.url.partition("?")[0] in seen - {path}:
            continue
        if not page.evaluate("document.doctype !== null"):
            continue
        yield path
        if path.endswith("/test/"):  # the console of a tool is a tab of its page
            continue
        for link in page.locator("nav.tabs a:not([aria-current])").all():
            tab = urljoin(path, link.get_attribute("href") or "")
            if tab not in seen:
                seen.add(tab)
                waiting.append(tab)
