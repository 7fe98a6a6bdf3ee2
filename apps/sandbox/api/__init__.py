"""Stripe's REST calls, a module per resource; `routing.py` holds the table."""
