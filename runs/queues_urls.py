"""The page of queues."""

from django.urls import path

from runs import queues_views as views

app_name = "queues"
urlpatterns = [
    path("", views.QueuesPage.as_view(), name="list"),
    path("replay/", views.ReplayAll.as_view(), name="replay"),
]
