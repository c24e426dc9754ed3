#!/usr/bin/env bash
# Does everything run on a GPU, and does it resume bit for bit there? `benchmarks/gpu_smoke.sh [cuda|cpu] [FOLDER]`
#
# Whole runs on tiny models, side by side, each with its log in FOLDER; then a line a check. PYTHON names the
# interpreter, LIMIT the seconds that a run may take, JOBS how many go at once. Exits with the number of checks failed.
#
#   taught    posology run of configs/smoke.yaml: tokenizer to report; twice, and once killed in SFT and in PPO
#   own       sft, dpo, reward, ppo, generate and merge on a model from elsewhere; twice, and once killed in each stage
#   set       the same own runs with torch.use_deterministic_algorithms: is that what a difference would need?
#   cpu, gpu  sft and dpo in fp32 without dropout, on the CPU and on the device: every logged loss must agree
#   qlora     sft on 4-bit weights and answers from it, where bitsandbytes is installed
set -u
device=${1:-cuda}
work=${2:-$(mktemp -d)}
python=${PYTHON:-python3}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false NO_COLOR=1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" CUBLAS_WORKSPACE_CONFIG="${CUBLAS_WORKSPACE_CONFIG:-:4096:8}"
mkdir -p "$work"
cd "$work" || exit 1
failed=0

posology() { # in the process's own words, or with torch told to be deterministic where SET is 1
  if [ "${SET:-}" = 1 ]; then
    timeout -k 5 "${LIMIT:-150}" "$python" -c 'import torch; torch.use_deterministic_algorithms(True, warn_only=False)
from posology.cli import main; main()' "$@"
  else
    timeout -k 5 "${LIMIT:-150}" "$python" -m posology "$@"
  fi
}

killed_and_resumed() { # STAGE:STEP ... -- ARGUMENTS: killed after each of these steps, and begun again
  while [ "$1" != -- ]; do
    POSOLOGY_TEST_KILL=$1 posology "${@:$(($(index -- "$@") + 1))}"
    local code=$?
    [ $code = 137 ] || { echo "POSOLOGY_TEST_KILL=$1 ended with $code, not 137"; return 1; }
    shift
  done
  shift
  posology "$@"
}

index() { # WORD LIST ...: the place of the first WORD in LIST, from 1
  local word=$1 place=1
  shift
  while [ "$1" != "$word" ]; do shift; place=$((place + 1)); done
  echo $place
}

taught() { # RUN [STAGE:STEP ...]
  local run=$1
  shift
  killed_and_resumed "$@" -- run --config "$root/configs/smoke.yaml" --run "$run" --set device="$device"
}

own() { # RUN [kill]
  local run=$1 shared="--run $1 --device $device --epochs 1"
  local kill=${2:-}
  killed_and_resumed ${kill:+sft:4} -- sft --model 7b --data notes.csv --validation validation.csv $shared --checkpoint-every 2 &&
    killed_and_resumed ${kill:+dpo:3} -- dpo --model "runs/$run/sft" --from-factual few.csv --validation validation.csv \
      $shared --checkpoint-every 2 &&
    killed_and_resumed ${kill:+reward:2} -- reward --model "runs/$run/sft" --pairs pairs.jsonl --validation heldout.jsonl $shared \
      --checkpoint-every 1 --min-accuracy 0 &&
    killed_and_resumed ${kill:+ppo:5} -- ppo --model "runs/$run/sft" --data few.csv --reward "runs/$run/reward" --run "$run" \
      --device "$device" --rollouts 3 --batch 8 --max-new-tokens 8 --checkpoint-every 1 --force &&
    posology generate --model "runs/$run/dpo" --input few.csv --output "$run.jsonl" --max-new-tokens 8 --device "$device" &&
    posology merge "runs/$run/dpo" --output "merged-$run"
}

exact() { # RUN DEVICE
  local shared="--run $1 --device $2 --precision fp32 --dropout 0 --epochs 1"
  posology sft --model 7b --data notes.csv --validation validation.csv $shared &&
    posology dpo --model "runs/$1/sft" --from-factual few.csv --validation validation.csv $shared
}

qlora() {
  "$python" -c 'import bitsandbytes' || return 0
  posology sft --model 7b --data few.csv --run qlora --lora qlora --epochs 1 --device "$device" &&
    posology generate --model runs/qlora/sft --input few.csv --output qlora.jsonl --max-new-tokens 8 --device "$device"
}

green() { # RUN: its sanity list, without the one line that data as few as these cannot pass on any machine
  posology doctor "$1" >"doctor-$1.txt"
  if grep RED "doctor-$1.txt" | grep -v "length alone"; then return 1; fi
  tail -n 1 "doctor-$1.txt"
}

