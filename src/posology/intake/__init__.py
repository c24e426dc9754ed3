"""A user's own data: CSV, JSONL, Parquet or a Hugging Face dataset folder -> typed records.

records.py holds what the rest of the house sees: `Example` for supervised fine-tuning and `Pair` for preferences.
One clear error names each bad row; nothing is dropped in silence; and no text of a row ever reaches a log, an error
or a manifest.
"""
