"""Training and measuring of the built-in extractor."""
