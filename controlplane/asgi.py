"""The ASGI application: pages and API by HTTP, live events by WebSocket."""

import os

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
django.setup(set_prefix=False)

from controlplane import consumers  # noqa: E402  (models need the apps to be loaded)
from controlplane.onehop import OneHopHandler  # noqa: E402

REQUESTS_AT_A_TIME = 16

application = ProtocolTypeRouter(
    {
        "http": OneHopHandler(REQUESTS_AT_A_TIME),
        "websocket": URLRouter(
            [
                re_path(r"^ws/runs/(?P<pk>[^/]+)/?$", consumers.RunConsumer.as_asgi()),
                re_path(r"^ws/agents/(?P<pk>[^/]+)/?$", consumers.AgentConsumer.as_asgi()),
                re_path(r"^ws/activity/?$", consumers.ActivityConsumer.as_asgi()),
            ]
        ),
    }
)
