"""Long operations of webhooks."""
