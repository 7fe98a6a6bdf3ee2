import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


FOR_PREFIXES = (
    "payment_payment_idempotency_key_eaf1c37a_like",
    "payment_payment_reference_1254aacb_like",
    "payment_payment_stripe_charge_id_274fd4f7_like",
    "payment_payment_stripe_payment_intent_id_9b2db0f0_like",
    "payment_payment_stripe_session_id_b7f4d2ea_like",
    "payment_stripewebhookevent_stripe_id_5aa603e1_like",
)
"""What Django adds on PostgreSQL beside the index of a unique text; nobody looks for a prefix of these."""


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0005_fewer_indexes'),
        ('payment', '0012_purge_runs'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='payment',
            name='capture_decided_by',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='payment',
            name='order',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='orders.order'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('capture_decided_by__isnull', False)), fields=['capture_decided_by'], name='payment_by_capture_decider'),
        ),
        *(migrations.RunSQL(f"DROP INDEX IF EXISTS {name}", migrations.RunSQL.noop) for name in FOR_PREFIXES),
    ]
