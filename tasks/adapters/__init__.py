"""One file per outside thing: the only place that imports its client."""

import os

# LiteLLM would ask the network for its price map while it is imported; it carries a copy.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
