"""The routes of the REST API, composed from the apps' viewsets."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

router = SimpleRouter()
router.trailing_slash = "/?"

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
