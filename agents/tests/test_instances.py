"""The rows of worker processes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import instances
from agents.models import Instance
from controlplane.kit.models import Event

pytestmark = pytest.mark.django_db


def register(**fields):
    facts = {"host": "h", "pid": 7, "capacity": 8}
    return Instance.objects.get(pk=instances.register(**{**facts, **fields}))


def events(agent):
    return list(
        Event.objects.filter(subject_id=agent.pk).order_by("seq").values_list("type", flat=True)
    )


def test_a_registered_instance_is_ready_and_alive():
    instance = register()
    assert (instance.state, instance.queue, instance.capacity) == ("ready", "shared", 8)
    assert instance.is_alive


def test_a_process_that_took_over_a_process_id_closes_the_row_before_it():
    first, second = register(), register()
    first.refresh_from_db()
    assert (first.state, second.state) == ("dead", "ready")
    assert first.stopped_at is not None
    assert register(host="other").pk != second.pk
    second.refresh_from_db()
    assert second.state == "ready"


def test_a_heartbeat_tells_load_and_state():
    instance = register()
    assert instances.beat(instance.pk, in_flight=3, rss_bytes=5_000, cpu_percent=12.5)
    instance.refresh_from_db()
    assert (instance.state, instance.in_flight, instance.rss_bytes) == ("busy", 3, 5_000)
    instances.beat(instance.pk, in_flight=0, rss_bytes=5_000, cpu_percent=0)
    instance.refresh_from_db()
    assert instance.state == "ready"


def test_an_instance_that_drains_goes_on_draining():
    instance = register()
    assert instances.drain(instance.pk)
    instances.beat(instance.pk, in_flight=2, rss_bytes=1, cpu_percent=0)
    instance.refresh_from_db()
    assert instance.state == "draining"


def test_one_given_up_for_dead_may_wake_up_a_stopped_one_may_not():
    instance = register()
    instances.mark_dead(host="h", pid=7)
    assert instances.beat(instance.pk, in_flight=0, rss_bytes=1, cpu_percent=0)
    instance.refresh_from_db()
    assert (instance.state, instance.stopped_at) == ("ready", None)
    instances.stop(instance.pk)
    assert not instances.beat(instance.pk, in_flight=0, rss_bytes=1, cpu_percent=0)
    assert not instances.drain(instance.pk)


def test_silence_is_not_life():
    instance = register()
    instance.last_heartbeat_at = timezone.now() - timedelta(seconds=8.5)
    assert not instance.is_alive


def test_instances_of_a_deployment_tell_the_agents_stream(agent, deploy):
    instance = register(queue="d-1", deployment=deploy())
    assert instance.version == agent.current
    assert instances.mark_dead(host="h", pid=7) == [instance.pk]
    assert instances.mark_dead(host="h", pid=7) == []
    assert events(agent) == ["instance.started", "instance.lost"]


def test_members_see_their_own_instances_and_the_shared_ones(api, vic, bo, agent, deploy):
    own, shared = register(queue="d-1", deployment=deploy()), register(pid=8)
    seen = api(vic).get("/instances").data["results"]
    assert {row["id"] for row in seen} == {str(own.pk), str(shared.pk)}
    row = next(row for row in seen if row["id"] == str(own.pk))
    assert (row["agent"], row["environment"], row["version"]) == (str(agent.pk), "dev", 1)
    assert row["is_alive"] is True
    assert [r["id"] for r in api(bo).get("/instances").data["results"]] == [str(shared.pk)]
    assert api(bo).get(f"/instances/{own.pk}").status_code == 404
    assert api(bo).get(f"/instances/{shared.pk}").status_code == 200
    assert api(None).get("/instances").status_code == 401


def test_instances_are_filtered_and_cannot_be_written(api, vic, agent, deploy):
    own = register(queue="d-1", deployment=deploy())
    register(pid=8)
    for query in (f"agent={agent.pk}", "queue=d-1", f"project={agent.project_id}"):
        found = api(vic).get(f"/instances?{query}").data["results"]
        assert [row["id"] for row in found] == [str(own.pk)]
    assert api(vic).get("/instances?state=dead").data["count"] == 0
    assert api(vic).post("/instances", {}, format="json").status_code == 405
    assert api(vic).delete(f"/instances/{own.pk}").status_code == 405
