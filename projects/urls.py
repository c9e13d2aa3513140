"""The pages of projects."""

from django.urls import path

from projects import views

app_name = "projects"
urlpatterns = [
    path("choose/", views.ChooseProject.as_view(), name="choose"),
    path("choose-environment/", views.ChooseEnvironment.as_view(), name="choose_environment"),
]
