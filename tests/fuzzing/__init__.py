"""The whole stack under requests made from its own schema: `make fuzz`."""
