"""The pages of MCP servers."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.errors import InvalidInput
from controlplane.kit.fragments import announce_done
from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import DetailView, ListView
from tools import servers
from tools.filters import ToolServerFilter
from tools.models import ToolServer
from tools.server_api import ToolServerViewSet
from tools.server_forms import ToolServerForm


class ServerList(ListView):
    """The MCP servers of the project."""

    model = ToolServer
    title = "Tool servers"
    filterset_class = ToolServerFilter
    ordering = "name"
    columns = (
        Column("name", "Name", kind="lead", sort="name", narrow="lead"),
        Column("status", "Status", kind="status", sort="status", narrow="side"),
        Column("url", "URL", kind="code"),
        Column("offers", "Offers", kind="count"),
        Column("tags", "Tags", kind="tags", narrow="wide-only"),
        Column("last_discovered_at", "Asked", kind="ago", sort="last_discovered_at"),
    )
    empty = {
        "title": "No tool servers yet",
        "text": "A server of the Model Context Protocol offers tools; discover them, import those "
        "you want, and each is held to the definition you saw.",
        "icon": "server",
    }

    def get_actions(self) -> list[Verb]:
        """A new server, and the way to the tools."""
        found = [Verb("Tools", reverse("tools:list"), icon="tool")]
        if self.may("add", self.project):
            url = reverse("tools:servers:create")
            found.append(Verb("New server", url, icon="plus", dialog=True, kind="primary"))
        return found

    def prepare(self, rows: list[ToolServer]) -> list[ToolServer]:
        """Each with how many tools it offers."""
        for row in rows:
            row.offers = len(row.discovered) if row.last_discovered_at else None
        return rows

    def get_menu(self, row: ToolServer) -> list[Verb]:
        """Changing and deleting."""
        return server_verbs(row, self.may)


def server_verbs(server: ToolServer, may: Any) -> list[Verb]:
    """What this user may do to a server."""
    verbs = []
    if may("delete", server):
        url = reverse("tools:servers:delete", args=[server.pk])
        verbs.append(Verb("Delete", url, icon="trash", dialog=True, danger=True, kind="danger"))
    if may("change", server):
        url = reverse("tools:servers:edit", args=[server.pk])
        verbs.append(Verb("Edit", url, icon="pencil", dialog=True))
    return verbs


class ServerPage(DetailView):
    """One server: what it offers, and what was made of it."""

    model = ToolServer
    crumb = ("Tool servers", "/tools/servers/")
    template_name = "tools/server.html"
    tabs = {
        "tools": ("Tools", "tools/_offered.html"),
        "about": ("About", "tools/_server_about.html"),
    }

    def get_counts(self) -> Mapping[str, int]:
        """How many tools it offers."""
        return {"tools": len(self.row.discovered)}

    def get_actions(self) -> list[Verb]:
        """Asking it again, changing, deleting."""
        verbs = server_verbs(self.row, self.may)
        if self.may("change", self.row):
            label = "Refresh" if self.row.last_discovered_at else "Discover"
            url = reverse("tools:servers:discover", args=[self.row.pk])
            verbs.append(Verb(label, url, icon="refresh", post=True, kind="primary"))
        return verbs

    def get_facts(self) -> list[dict[str, Any]]:
        """Where it is and what it said of itself."""
        server, info = self.row, self.row.info
        auth = server.auth or {}
        said = f"{auth['type']}, secret {auth['secret']}" if auth.get("secret") else "none"
        found = [
            {"label": "URL", "value": server.url},
            {"label": "Credentials", "value": said},
            {"label": "Time limit", "value": f"{server.timeout_seconds:g} s"},
        ]
        if info:
            name = f"{info.get('name', '')} {info.get('version', '')}".strip()
            found.append({"label": "Calls itself", "value": name or "nothing"})
            found.append({"label": "Protocol", "value": info.get("protocol", "")})
        return found

    def get_context(self) -> dict[str, Any]:
        """And what it offers."""
        context = super().get_context()
        if self.tab == "tools":
            offered = servers.offered(self.row)
            for one in offered:
                one["hints"] = hints(one["annotations"])
            context["offered"] = offered
            context["open"] = [o for o in offered if o["tool"] is None and not o["fault"]]
            context["may_import"] = self.may("change", self.row)
        return context


def hints(annotations: Mapping[str, Any]) -> list[str]:
    """What a server claims of a tool, in words."""
    said = {
        ("readOnlyHint", True): "says: reads only",
        ("destructiveHint", True): "says: may destroy",
        ("idempotentHint", True): "says: repeatable",
        ("openWorldHint", True): "says: reaches out",
    }
    return [words for (name, value), words in said.items() if annotations.get(name) is value]


class ServerCreate(FormDialog):
    """A new server."""

    model = ToolServer
    verb = "add"
    form_class = ToolServerForm
    viewset_class = ToolServerViewSet


class ServerEdit(ServerCreate):
    """Changing a server."""

    verb = "change"

    def done(self, row: ToolServer) -> HttpResponse:
        """The page is drawn anew."""
        url = row.get_absolute_url()
        return announce_done(self.request, f"Tool server {row} saved.", go_to=url, back_to=url)


class ServerDelete(DeleteDialog):
    """Deleting a server."""

    model = ToolServer
    viewset_class = ToolServerViewSet

    def get_hangers(self, row: ToolServer) -> list[dict[str, Any]]:
        """What goes with it for good: nothing; its tools forbid it."""
        return [{"label": "Tools made of it", "count": row.tools.count()}]


class ServerDiscover(ActionView):
    """Asking a server what it offers."""

    model = ToolServer
    verb = "change"

    def perform(self, row: ToolServer) -> tuple[str, str | None]:
        """Ask; where a server does not tell, its page says why."""
        try:
            found = servers.discover(row, actor=self.request.user)
        except servers.ServerFailed:
            return f"{row} did not tell what it offers.", row.get_absolute_url()
        count = len(found.discovered)
        held = sum(o["approval"] == "quarantined" for o in servers.offered(found))
        words = f"{found} offers {count} tool{'' if count == 1 else 's'}."
        if held:
            words += f" {held} changed and must be approved."
        return words, row.get_absolute_url()


class ServerImport(ActionView):
    """Making tools of what a server offers."""

    model = ToolServer
    verb = "change"

    def perform(self, row: ToolServer) -> tuple[str, str | None]:
        """Import what was ticked."""
        names = self.request.POST.getlist("tools")[: servers.MOST_IMPORTED]
        if not names:
            raise InvalidInput.of("tools", "Tick the tools you want to import.", "required")
        made = servers.import_tools(row, names, actor=self.request.user)
        words = f"{made[0]} imported." if len(made) == 1 else f"{len(made)} tools imported."
        return words, row.get_absolute_url()
