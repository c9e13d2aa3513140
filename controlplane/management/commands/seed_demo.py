"""`manage.py seed_demo`: the demo account and project, once, with runs waiting for the workers."""

import os
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from agents.services import create_agent
from controlplane.demo import catalogue
from projects.models import Environment, Project
from projects.people import User
from projects.services import create_project
from runs.services import start
from runs.starting import StartRequest
from tools.models import Tool
from tools.services import change, create_tool
from workflows.services import create_workflow, publish

PROJECT = "demo-shop"


class Command(BaseCommand):
    """Make the demo where it is not there yet; keep the tools pointed at the demo shop."""

    help = __doc__
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed once; a later call only follows a demo shop that moved to another port."""
        shop = os.environ.get("SPARKOPS_DEMO_URL", "")
        if not shop:
            return
        project = Project.objects.filter(slug=PROJECT).first()
        if project is not None:
            self._follow(project, shop)
            return
        with transaction.atomic():
            self._seed(shop)

    def _seed(self, shop: str) -> None:
        email = os.environ["SPARKOPS_DEMO_EMAIL"]
        user = User.objects.filter(email=email).first() or User.objects.create_superuser(
            email, os.environ["SPARKOPS_DEMO_PASSWORD"], name="Demo operator"
        )
        project = create_project(actor=user, name="Demo shop", slug=PROJECT)
        environment = Environment.objects.get(project=project, name="dev")
        for tool in catalogue.tools(shop):
            create_tool(project=project, actor=user, **tool)
        plans = [catalogue.RESTOCK, catalogue.SENSORS]
        if os.environ.get("SPARKOPS_DEMO_MODEL") == "on":
            create_agent(project=project, actor=user, **catalogue.AGENT)
            plans.append(catalogue.NOTE)
        else:
            self.stdout.write("No embedded model here: the workflow that uses it is not seeded.")
        for plan in plans:
            fields = {key: value for key, value in plan.items() if key != "input"}
            workflow = create_workflow(project=project, actor=user, **fields)
            publish(workflow, actor=user, note="Seeded with the demo")
            workflow.refresh_from_db()
            start(
                StartRequest(
                    workflow=workflow, environment=environment, input=plan["input"], tags=["demo"]
                ),
                actor=user,
            )

    def _follow(self, project: Project, shop: str) -> None:
        """The demo shop's port may differ from the one its tools were made with."""
        wanted = {tool["slug"]: tool["config"] for tool in catalogue.tools(shop)}
        for tool in Tool.objects.filter(project=project, slug__in=wanted, deleted_at=None):
            if tool.current and tool.current.config["url"] != wanted[tool.slug]["url"]:
                change(tool, author=None, config=wanted[tool.slug])
