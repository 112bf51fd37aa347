"""Jobs: the persisted life of every long operation."""
