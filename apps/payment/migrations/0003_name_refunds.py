from django.db import migrations


def name_refunds(apps, schema_editor):
    """Refunds that were intended before they had a reference get one: it goes to Stripe with them."""
    refund = apps.get_model("payment", "Refund")
    for row in refund.objects.filter(reference=None).iterator():
        row.reference = f"pr_{row.pk:032x}"
        row.save(update_fields=["reference"])


class Migration(migrations.Migration):

    dependencies = [
        ('payment', '0002_refunds_disputes_customers'),
    ]

    operations = [
        migrations.RunPython(name_refunds, migrations.RunPython.noop),
    ]