same_weights() { # RUN RUN: the digest of every finished stage
  "$python" - "$@" <<'PYTHON'
import json, pathlib, sys
def digests(run):
    found = {p.parent.relative_to(f"runs/{run}"): json.loads(p.read_text()) for p in pathlib.Path("runs", run).rglob("manifest.json")}
    return {str(stage): about["digest"] for stage, about in found.items() if "digest" in about}
one, other = map(digests, sys.argv[1:])
apart = sorted(stage for stage in one.keys() | other.keys() if one.get(stage) != other.get(stage))
print("differ:", ", ".join(apart) if one else "no stage is there")
sys.exit(bool(apart) or not one)
PYTHON
}

same_losses() { # RUN RUN: every logged figure of sft and dpo, within 1 part in 1,000, or .001
  "$python" - "$@" <<'PYTHON'
import json, pathlib, sys
def logged(run, stage):
    return [json.loads(line) for line in pathlib.Path("runs", run, stage, "metrics.jsonl").read_text().splitlines()]
worst = {}
for stage in ("sft", "dpo"):
    one, other = (logged(run, stage) for run in sys.argv[1:])
    assert len(one) == len(other)
    for a, b in zip(one, other):
        for key in a:
            if key.partition("/")[0] in ("loss", "preference", "anchor", "gradient_norm"):
                worst[stage, key] = max(worst.get((stage, key), 0), abs(a[key] - b[key]) / max(abs(a[key]), 1))
print("differ by:", {f"{stage} {key}": f"{value:.1e}" for (stage, key), value in worst.items()})
sys.exit(max(worst.values()) > 1e-3)
PYTHON
}

start() { # NAME COMMAND ...: beside the others, into NAME.log
  local name=$1
  shift
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-12}" ]; do wait -n; done
  {
    local began=$SECONDS
    "$@" >"$name.log" 2>&1
    echo "$? $((SECONDS - began))" >"$name.rc"
  } &
}

tell() { # NAME WHAT
  local code=- seconds=-
  [ -f "$1.rc" ] && read -r code seconds <"$1.rc"
  if [ "$code" = 0 ]; then
    echo "pass  $2 ($seconds s)"
  else
    failed=$((failed + 1))
    echo "FAIL  $2 (exit $code, $seconds s): $(grep -v '^\(hint\|Not for care\)' "$1.log" | tail -n 1 | cut -c1-400)"
  fi
}

verdict() { # NAME WHAT COMMAND ...
  "${@:3}" >"$1.log" 2>&1
  echo "$? 0" >"$1.rc"
  tell "$1" "$2"
}

"$python" "$root/benchmarks/gpu_7b.py" --small --device "$device" --parts prepare --work made --output made.json >/dev/null 2>&1
mv made/7b made/*.csv . 2>/dev/null
{
  posology data pairs --from-factual few.csv --output pairs.jsonl &&
    posology data pairs --from-factual validation.csv --output heldout.jsonl
} >pairs.txt 2>&1 || { echo "FAIL  no model, notes or pairs: see made.json and pairs.txt in $work"; exit 1; }

stages="sft:13 ppo:7"
start taught-a taught taught-a
start taught-b taught taught-b
start taught-killed taught taught-killed $stages
start own-a own own-a
start own-b own own-b
start own-killed own own-killed kill
SET=1 start set-a own set-a
SET=1 start set-killed own set-killed kill
start cpu exact cpu cpu
start gpu exact gpu "$device"
start qlora qlora
wait

tell taught-a "a taught run, tokenizer to report"
verdict doctor "its sanity list is green, but for one line" green taught-a
tell taught-killed "the same, killed and resumed"
verdict taught-twice "two taught runs end with the same weights" same_weights taught-a taught-b
verdict taught-resumed "the resumed one too" same_weights taught-a taught-killed
tell own-a "own model: sft, dpo, reward, ppo, generate, merge"
tell own-killed "the same, killed and resumed"
verdict own-twice "two own runs end with the same weights" same_weights own-a own-b
verdict own-resumed "the resumed one too" same_weights own-a own-killed
tell set-a "own model with deterministic algorithms"
verdict set-resumed "killed and resumed with them: the same weights" same_weights set-a set-killed
tell qlora "qlora, where bitsandbytes is installed"
tell cpu "sft and dpo in fp32 on the CPU"
tell gpu "sft and dpo in fp32 on $device"
verdict agree "both log the same losses" same_losses cpu gpu
grep -h 'Warning: ' ./*.log | sed 's/^.*Warning: //' | sort | uniq -c | sort -rn | head -n 5 | cut -c1-300
echo "$failed failed in $SECONDS s; logs in $work"
exit "$failed"
