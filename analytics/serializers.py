"""What reports look like, for the OpenAPI document; the database shapes the rows themselves."""

from typing import Any

from rest_framework import serializers

MONEY_HELP = "Plain decimal text; null where nothing was priced."


def money_field() -> serializers.CharField:
    """An amount of the report's currency."""
    return serializers.CharField(allow_null=True, help_text=MONEY_HELP)


class LengthsSerializer(serializers.Serializer):
    """Percentiles of a duration; null where nothing ended."""

    p50_ms = serializers.FloatField(allow_null=True)
    p90_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)


class EndedSerializer(LengthsSerializer):
    """How runs ended. `failed` includes those that timed out; cancelled ones count neither for
    success nor for length."""

    runs = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    unfinished = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True)


class SpentSerializer(serializers.Serializer):
    """What model calls used and cost. Calls without a price are counted, not added as zero."""

    cost = money_field()
    model_calls = serializers.IntegerField()
    unpriced_calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()


class CostSerializer(SpentSerializer):
    """With the tokens nobody knows the price of."""

    unpriced_tokens = serializers.IntegerField()


class EndedBucketSerializer(EndedSerializer):
    """The runs begun in an hour or a day."""

    at = serializers.DateTimeField()


class CostBucketSerializer(CostSerializer):
    """The calls of an hour or a day."""

    at = serializers.DateTimeField()


class StatusCountSerializer(serializers.Serializer):
    """How many runs stand so."""

    status = serializers.CharField()
    runs = serializers.IntegerField()


class NamedSerializer(serializers.Serializer):
    """Something with a name; null once it was deleted for good."""

    name = serializers.CharField(allow_null=True)


class WorkflowRunsSerializer(NamedSerializer, EndedSerializer):
    """The runs of one workflow."""

    workflow = serializers.UUIDField()


class EnvironmentRunsSerializer(NamedSerializer, EndedSerializer):
    """The runs of one environment."""

    environment = serializers.UUIDField()


class ProjectCostSerializer(NamedSerializer, CostSerializer):
    """What one project cost."""

    project = serializers.UUIDField()


class AgentCostSerializer(NamedSerializer, CostSerializer):
    """What one agent cost."""

    agent = serializers.UUIDField()


class WorkflowCostSerializer(NamedSerializer, CostSerializer):
    """What one workflow cost."""

    workflow = serializers.UUIDField()


class ModelCostSerializer(CostSerializer):
    """What one model cost."""

    provider = serializers.CharField()
    model = serializers.CharField()


class ToolCostSerializer(NamedSerializer):
    """What the priced calls of one tool cost."""

    tool = serializers.UUIDField()
    cost = money_field()


class CurrencyCostSerializer(serializers.Serializer):
    """What was paid in another currency; in no other sum of the report."""

    currency = serializers.CharField()
    cost = money_field()


class ForecastSerializer(serializers.Serializer):
    """What the calendar month will have cost if it goes on like the last seven days."""

    month = serializers.CharField()
    spent = money_field()
    expected = money_field()


class PeriodSerializer(serializers.Serializer):
    """A report of a period."""

    def get_fields(self) -> dict[str, Any]:
        """With the period, whose names are words of Python."""
        period = {name: serializers.DateTimeField() for name in ("from", "to")}
        return {**period, **super().get_fields()}


class BucketedSerializer(PeriodSerializer):
    """A report over time."""

    bucket = serializers.ChoiceField(["hour", "day"])


class FigureSerializer(serializers.Serializer):
    """A figure against the period before. `change` is a part (0.5: half as much again), of the
    success rate the difference; null against nothing."""

    value = serializers.FloatField(allow_null=True)
    before = serializers.FloatField(allow_null=True)
    change = serializers.FloatField(allow_null=True)


class AmountSerializer(FigureSerializer):
    """An amount of money against the period before."""

    value = money_field()  # type: ignore[assignment]
    before = money_field()  # type: ignore[assignment]


class OverviewFiguresSerializer(serializers.Serializer):
    """The figures of the overview."""

    runs = FigureSerializer()
    succeeded = FigureSerializer()
    failed = FigureSerializer()
    success_rate = FigureSerializer()
    p50_ms = FigureSerializer()
    p95_ms = FigureSerializer()
    cost = AmountSerializer()
    unpriced_calls = FigureSerializer()
    active_agents = FigureSerializer()
    pending_approvals = FigureSerializer()


class OverviewSerializer(PeriodSerializer):
    """GET /analytics/overview"""

    before_from = serializers.DateTimeField()
    currency = serializers.CharField()
    figures = OverviewFiguresSerializer()


class RunsReportSerializer(BucketedSerializer):
    """GET /analytics/runs"""

    totals = EndedSerializer()
    buckets = EndedBucketSerializer(many=True)
    statuses = StatusCountSerializer(many=True)
    workflows = WorkflowRunsSerializer(many=True)
    environments = EnvironmentRunsSerializer(many=True)


class CostsReportSerializer(BucketedSerializer):
    """GET /analytics/costs"""

    currency = serializers.CharField()
    totals = CostSerializer()
    buckets = CostBucketSerializer(many=True)
    projects = ProjectCostSerializer(many=True)
    agents = AgentCostSerializer(many=True)
    workflows = WorkflowCostSerializer(many=True)
    models = ModelCostSerializer(many=True)
    tools = ToolCostSerializer(many=True)
    other_currencies = CurrencyCostSerializer(many=True)
    forecast = ForecastSerializer()


class ResourcesSerializer(serializers.Serializer):
    """What the live instances of an agent use now."""

    instances = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    capacity = serializers.IntegerField()
    rss_bytes = serializers.IntegerField()
    cpu_percent = serializers.FloatField()


class AgentReportRowSerializer(NamedSerializer, SpentSerializer, LengthsSerializer):
    """One agent: the runs it worked in (it succeeded where none of its steps failed), how long its
    steps took, what its model calls cost."""

    agent = serializers.UUIDField()
    runs = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True)
    resources = ResourcesSerializer()


class AgentsReportSerializer(BucketedSerializer):
    """GET /analytics/agents"""

    currency = serializers.CharField()
    agents = AgentReportRowSerializer(many=True)


class WorkflowReportRowSerializer(WorkflowRunsSerializer, SpentSerializer):
    """One workflow."""


class WorkflowsReportSerializer(BucketedSerializer):
    """GET /analytics/workflows"""

    currency = serializers.CharField()
    workflows = WorkflowReportRowSerializer(many=True)


class EndedAndSpentSerializer(EndedSerializer, SpentSerializer):
    """How runs went and what they cost."""


class StepReportSerializer(LengthsSerializer):
    """One step of a workflow over many runs."""

    node = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    runs = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    retried = serializers.IntegerField()
    failure_rate = serializers.FloatField(allow_null=True)
    cost = money_field()
    unpriced_calls = serializers.IntegerField()


class WorkflowReportSerializer(BucketedSerializer):
    """GET /workflows/{id}/analytics"""

    currency = serializers.CharField()
    totals = EndedAndSpentSerializer()
    buckets = EndedBucketSerializer(many=True)
    steps = StepReportSerializer(many=True)
    steps_of_runs = serializers.IntegerField(
        help_text="How many runs the steps were measured over: the newest of the range."
    )
    slowest_step = serializers.CharField(allow_null=True)
    most_failing_step = serializers.CharField(allow_null=True)
