"""Webhooks: who is told when a job ends or waits, and how that went."""
