"""What a process must know before it starts: settings, connections, logging."""
