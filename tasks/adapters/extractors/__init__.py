"""Extractors: what turns a text into a `models.reading.Reading`."""
