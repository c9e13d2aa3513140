"""The pages of the trash."""

from django.urls import path

from controlplane import trash

app_name = "trash"
urlpatterns = [
    path("", trash.Trash.as_view(), name="start"),
    path("<slug:kind>/", trash.TrashList.as_view(), name="list"),
    path("<slug:kind>/<uuid:pk>/restore/", trash.TrashRestore.as_view(), name="restore"),
    path("<slug:kind>/<uuid:pk>/delete/", trash.TrashDelete.as_view(), name="delete"),
]
