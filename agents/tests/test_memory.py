"""What a process carries that has not called a model yet."""

import os
import subprocess
import sys

HEAVY = ("openai", "anthropic", "genai_prices", "httpx2", "mcp")
CODE = f"""
import sys, django
django.setup()
import agents.api, agents.admin, agents.loop, agents.pricing, agents.connection, agents.instances
import tools.server_api, tools.kinds.mcp, tools.functions.registry
tools.functions.registry.names()
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_the_vendors_clients_are_loaded_by_the_first_call_only():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
