"""The doors of scenes."""
