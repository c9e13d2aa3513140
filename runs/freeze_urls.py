"""The pages of the freeze switch."""

from django.urls import path

from runs import freeze_views as views

app_name = "freeze"
urlpatterns = [
    path("state/", views.FreezeState.as_view(), name="state"),
    path("<uuid:pk>/", views.FreezeDialog.as_view(), name="freeze"),
    path("<uuid:pk>/thaw/", views.ThawDialog.as_view(), name="thaw"),
]
