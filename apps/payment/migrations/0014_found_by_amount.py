
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0005_fewer_indexes'),
        ('payment', '0013_fewer_indexes'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['currency', 'amount'], name='payment_by_amount'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('method_type__in', ['', 'card']), _negated=True), fields=['method_type'], name='payment_by_rarer_method'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('brand__in', ['', 'visa', 'mastercard']), _negated=True), fields=['brand'], name='payment_by_rarer_brand'),
        ),
    ]
