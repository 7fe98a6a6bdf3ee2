"""SQLite has no settings of a transaction. A row that is never committed stands in for one, as in audit 0002."""

from django.db import migrations


def make_table(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("CREATE TABLE common_purge (before text NOT NULL)")


def drop_table(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TABLE common_purge")


class Migration(migrations.Migration):
    dependencies = [("common", "0001_initial")]

    operations = [migrations.RunPython(make_table, drop_table, elidable=False)]
