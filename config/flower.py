"""Flower's options, read by `celery flower --conf=config/flower.py`: it looks and never touches."""

from config.settings import settings

if settings.environment == "production" and not settings.flower.password.get_secret_value():
    raise SystemExit("Set FLOWER_PASSWORD: Flower shows everything, and this is not a local stack.")

address = settings.flower.host
port = settings.flower.port
read_only = True
max_tasks = 10_000  # in its memory; Postgres knows the rest
if settings.flower.password.get_secret_value():
    basic_auth = [f"{settings.flower.user}:{settings.flower.password.get_secret_value()}"]
