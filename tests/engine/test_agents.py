"""Agents as steps of runs, against a model server that speaks the OpenAI wire format."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agents.models import Agent, ModelCall
from controlplane.kit import events
from runs.models import Attempt, Run
from tests.engine import functions
from tests.engine.house import House, graph
from tests.support.model_servers import OpenAIServer, Reply

BUSY = {"type": "rate_limit_error", "message": "slow down"}


@pytest.fixture(autouse=True)
def _local_servers(settings) -> None:
    settings.SPARKOPS_EGRESS_ALLOW = ["127.0.0.0/8"]


@pytest.fixture
def asked(house: House, make_agent: Callable[..., Agent]) -> Callable[..., Any]:
    """`with asked(*replies, tools=[…], retry={…}) as (run, server)`: an agent's run, ended."""

    @contextmanager
    def ask(*replies: Reply, tools: tuple[str, ...] = (), **node: Any) -> Iterator[tuple[Run, Any]]:
        with OpenAIServer(*replies) as server:
            config = {
                "provider": "openai", "base_url": server.base_url, "model": "m-1",
                "instructions": "", "tools": list(tools),
            }  # fmt: skip
            make_agent(slug="writer", config=config)
            run = house.run(
                graph({"a": {"kind": "agent", "agent": "writer", "prompt": "Hi", **node}})
            )
            yield run, server

    return ask


def test_what_a_model_writes_is_told_while_it_is_written(
    house: House, asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    whisper = events.get_channel_layer().__class__.whisper

    def overhear(layer: Any, texts: Any) -> None:
        texts = list(texts)
        told.extend(json.loads(text) for _, text in texts)
        whisper(layer, texts)

    monkeypatch.setattr(events.get_channel_layer().__class__, "whisper", overhear)
    text = "Take a warm hat and two pairs of gloves."
    with asked(Reply(text=text, pause=0.25)) as (run, _):
        step = house.steps(run)["a"]
        assert step.output["text"] == text
    assert len(told) >= 2
    assert {(each["type"], each["run"], each["step"]) for each in told} == {
        ("tokens", str(run.pk), str(step.pk))
    }
    assert "seq" not in told[0]
    assert "".join(each["data"]["text"] for each in told) == text
    assert told[0]["data"]["at"] == 0
    # Nothing of it stands in the history.
    assert not [event for event, _ in house.events(run) if event == "tokens"]


def test_a_provider_that_asks_to_wait_is_asked_again_then(house: House, asked) -> None:
    replies = (Reply(status=429, error=BUSY, headers={"retry-after": "1"}), Reply(text="Yes."))
    with asked(*replies, retry={"max_attempts": 2, "backoff_seconds": 0}) as (run, server):
        assert run.status == "succeeded"
        first, step = Attempt.objects.get(step__run=run), house.steps(run)["a"]
        assert first.error["code"] == "rate_limited"
        assert (step.leased_at - first.ended_at).total_seconds() >= 1
        assert len(server.requests) == 2
    calls = ModelCall.objects.filter(run_id=run.pk).order_by("started_at")
    assert [(call.state, call.error_code) for call in calls] == [
        ("failed", "rate_limited"), ("succeeded", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "code", "tries"),
    [
        (Reply(status=529, error={"type": "overloaded_error", "message": "x"}), "overloaded", 2),
        (Reply(status=500), "overloaded", 2),
        (Reply(body=b"<html>"), "malformed", 2),
        (Reply(text="half an answer", cut=True), "unreachable", 2),
        (Reply(status=401, error={"type": "authentication_error", "message": "x"}), "auth", 1),
        (Reply(status=404, error={"message": "no such model"}), "bad_request", 1),
        (Reply(status=400, error={"code": "content_filter", "message": "x"}), "content", 1),
    ],
)
def test_failures_are_repeated_by_their_class(asked, reply: Reply, code: str, tries: int) -> None:
    with asked(reply, retry={"max_attempts": 2, "backoff_seconds": 0.01}) as (run, server):
        assert (run.status, run.reason) == ("failed", code)
        assert len(server.requests) == tries


def test_a_refusal_of_the_model_is_a_failure_with_its_words(asked) -> None:
    with asked(Reply(refusal="I cannot help with that.")) as (run, _):
        assert (run.status, run.reason) == ("failed", "model_refused")
        assert "I cannot help" in run.error["message"]


def test_a_repeated_step_pays_for_no_turn_twice(house: House, asked, name: str) -> None:
    house.tool("look", "counted", effect_class="unsafe")
    replies = (
        Reply(tool_calls=(("look", {"name": name}),)),
        Reply(status=500),
        Reply(text="Seen."),
    )
    retry = {"max_attempts": 2, "backoff_seconds": 0.01}
    with asked(*replies, tools=("look",), retry=retry) as (run, server):
        assert run.status == "succeeded"
        assert len(server.requests) == 3
    assert functions.CALLS[name] == 1
    assert house.steps(run)["a"].output["turns"] == 2


def test_tokens_and_turns_add_up_over_attempts(house: House, asked) -> None:
    replies = (Reply(status=500), Reply(text="Yes.", tokens=(30, 7)))
    with asked(*replies, retry={"max_attempts": 2, "backoff_seconds": 0.01}) as (run, _):
        assert (run.input_tokens, run.output_tokens) == (30, 7)
    assert ModelCall.objects.filter(run_id=run.pk).count() == 2
