from django.db import migrations

# On PostgreSQL neither a change nor a deletion gets through. On SQLite, where the test suite empties tables row by
# row, a change does not. A later migration that has SQLite rebuild the table makes the trigger anew.
FORWARDS = {
    "postgresql": """
        CREATE FUNCTION invoices_document_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION USING
                MESSAGE = 'document ' || OLD.number || ' is final', ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER invoices_document_is_final BEFORE UPDATE OR DELETE ON invoices_document
            FOR EACH ROW EXECUTE FUNCTION invoices_document_is_final();
    """,
    "sqlite": """
        CREATE TRIGGER invoices_document_is_final BEFORE UPDATE ON invoices_document
        BEGIN SELECT RAISE(ABORT, 'the document is final'); END
    """,
}
BACKWARDS = {
    "postgresql": """
        DROP TRIGGER invoices_document_is_final ON invoices_document;
        DROP FUNCTION invoices_document_is_final();
    """,
    "sqlite": "DROP TRIGGER invoices_document_is_final",
}


def make_final(apps, schema_editor):
    schema_editor.execute(FORWARDS[schema_editor.connection.vendor])


def make_changeable(apps, schema_editor):
    schema_editor.execute(BACKWARDS[schema_editor.connection.vendor])


class Migration(migrations.Migration):

    dependencies = [
        ('invoices', '0001_initial'),
    ]

    operations = [
        migrations.RunPython(make_final, make_changeable),
    ]
