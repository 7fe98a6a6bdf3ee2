"""A local stand-in for Stripe: its API, its hosted pay page and its webhooks, in a process of its own.

The shop reaches it only through `STRIPE_API_BASE`. It imports nothing of the shop and the shop nothing of it.
"""
