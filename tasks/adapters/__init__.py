"""One file per outside thing: the only place that imports its client."""
