"""One file per outside thing; nothing else imports its client."""

import os

# LiteLLM reads these while it is imported: without the first it fetches a price list, and without
# the second it loads `.env` into the environment, where settings are ours alone to read.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_MODE"] = "PRODUCTION"
