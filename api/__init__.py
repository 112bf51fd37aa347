"""The front door: HTTP in, rows and jobs out."""
