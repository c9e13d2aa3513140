"""The pages of agents."""

from django.urls import path

from agents import views

app_name = "agents"
urlpatterns = [
    path("", views.AgentList.as_view(), name="list"),
    path("new/", views.AgentCreate.as_view(), name="create"),
    path("<uuid:pk>/", views.AgentPage.as_view(), name="detail"),
    path("<uuid:pk>/edit/", views.AgentEdit.as_view(), name="edit"),
    path("<uuid:pk>/delete/", views.AgentDelete.as_view(), name="delete"),
]
