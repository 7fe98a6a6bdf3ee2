"""Payments, refunds, disputes, cases and events for staff.

Everything can be found, and only what is safe can be done: pages ask, services act.
"""

from apps.payment.admin import cases, customers, disputes, events, payments, refunds

__all__ = ["cases", "customers", "disputes", "events", "payments", "refunds"]
