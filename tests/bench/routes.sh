#!/usr/bin/env bash
# What routes cost: CPU time per request of banyan with 1,000 routes against banyan with 2, one worker each.
#
#   tests/bench/routes.sh [ROUNDS] [SECONDS]         default: 6 rounds of 4 s for each
#
# The route that is asked for stands in the middle of the others. Exit code 0 if the median ratio is at most 1.03.
set -euo pipefail
rounds=${1:-6} seconds=${2:-4}
source "$(dirname "$0")/common.sh"
need nginx
need wrk

start_upstream upstream && upstream=$started
declare -A ports workers
for count in 2 1000; do
  mkdir "$dir/$count"
  text=$(
    for n in $(seq $((count / 2 - 1))); do route "before-$n" "/api/before-$n/{id}"; done
    route get-product '/api/products/{sku}'
    for n in $(seq $((count / 2))); do route "after-$n" "/api/products/{sku}/after-$n"; done
  )
  banyan_toml "$dir/$count/banyan.toml" "$upstream" "$upstream" "$text"
  start_banyan "$count"
  ports[$count]=$started workers[$count]=$worker
  measure "$started" 1 ticks "$worker" >/dev/null
done
for _ in $(seq "$rounds"); do
  for count in 2 1000; do
    read -r cost _ < <(measure "${ports[$count]}" "$seconds" ticks "${workers[$count]}")
    keep "$count" "$cost"
  done
  keep ratio "$(ratio "$(tail -n 1 "$dir/series-1000")" "$(tail -n 1 "$dir/series-2")")"
done
heading 'CPU per request (median)' 'µs' 'µs, 2 routes'
row '1,000 routes' "$(median 1000)" "$(median 2)" "$(median ratio)" '<=' 1.03
exit "$verdicts"
