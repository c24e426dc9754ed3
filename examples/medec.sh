#!/usr/bin/env bash
# Real errors: MEDEC's wrong sentences against their corrections, as preference pairs for DPO and for a reward model.
# Ends with the accuracy on held-out texts by kind of error, beside the length ruler's, in docs/RESULTS.md.
#
#   make medec                    or: examples/mts.sh, then examples/medec.sh, with posology on the path
#
# The model to begin with (START) is the one that examples/mts.sh made: it has read notes. 60 % of the texts train, the
# rest is held out by a hash of each text's id. Repeated, it goes on where it stopped.
set -euo pipefail
DATA=${POSOLOGY_DATA:-../shared/data}
RUNS=${RUNS:-runs}
START=${START:-$RUNS/real-mts/sft}
RUN=$RUNS/real-medec
mkdir -p "$RUN/data"
NAMES=(--column "id=Text ID" --column text=Text --column "error_sentence=Error Sentence" \
    --column "corrected_sentence=Corrected Sentence" --column "edit=Error Type")
HOW=(--model "$START" --runs "$RUNS" --run real-medec --on-bad-row skip --lora none --no-checkpointing --max-tokens 768)
PAIRS=(--pairs "$RUN/data/train.jsonl" --validation "$RUN/data/held-out.jsonl")

posology data pairs --from-corrections "$DATA/medec/validation.csv" "${NAMES[@]}" \
    --output "$RUN/data/train.jsonl" --held-out "$RUN/data/held-out.jsonl" --held-out-share 0.4
posology dpo "${HOW[@]}" "${PAIRS[@]}" --batch 8 --epochs 3 --learning-rate 5e-5
posology reward "${HOW[@]}" "${PAIRS[@]}" --batch 8 --epochs 3 --learning-rate 1e-4

JUDGED=(--pairs "$RUN/data/held-out.jsonl" --model "$RUN/dpo" --reference "$START" --reward "$RUN/reward" --runs "$RUNS" \
    --max-tokens 768)
posology score "${JUDGED[@]}" --output "$RUN/scores.jsonl" --card "$RUN/pairs.json"
posology results real-medec --runs "$RUNS" --notice "Data: MEDEC, the MS validation set (Ben Abacha, Yim, Fu, Sun, Yetisgen, \
Xia and Lin, 2024), CC BY 4.0; made into pairs as described in examples/medec.sh."
