#!/usr/bin/env bash
# Real notes: the laptop model goes on with ACI-Bench's notes (section by section), learns to summarise MTS-Dialog's
# dialogues, and then prefers summaries to edited ones. Ends with figures in docs/results/ and docs/RESULTS.md.
#
#   make run && make mts          or: examples/mts.sh, with posology on the path
#
# A weak model on hard data: 4.7M weights whose tokenizer was made for questions about drugs. Repeated, it goes on where
# it stopped. POSOLOGY_DATA: the folder of public data; RUNS: of runs; START: the model to begin with.
set -euo pipefail
DATA=${POSOLOGY_DATA:-../shared/data}
RUNS=${RUNS:-runs}
START=${START:-$RUNS/laptop/sft}
RUN=$RUNS/real-mts
TRAIN=$DATA/mts_dialog/train.csv
VALIDATION=$DATA/mts_dialog/validation.csv
NAMES=(--column clinical_note=dialogue --column model_summary=section_text --column id=ID)
HOW=(--runs "$RUNS" --run real-mts --on-bad-row skip --lora none --no-checkpointing --max-tokens 512)

posology pretrain --model "$START" --data "$DATA/aci_bench/train.csv" --validation "$DATA/aci_bench/valid.csv" \
    --column text=note --column id=encounter_id --split-sections "${HOW[@]}" --batch 4 --epochs 4 --learning-rate 1e-3
posology sft --model "$RUN/pretrain" --data "$TRAIN" --validation "$VALIDATION" "${NAMES[@]}" "${HOW[@]}" \
    --packing --batch 4 --epochs 5 --learning-rate 1e-3
posology dpo --model "$RUN/sft" --from-factual "$TRAIN" --validation "$VALIDATION" "${NAMES[@]}" "${HOW[@]}" \
    --batch 16 --epochs 1 --learning-rate 5e-5

posology data pairs --from-factual "$VALIDATION" "${NAMES[@]}" --on-bad-row skip --output "$RUN/data/validation-pairs.jsonl"
posology score --pairs "$RUN/data/validation-pairs.jsonl" --model "$RUN/dpo" --reference "$RUN/sft" --runs "$RUNS" \
    --card "$RUN/pairs.json"

ANSWERS=()
for stage in laptop sft dpo; do
    model=$RUN/$stage
    [ "$stage" = laptop ] && model=$START
    posology generate --model "$model" --runs "$RUNS" --input "$VALIDATION" --output "$RUN/answers-$stage.jsonl" \
        --column clinical_note=dialogue --column id=ID --greedy --max-new-tokens 150
    ANSWERS+=(--summaries "$stage=$RUN/answers-$stage.jsonl")
done
posology evaluate "${ANSWERS[@]}" --notes "$VALIDATION" "${NAMES[@]}" --on-bad-row skip
posology evaluate "${ANSWERS[@]}" --notes "$VALIDATION" "${NAMES[@]}" --on-bad-row skip --json > "$RUN/summaries.json"
posology results real-mts --runs "$RUNS" --notice "Data: MTS-Dialog (Ben Abacha, Yim, Fan and Lin, EACL 2023) and ACI-Bench \
(Yim, Fu, Ben Abacha, Snider, Lin and Yetisgen, 2023), both CC BY 4.0; divided and cut as described in examples/mts.sh."
