"""Filters of tools, shared by the page and the API."""

from controlplane.kit.filter_options import tags
from controlplane.kit.filters import ListFilterSet, ManyFilter
from tools.models import EffectClass, Kind, Stakes, Tool, ToolServer, ToolVersion


class ToolFilter(ListFilterSet):
    """?status=&kind=&effect_class=&stakes=&approval=&tag=&search=&period= and created_after=,
    created_before="""

    search_fields = ("name", "slug", "description")

    status = ManyFilter("status", options=Tool.Status.choices, label="Status", looks=True)
    kind = ManyFilter("kind", options=Kind.choices, label="Kind")
    effect_class = ManyFilter("effect_class", options=EffectClass.choices, label="Effect")
    stakes = ManyFilter("stakes", options=Stakes.choices, label="Stakes")
    approval = ManyFilter(
        "current__approval", options=ToolVersion.Approval.choices, label="Approval", looks=True
    )
    tag = ManyFilter("tags", options=tags(Tool), label="Tag", of="text", array=True)

    class Meta:
        model = Tool
        fields: list[str] = []


class ToolServerFilter(ListFilterSet):
    """?status=&tag=&search=&period=&created_after=&created_before="""

    search_fields = ("name", "url", "description")

    status = ManyFilter("status", options=ToolServer.Status.choices, label="Status", looks=True)
    tag = ManyFilter("tags", options=tags(ToolServer), label="Tag", of="text", array=True)

    class Meta:
        model = ToolServer
        fields: list[str] = []
