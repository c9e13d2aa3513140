"""The pages of runs."""

from django.urls import path

from runs import page, queues_views, views

app_name = "runs"
urlpatterns = [
    path("", views.RunList.as_view(), name="list"),
    path("new/", views.RunStart.as_view(), name="start"),
    path("<uuid:pk>/", page.RunPage.as_view(), name="detail"),
    path("<uuid:pk>/cancel/", views.RunCancel.as_view(), name="cancel"),
    path("<uuid:pk>/retry/", views.RunRetry.as_view(), name="retry"),
    path("<uuid:pk>/fork/", views.RunFork.as_view(), name="fork"),
    path("<uuid:pk>/replay/", queues_views.RunReplay.as_view(), name="replay"),
    path("<uuid:pk>/pause/", views.RunPause.as_view(), name="pause"),
    path("<uuid:pk>/resume/", views.RunResume.as_view(), name="resume"),
]
