"""A user's own data: CSV, JSONL, Parquet or a Hugging Face dataset folder -> typed records.

read.py is the door: `read_examples` for supervised fine-tuning, `read_pairs` for preferences and `read_texts` for
pretraining, with `ReadOptions` (options.py) and a `Tally` of what became of each row (tally.py). Behind it a path becomes
files (sources.py), a file rows (csvfile.py, jsonl.py, arrowfile.py), its columns a shape (shapes.py), and a row a record
(convert.py, records.py). survey.py reports on a file before anything is trained on it.
One clear error names each bad row; nothing is dropped in silence; and no text of a row ever reaches a log, an error
or a manifest.
"""
