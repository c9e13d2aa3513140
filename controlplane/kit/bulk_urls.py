"""The pages of bulk verbs."""

from django.urls import path

from controlplane.kit import bulk_views

app_name = "bulk"
urlpatterns = [
    path("<slug:table>/", bulk_views.BulkPage.as_view(), name="act"),
    path("jobs/<uuid:pk>/", bulk_views.JobPage.as_view(), name="job"),
    path("jobs/<uuid:pk>/stop/", bulk_views.JobStop.as_view(), name="stop"),
]
