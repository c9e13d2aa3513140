from django.db import migrations

# Rows that are updated in place keep free space in their page, so that updates stay HOT.
FORWARD = """
ALTER TABLE run SET (fillfactor = 70);
ALTER TABLE step SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
"""
BACKWARD = "ALTER TABLE run RESET (fillfactor); ALTER TABLE step RESET (fillfactor);"


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
