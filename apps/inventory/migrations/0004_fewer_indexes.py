import django.db.models.deletion
from django.db import migrations, models


FOR_PREFIX = "inventory_stockmovement_effect_cb358faa_like"
"""What Django adds on PostgreSQL beside the index of a unique text; nobody looks for a prefix of it."""


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0004_fewer_indexes'),
        ('inventory', '0003_adjust_stock'),
    ]

    operations = [
        migrations.AlterField(
            model_name='stockmovement',
            name='variant',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='movements', to='catalog.productvariant'),
        ),
        migrations.RunSQL(f"DROP INDEX IF EXISTS {FOR_PREFIX}", migrations.RunSQL.noop),
    ]
