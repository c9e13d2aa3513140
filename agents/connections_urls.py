"""The pages of provider connections."""

from django.urls import path

from agents import connections_views as views

app_name = "connections"
urlpatterns = [
    path("", views.ConnectionList.as_view(), name="list"),
    path("new/", views.ConnectionCreate.as_view(), name="create"),
    path("<uuid:pk>/", views.ConnectionPage.as_view(), name="detail"),
    path("<uuid:pk>/edit/", views.ConnectionEdit.as_view(), name="edit"),
    path("<uuid:pk>/delete/", views.ConnectionDelete.as_view(), name="delete"),
    path("<uuid:pk>/check/", views.ConnectionCheck.as_view(), name="check"),
]
