"""The tables of the whole job, as the shop that is measured beside this one needs them at least."""

from django.db import models


class Order(models.Model):
    status = models.CharField(max_length=20, default="pending")
    total = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    email = models.EmailField(blank=True)
    paid_at = models.DateTimeField(null=True)


class Variant(models.Model):
    stock = models.PositiveIntegerField()


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    variant = models.ForeignKey(Variant, models.PROTECT)
    quantity = models.PositiveIntegerField()


class Payment(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    reference = models.CharField(max_length=80, unique=True)
    status = models.CharField(max_length=20, default="pending")
    intent = models.CharField(max_length=80, blank=True)


class PaymentLog(models.Model):
    payment = models.ForeignKey(Payment, models.CASCADE)
    kind = models.CharField(max_length=20)
    event = models.CharField(max_length=80)
    at = models.DateTimeField(auto_now_add=True)


class OrderLog(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    status = models.CharField(max_length=20)
    at = models.DateTimeField(auto_now_add=True)
