"""Settings › data."""

from django.urls import path

from runs import retention_views as views

app_name = "settings-data"
urlpatterns = [
    path("", views.DataPage.as_view(), name="page"),
    path("<uuid:pk>/edit/", views.DataEdit.as_view(), name="edit"),
]
