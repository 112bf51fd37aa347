"""Books, their characters, and talking with them."""
