"""What every list of the admin offers: its chosen rows as a file."""

from django.contrib import admin

from controlplane.kit.admin_pages import export_action

for kind, label in (("csv", "CSV"), ("xlsx", "Excel"), ("json", "JSON")):
    admin.site.add_action(export_action(kind, label), f"export_{kind}")
