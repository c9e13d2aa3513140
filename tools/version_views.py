"""The dialogs of a tool's versions: approving a changed definition, going back to an older one."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse

from controlplane.kit.comparison import compare
from controlplane.kit.dialogs import FormDialog
from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import announce_done
from tools import pinned, services
from tools.models import Tool, ToolVersion
from tools.server_forms import ApproveForm, RestoreForm


class VersionDialog(FormDialog):
    """A dialog about a version of a tool."""

    model = Tool
    wide = True

    def rows(self) -> QuerySet:
        """With the current version."""
        return super().rows().select_related("current", "project")

    def done(self, row: Tool) -> HttpResponse:
        """The page is drawn anew."""
        url = row.get_absolute_url()
        return announce_done(self.request, self.told(row), go_to=url, back_to=url)

    def told(self, row: Tool) -> str:
        """What was done."""
        raise NotImplementedError


class ToolApprove(VersionDialog):
    """Letting a tool in quarantine be called again, after a look at what changed."""

    verb = "approve"
    form_class = ApproveForm
    submit = "Approve the change"

    def get_title(self) -> str:
        """What is asked."""
        return f"What changed in {self.row}"

    def get_initial(self) -> dict[str, Any]:
        """The fingerprint of what is shown; 409 where nothing waits."""
        held = self.row.current
        if held is None or held.approval == ToolVersion.Approval.APPROVED:
            raise DomainError(f"{self.row} is not in quarantine.", code="not_quarantined")
        return {"definition_sha256": held.definition_sha256}

    def extra_context(self, form: ApproveForm) -> dict[str, Any]:
        """The change."""
        return {"form_template": "tools/_approve.html", **change_of(self.row)}

    def save(self, form: ApproveForm) -> Tool:
        """By the service of the API."""
        sha256 = form.cleaned_data["definition_sha256"]
        note = form.cleaned_data["note"]
        return pinned.approve(self.row, sha256=sha256, note=note, actor=self.request.user)

    def told(self, row: Tool) -> str:
        """It may be called."""
        return f"{row} may be called again."


def change_of(tool: Tool) -> dict[str, Any]:
    """What a quarantined tool's definition was, and what it is: {held, before, changes}."""
    held = tool.current
    if held is None or held.approval == ToolVersion.Approval.APPROVED:
        return {"held": None, "before": None, "changes": []}
    before = pinned.approved_before(held)
    changes = compare(before.told(), held.told()) if before else []
    return {"held": held, "before": before, "changes": changes}


class ToolRestore(VersionDialog):
    """Making an older definition the current one again."""

    verb = "change"
    form_class = RestoreForm
    submit = "Go back"

    def version(self) -> ToolVersion:
        """The version the address or the form names."""
        number = self.request.POST.get("version") or self.request.GET.get("version") or ""
        known = number.isascii() and number.isdigit() and len(number) < 10
        found = self.row.versions.filter(number=number).first() if known else None
        if found is None:
            raise Http404
        return found

    def get_title(self) -> str:
        """What is asked."""
        return f"Go back to version {self.version().number}"

    def get_initial(self) -> dict[str, Any]:
        """Which one."""
        return {"version": self.version().number}

    def extra_context(self, form: RestoreForm) -> dict[str, Any]:
        """What would change."""
        now, then = self.row.current, self.version()
        changes = compare(now.told(), then.told()) if now else []
        return {"form_template": "tools/_restore.html", "changes": changes}

    def save(self, form: RestoreForm) -> Tool:
        """By the service of the API."""
        number, note = form.cleaned_data["version"], form.cleaned_data["note"]
        return services.restore_version(self.row, number=number, note=note, actor=self.request.user)

    def told(self, row: Tool) -> str:
        """Which one it is now."""
        return f"{row} is at version {row.version} now."
