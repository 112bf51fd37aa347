"""What every implementation of a tool promises: the fakes and the real adapters run the same."""
