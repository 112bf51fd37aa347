"""What the platform does for itself, on schedules of its own."""
