"""The dialogs of saved views."""

from django.urls import path

from projects import saved_views

app_name = "views"
urlpatterns = [
    path("new/", saved_views.SavedViewNew.as_view(), name="create"),
    path("<uuid:pk>/edit/", saved_views.SavedViewEdit.as_view(), name="edit"),
    path("<uuid:pk>/delete/", saved_views.SavedViewDelete.as_view(), name="delete"),
]
