from django.db import migrations

# PostgreSQL lets a document go with a setting of the transaction (narrowed by 0006), and changes none even there.
# SQLite has refused changes only, so that the test suite can empty its tables; nothing to do there.
FORWARDS = """
    CREATE OR REPLACE FUNCTION invoices_document_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND coalesce(current_setting('proshop.documents_keeper', true), '') = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = 'document ' || OLD.number || ' is final', ERRCODE = 'restrict_violation';
    END $$;
"""
BACKWARDS = """
    CREATE OR REPLACE FUNCTION invoices_document_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING
            MESSAGE = 'document ' || OLD.number || ' is final', ERRCODE = 'restrict_violation';
    END $$;
"""


def let_old_ones_go(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FORWARDS)


def keep_all(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(BACKWARDS)


class Migration(migrations.Migration):
    dependencies = [
        ("invoices", "0004_purged"),
    ]

    operations = [
        migrations.RunPython(let_old_ones_go, keep_all),
    ]
