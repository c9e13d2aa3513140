"""The pages of approvals."""

from django.urls import path

from governance import approval_views as views

app_name = "approvals"
urlpatterns = [
    path("", views.ApprovalQueue.as_view(), name="list"),
    path("history/", views.ApprovalHistory.as_view(), name="history"),
    path("stats/", views.ApprovalStats.as_view(), name="stats"),
    path("badge/", views.ApprovalBadge.as_view(), name="badge"),
    path("<uuid:pk>/", views.ApprovalPage.as_view(), name="detail"),
    path("<uuid:pk>/approve/", views.ApprovalApprove.as_view(), name="approve"),
    path("<uuid:pk>/edit/", views.ApprovalEdit.as_view(), name="edit"),
    path("<uuid:pk>/reject/", views.ApprovalReject.as_view(), name="reject"),
]
