from django.db import migrations


FOR_PREFIX = "catalog_productvariant_sku_da81620a_like"
"""What Django adds on PostgreSQL beside the index of a unique text; nobody looks for a prefix of it."""


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0003_sold_out'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='productvariant',
            name='variant_sold_out',
        ),
        migrations.RunSQL(f"DROP INDEX IF EXISTS {FOR_PREFIX}", migrations.RunSQL.noop),
    ]
