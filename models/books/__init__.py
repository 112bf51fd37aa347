"""Books, the characters found in them, and conversations with those."""
