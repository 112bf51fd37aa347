"""Long operations of goals."""
