import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


FOR_PREFIX = "orders_order_public_id_477d735f_like"
"""What Django adds on PostgreSQL beside the index of a unique text; nobody looks for a prefix of it."""


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0004_erased'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='order',
            name='user',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='ordertransition',
            name='order',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='log', to='orders.order'),
        ),
        migrations.RunSQL(f"DROP INDEX IF EXISTS {FOR_PREFIX}", migrations.RunSQL.noop),
    ]
