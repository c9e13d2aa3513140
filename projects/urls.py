"""The pages of projects as such, of invitations and of oneself."""

from django.urls import path

from projects import member_views, project_views, views

app_name = "projects"
urlpatterns = [
    path("", project_views.ProjectList.as_view(), name="list"),
    path("new/", project_views.ProjectNew.as_view(), name="create"),
    path("choose/", views.ChooseProject.as_view(), name="choose"),
    path("choose-environment/", views.ChooseEnvironment.as_view(), name="choose_environment"),
    path("profile/", project_views.ProfilePage.as_view(), name="profile"),
    path("invitations/<str:token>/", member_views.InvitationPage.as_view(), name="invitation"),
]
