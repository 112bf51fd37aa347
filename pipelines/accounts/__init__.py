"""Long operations on accounts."""
