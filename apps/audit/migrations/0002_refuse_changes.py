"""The database itself refuses to change, delete or empty the trail."""

from django.db import migrations

FACTS = ("id", "at", "actor_id", "source", "action", "object_type", "object_id")

POSTGRESQL = [
    """
    CREATE FUNCTION audit_refuse_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF coalesce(current_setting('proshop.audit_keeper', true), '') <> 'on' THEN
            RAISE EXCEPTION USING
                MESSAGE = 'the audit trail is append-only: ' || TG_OP || ' refused',
                ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF TG_OP = 'UPDATE' THEN
            IF ({new}) IS DISTINCT FROM ({old}) THEN
                RAISE EXCEPTION USING
                    MESSAGE = 'the audit trail is append-only: its facts stay',
                    ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NEW;
        END IF;
        RETURN OLD;
    END $$
    """.format(new=", ".join(f"NEW.{name}" for name in FACTS), old=", ".join(f"OLD.{name}" for name in FACTS)),
    """
    CREATE TRIGGER audit_rows_stay BEFORE UPDATE OR DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_changes()
    """,
    """
    CREATE TRIGGER audit_table_stays BEFORE TRUNCATE ON audit_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_changes()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER audit_rows_stay ON audit_auditentry",
    "DROP TRIGGER audit_table_stays ON audit_auditentry",
    "DROP FUNCTION audit_refuse_changes()",
]

# SQLite has no settings of a transaction; a row that is never committed stands in for one.
SQLITE = [
    "CREATE TABLE audit_keeper (at_work integer NOT NULL)",
    """
    CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit_auditentry
    WHEN NOT EXISTS (SELECT 1 FROM audit_keeper)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only: DELETE refused'); END
    """,
    """
    CREATE TRIGGER audit_rows_unchanged BEFORE UPDATE ON audit_auditentry
    WHEN NOT EXISTS (SELECT 1 FROM audit_keeper) OR {differ}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only: UPDATE refused'); END
    """.format(differ=" OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in FACTS)),
]
SQLITE_BACK = [
    "DROP TRIGGER audit_rows_stay",
    "DROP TRIGGER audit_rows_unchanged",
    "DROP TABLE audit_keeper",
]


def run(statements):
    def execute(apps, schema_editor):
        for statement in statements.get(schema_editor.connection.vendor, ()):
            schema_editor.execute(statement)

    return execute


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunPython(
            run({"postgresql": POSTGRESQL, "sqlite": SQLITE}),
            run({"postgresql": POSTGRESQL_BACK, "sqlite": SQLITE_BACK}),
            elidable=False,
        )
    ]
