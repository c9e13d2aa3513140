"""The pages of exports."""

from django.urls import path

from analytics import views

app_name = "exports"
urlpatterns = [
    path("", views.ExportList.as_view(), name="list"),
    path("<uuid:pk>/progress/", views.ExportProgress.as_view(), name="progress"),
    path("<uuid:pk>/file/", views.ExportFile.as_view(), name="file"),
    path("<uuid:pk>/delete/", views.ExportDelete.as_view(), name="delete"),
]
