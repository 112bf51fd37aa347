"""The provider `offline/…`: serves where no model is configured, and says so everywhere.

It makes nothing up. Analyses and prompts are put together from the facts that were extracted, and a
character answers with their own words from the book. It is deterministic, and streams like a real
provider, so that everything around it is exercised for real.
"""
