"""An entry goes when it is old enough, and only then.

Until now whoever forgets a person could have deleted entries as well. From here on the keeper changes texts; a
deletion takes `proshop.purge` (the transaction of `apps.common.retention.letting_go`), an entry that is older than the
moment named there, and a moment that is no less than 364 days ago. Nobody empties the table.
"""

from importlib import import_module

from django.db import migrations

before = import_module("apps.audit.migrations.0002_refuse_changes")

NEW, OLD = (", ".join(f"{row}.{name}" for name in before.FACTS) for row in ("NEW", "OLD"))

POSTGRESQL = [
    f"""
    CREATE OR REPLACE FUNCTION audit_refuse_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        before timestamptz := nullif(current_setting('proshop.purge', true), '');
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF OLD.at < before AND before < now() - interval '364 days' THEN
                RETURN OLD;
            END IF;
        END IF;
        IF TG_OP = 'UPDATE' AND coalesce(current_setting('proshop.audit_keeper', true), '') = 'on' THEN
            IF ({NEW}) IS DISTINCT FROM ({OLD}) THEN
                RAISE EXCEPTION USING
                    MESSAGE = 'the audit trail is append-only: its facts stay',
                    ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NEW;
        END IF;
        RAISE EXCEPTION USING
            MESSAGE = 'the audit trail is append-only: ' || TG_OP || ' refused',
            ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
]
SQLITE = [
    "DROP TRIGGER audit_rows_stay",
    """
    CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit_auditentry
    WHEN NOT EXISTS (
        SELECT 1 FROM common_purge
        WHERE OLD.at < before AND before < strftime('%Y-%m-%d %H:%M:%f', 'now', '-364 days')
    )
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only: DELETE refused'); END
    """,
]
POSTGRESQL_BACK = [before.POSTGRESQL[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")]
SQLITE_BACK = ["DROP TRIGGER audit_rows_stay", before.SQLITE[1]]


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_refuse_changes"), ("common", "0002_purge")]

    operations = [
        migrations.RunPython(
            before.run({"postgresql": POSTGRESQL, "sqlite": SQLITE}),
            before.run({"postgresql": POSTGRESQL_BACK, "sqlite": SQLITE_BACK}),
            elidable=False,
        )
    ]
