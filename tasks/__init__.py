"""How work is done: the Celery app, the pipeline engine and the tools that steps may ask for."""
