"""The routes of a project's members and invitations."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from controlplane.kit.bodies import Body
from controlplane.kit.ids import parse_uuid
from projects import services
from projects.api import InProject
from projects.filters import InvitationFilter, MemberFilter
from projects.models import Invitation, Membership, Project
from projects.people import User
from projects.serializers import InvitationSerializer, MemberSerializer, NewMember, NewRole


class MemberViewSet(InProject):
    """Members, people and service accounts; a path names one by membership or user id."""

    model = Membership
    serializer_class = MemberSerializer
    filterset_class = MemberFilter
    ordering_fields = ("created_at", "role", "user__name", "user__email")
    http_method_names = ("get", "post", "patch", "delete", "head", "options")

    def get_queryset(self) -> QuerySet:
        """With the people."""
        return super().get_queryset().select_related("user", "project").order_by("user__email")

    def get_object(self) -> Membership:
        """By the id of the membership or of the user."""
        key = parse_uuid(self.kwargs["pk"])
        by_user = self.get_queryset().filter(user_id=key).first() if key else None
        if by_user is not None:
            self.kwargs["pk"] = str(by_user.pk)
        return super().get_object()

    @extend_schema(
        request=NewMember,
        responses={
            201: PolymorphicProxySerializer(
                "MemberOrInvitation",
                [MemberSerializer, InvitationSerializer],
                resource_type_field_name=None,
            )
        },
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add a member at once where there is an account with the e-mail; else invite them."""
        body = NewMember.read(request)
        self.require_create(body)
        if body["is_service"]:
            membership = services.add_service_account(
                self.project, name=body["name"], role=body["role"], actor=request.user
            )
            return self.answer(membership, status.HTTP_201_CREATED)
        user = User.objects.filter(email=body["email"].lower(), is_active=True).first()
        if user is None:
            return invite(request, self.project, body["email"], body["role"])
        membership = services.add_member(
            self.project, user=user, role=body["role"], actor=request.user
        )
        return self.answer(membership, status.HTTP_201_CREATED)

    @extend_schema(request=NewRole, responses=MemberSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change a member's role."""
        membership = self.get_object()
        self.check_match(membership)
        body = NewRole.read(request)
        return self.answer(services.change_role(membership, body["role"], actor=request.user))

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """End a membership."""
        membership = self.get_object()
        self.check_match(membership)
        services.remove_member(membership, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


def invite(request: Request, project: Project, email: str, role: str) -> Response:
    """Invite somebody; the answer holds the link, once."""
    invitation, token = services.invite(project, email=email, role=role, actor=request.user)
    data = InvitationSerializer(invitation).data
    try:
        link = request.build_absolute_uri(reverse("projects:invitation", args=[token]))
    except NoReverseMatch:
        link = None
    answer = {**data, "user": None, "status": "invited", "token": token, "link": link}
    return Response(answer, status=status.HTTP_201_CREATED)


class InvitationViewSet(InProject):
    """Open invitations."""

    model = Invitation
    serializer_class = InvitationSerializer
    filterset_class = InvitationFilter
    ordering_fields = ("created_at", "email", "expires_at")
    http_method_names = ("get", "delete", "head", "options")
    audit_fields = ("email", "role")

    def get_queryset(self) -> QuerySet:
        """Those that nobody took yet."""
        return super().get_queryset().filter(accepted_at=None).select_related("invited_by")


class AcceptBody(Body):
    """The token of an invitation's link."""

    token = serializers.CharField(max_length=200)


class AcceptView(APIView):
    """Taking an invitation."""

    @extend_schema(request=AcceptBody, responses=MemberSerializer)
    def post(self, request: Request) -> Response:
        """Become a member by an invitation to one's own e-mail address."""
        if request.user.api_key is not None:
            raise PermissionDenied("Sign in to accept an invitation.")
        token = AcceptBody.read(request)["token"]
        membership = services.accept_invitation(token, actor=request.user)
        return Response(MemberSerializer(membership, context={"request": request}).data)
