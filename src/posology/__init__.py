"""posology: train, align and prove a medication-safety language model. Not for care of patients."""

import logging

__version__ = "0.1.0"

# Where bitsandbytes is installed peft imports it, and on CPUs it warns of a kernel that it would rather download.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
