"""The pages of the audit log."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter

from governance import audit_views


class EntryNumber(IntConverter):
    """Numbers that fit the key, so that a longer one is 404 and no fault."""

    regex = "[0-9]{1,18}"


register_converter(EntryNumber, "entry")
app_name = "audit"
urlpatterns = [
    path("", audit_views.AuditList.as_view(), name="list"),
    path("<entry:pk>/", audit_views.AuditPage.as_view(), name="detail"),
]
