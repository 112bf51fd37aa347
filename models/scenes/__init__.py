"""Scenes, and the people who play in them."""
