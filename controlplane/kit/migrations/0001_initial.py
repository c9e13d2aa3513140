import django.db.models.deletion
from django.db import migrations, models

NEXT_ACTIVITY_SEQ = """
CREATE FUNCTION next_activity_seq() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (pg_current_xact_id()::text::bigint << 16)
    + set_config('sparkops.ordinal',
        (coalesce(nullif(current_setting('sparkops.ordinal', true), ''), '0')::bigint + 1)::text,
        true)::bigint
$$
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                ("pk", models.CompositePrimaryKey("subject_id", "seq", blank=True, editable=False, primary_key=True, serialize=False)),
                ("subject_id", models.UUIDField()),
                ("seq", models.BigIntegerField()),
                ("project_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("type", models.CharField(max_length=32)),
                ("step_id", models.UUIDField(null=True)),
                ("data", models.JSONField(default=dict)),
                ("activity_seq", models.BigIntegerField(null=True)),
            ],
            options={"db_table": "event"},
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("activity_seq__isnull", False)),
                fields=["project_id", "activity_seq"],
                name="event_activity",
            ),
        ),
        migrations.RunSQL(NEXT_ACTIVITY_SEQ, "DROP FUNCTION next_activity_seq()"),
    ]
