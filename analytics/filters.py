"""Filters of exports, for the page and the API."""

from analytics.models import Export
from controlplane.kit.filters import ListFilterSet, ManyFilter


class ExportFilter(ListFilterSet):
    """?status=&export_format=&search=&period=&created_after=&created_before="""

    search_fields = ("title", "query")

    status = ManyFilter("status", options=Export.Status.choices, label="Status", looks=True)
    export_format = ManyFilter("format", options=Export.Format.choices, label="Format")

    class Meta:
        model = Export
        fields: list[str] = []
