"""The ASGI application: pages and API by HTTP, live events by WebSocket."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
http = get_asgi_application()

from controlplane import consumers  # noqa: E402  (models need the apps to be loaded)

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [
                re_path(r"^ws/runs/(?P<pk>[^/]+)/?$", consumers.RunConsumer.as_asgi()),
                re_path(r"^ws/agents/(?P<pk>[^/]+)/?$", consumers.AgentConsumer.as_asgi()),
                re_path(r"^ws/activity/?$", consumers.ActivityConsumer.as_asgi()),
            ]
        ),
    }
)
