"""A document goes when it is old enough, and only then; on SQLite too, where it could be deleted until now.

A deletion takes `proshop.purge` (the transaction of `apps.common.retention.letting_go`), a document that was issued
before the moment named there, and a moment that is no less than 364 days ago. Nobody empties the table.
"""

from django.db import migrations

POSTGRESQL = [
    """
    CREATE OR REPLACE FUNCTION invoices_document_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        before timestamptz := nullif(current_setting('proshop.purge', true), '');
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            RAISE EXCEPTION USING MESSAGE = 'every document is final', ERRCODE = 'restrict_violation';
        END IF;
        IF TG_OP = 'DELETE' THEN
            IF OLD.issued_at < before AND before < now() - interval '364 days' THEN
                RETURN OLD;
            END IF;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = 'document ' || OLD.number || ' is final', ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER invoices_documents_stay BEFORE TRUNCATE ON invoices_document
        FOR EACH STATEMENT EXECUTE FUNCTION invoices_document_is_final()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER invoices_documents_stay ON invoices_document",
    """
    CREATE OR REPLACE FUNCTION invoices_document_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND coalesce(current_setting('proshop.documents_keeper', true), '') = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = 'document ' || OLD.number || ' is final', ERRCODE = 'restrict_violation';
    END $$
    """,
]
SQLITE = [
    """
    CREATE TRIGGER invoices_documents_stay BEFORE DELETE ON invoices_document
    WHEN NOT EXISTS (
        SELECT 1 FROM common_purge
        WHERE OLD.issued_at < before AND before < strftime('%Y-%m-%d %H:%M:%f', 'now', '-364 days')
    )
    BEGIN SELECT RAISE(ABORT, 'the document is final'); END
    """,
]
SQLITE_BACK = ["DROP TRIGGER invoices_documents_stay"]


def run(statements):
    def execute(apps, schema_editor):
        for statement in statements[schema_editor.connection.vendor]:
            schema_editor.execute(statement)

    return execute


class Migration(migrations.Migration):
    dependencies = [("invoices", "0005_documents_are_purged"), ("common", "0002_purge")]

    operations = [
        migrations.RunPython(
            run({"postgresql": POSTGRESQL, "sqlite": SQLITE}),
            run({"postgresql": POSTGRESQL_BACK, "sqlite": SQLITE_BACK}),
            elidable=False,
        )
    ]
