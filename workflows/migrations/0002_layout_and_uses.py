import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models

# Once released a version never changes: only its state (deprecated), note and layout may.
FORWARD = """
CREATE FUNCTION workflow_version_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'draft' AND (
    NEW.state = 'draft' OR NEW.definition IS DISTINCT FROM OLD.definition
    OR NEW.sha256 IS DISTINCT FROM OLD.sha256 OR NEW.number IS DISTINCT FROM OLD.number
    OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id
  ) THEN
    RAISE EXCEPTION 'a released workflow_version never changes';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER workflow_version_final BEFORE UPDATE ON workflow_version
  FOR EACH ROW EXECUTE FUNCTION workflow_version_is_final();
"""
BACKWARD = """
DROP TRIGGER workflow_version_final ON workflow_version;
DROP FUNCTION workflow_version_is_final();
"""


class Migration(migrations.Migration):
    dependencies = [("workflows", "0001_initial")]
    operations = [
        migrations.AddField(
            "workflowversion", "layout", models.JSONField(blank=True, default=dict)
        ),
        migrations.AddField(
            "workflowversion",
            "uses",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=80), blank=True, default=list, size=None
            ),
        ),
        migrations.AddIndex(
            "workflowversion",
            django.contrib.postgres.indexes.GinIndex(
                fields=["uses"], name="workflow_version_uses"
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
