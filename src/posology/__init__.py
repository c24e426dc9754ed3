"""posology: train, align and prove a medication-safety language model. Not for care of patients."""

__version__ = "0.1.0"
