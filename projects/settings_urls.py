"""The pages of a project's settings."""

from django.urls import path

from projects import member_views, secrets_views, settings_views

app_name = "settings"
urlpatterns = [
    path("", settings_views.ProjectPage.as_view(), name="project"),
    path("project/<uuid:pk>/edit/", settings_views.ProjectEdit.as_view(), name="edit"),
    path("project/<uuid:pk>/delete/", settings_views.ProjectDelete.as_view(), name="delete"),
    path("project/<uuid:pk>/archive/", settings_views.ProjectArchive.as_view(), name="archive"),
    path(
        "project/<uuid:pk>/activate/",
        settings_views.ProjectArchive.as_view(archived=False),
        name="activate",
    ),
    path("project/<uuid:pk>/leave/", settings_views.ProjectLeave.as_view(), name="leave"),
    path("members/", member_views.MemberList.as_view(), name="members"),
    path("members/new/", member_views.MemberNew.as_view(), name="member_new"),
    path("members/service/", member_views.ServiceAccountNew.as_view(), name="member_service"),
    path("members/<uuid:pk>/role/", member_views.MemberRole.as_view(), name="member_role"),
    path("members/<uuid:pk>/remove/", member_views.MemberRemove.as_view(), name="member_remove"),
    path("invitations/", member_views.InvitationList.as_view(), name="invitations"),
    path(
        "invitations/<uuid:pk>/withdraw/",
        member_views.InvitationWithdraw.as_view(),
        name="invitation_withdraw",
    ),
    path("environments/", settings_views.EnvironmentList.as_view(), name="environments"),
    path("environments/new/", settings_views.EnvironmentNew.as_view(), name="environment_new"),
    path(
        "environments/<uuid:pk>/edit/",
        settings_views.EnvironmentEdit.as_view(),
        name="environment_edit",
    ),
    path(
        "environments/<uuid:pk>/delete/",
        settings_views.EnvironmentDelete.as_view(),
        name="environment_delete",
    ),
    path("secrets/", secrets_views.SecretList.as_view(), name="secrets"),
    path("secrets/new/", secrets_views.SecretNew.as_view(), name="secret_new"),
    path("secrets/<uuid:pk>/edit/", secrets_views.SecretEdit.as_view(), name="secret_edit"),
    path("secrets/<uuid:pk>/delete/", secrets_views.SecretDelete.as_view(), name="secret_delete"),
    path("api-keys/", secrets_views.KeyList.as_view(), name="keys"),
    path("api-keys/new/", secrets_views.KeyNew.as_view(), name="key_new"),
    path("api-keys/<uuid:pk>/revoke/", secrets_views.KeyRevoke.as_view(), name="key_revoke"),
    path("api-keys/<uuid:pk>/delete/", secrets_views.KeyDelete.as_view(), name="key_delete"),
]
