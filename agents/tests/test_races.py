"""Changes of one agent at the same time, on real connections."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from agents.models import Agent
from tests.support.cast import Api

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(work, many):
    def one(number):
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(one, range(many)))


def test_every_change_gets_a_version_of_its_own(ana, agent):
    def change(number):
        config = {**agent.config, "instructions": f"Number {number}."}
        return Api(ana).patch(f"/agents/{agent.pk}", {"config": config}, format="json")

    answers = at_once(change, 8)
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.data["version"] for answer in answers) == list(range(2, 10))
    newest = Agent.objects.select_related("current").get(pk=agent.pk)
    assert newest.current.number == 9


def test_a_double_click_on_roll_back_makes_one_version(ana, agent):
    url, config = f"/agents/{agent.pk}", {**agent.config, "model": "m-2"}
    Api(ana).patch(url, {"config": config}, format="json")
    answers = at_once(lambda _: Api(ana).post(f"{url}/rollback", {"version": 1}, format="json"), 6)
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409, 409, 409]
    assert agent.versions.count() == 3
