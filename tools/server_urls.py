"""The pages of MCP servers."""

from django.urls import path

from tools import server_views as views

app_name = "servers"
urlpatterns = [
    path("", views.ServerList.as_view(), name="list"),
    path("new/", views.ServerCreate.as_view(), name="create"),
    path("<uuid:pk>/", views.ServerPage.as_view(), name="detail"),
    path("<uuid:pk>/edit/", views.ServerEdit.as_view(), name="edit"),
    path("<uuid:pk>/delete/", views.ServerDelete.as_view(), name="delete"),
    path("<uuid:pk>/discover/", views.ServerDiscover.as_view(), name="discover"),
    path("<uuid:pk>/import/", views.ServerImport.as_view(), name="import"),
]
