"""The pages of calls in doubt."""

from django.urls import path

from runs import reconcile_views as views

app_name = "reconciliations"
urlpatterns = [
    path("", views.ReconcileList.as_view(), name="list"),
    path("badge/", views.ReconcileBadge.as_view(), name="badge"),
    path("<uuid:pk>/", views.ReconcilePage.as_view(), name="detail"),
    path("<uuid:pk>/done/", views.ReconcileDone.as_view(), name="done"),
    path("<uuid:pk>/redo/", views.ReconcileRedo.as_view(), name="redo"),
    path("<uuid:pk>/compensate/", views.ReconcileCompensate.as_view(), name="compensate"),
]
