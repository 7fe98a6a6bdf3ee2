"""Storms: the whole shop under faults, and a reckoning with what Stripe's stand-in knows. docs/reliability.md."""
