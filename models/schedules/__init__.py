"""Schedules: which pipeline starts when, again and again."""
