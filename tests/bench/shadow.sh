#!/usr/bin/env bash
# What the shadow costs the answers of clients: CPU time of the thread that serves them, and how long they wait, with a
# shadow target that is fine, answers after 10 s, resets, sends garbage, or 10 GiB; against no shadow, in the same run.
#
#   tests/bench/shadow.sh [ROUNDS] [SECONDS] [RATE]  default: 20 rounds of 2 s for each; 2,000 requests/s
#
# CPU time is that of the worker thread alone (by its name), since copies are made by a thread of their own, which has what
# is left of the machine. Waits are those of a fixed rate, from when a request was due. Each variant is a router of its own,
# or the late one's queue would reach into the others' rounds. Exit code 0 if the worker's cost is at most 1.15 times, and
# every p99 at most 1.05 times that without shadow. The rounds are many: one p99 on a shared machine says little.
set -euo pipefail
rounds=${1:-20} seconds=${2:-2} rate=${3:-2000}
source "$(dirname "$0")/common.sh"
need nginx
need wrk
# The kernel keeps 15 characters of a name. The operators' thread bears it as well, and rests.
thread=${WORKER_THREAD:-actix-rt|system}

start_upstream upstream && upstream=$started
start_upstream fine && fine=$started
start_stub late late && late=$started
start_stub reset reset && reset=$started
start_stub garbage garbage && garbage=$started
start_stub endless endless && endless=$started
declare -A ports workers
declare -A targets=([none]=$upstream [fine]=$fine [late]=$late [reset]=$reset [garbage]=$garbage [endless]=$endless)
order=(none fine late reset garbage endless)
for name in "${order[@]}"; do
  mode=shadow
  [ "$name" = none ] && mode=monolith
  mkdir "$dir/with-$name"
  banyan_toml "$dir/with-$name/banyan.toml" "$upstream" "${targets[$name]}" "$(route get-product '/api/products/{sku}' $mode)"
  start_banyan "with-$name"
  ports[$name]=$started workers[$name]=$worker
done

for name in none fine; do measure "${ports[$name]}" 1 thread_ticks "${workers[$name]}" "$thread" >/dev/null; done
for _ in $(seq "$rounds"); do
  for name in none fine; do
    read -r cost _ < <(measure "${ports[$name]}" "$seconds" thread_ticks "${workers[$name]}" "$thread")
    keep "cost-$name" "$cost"
  done
  keep cost "$(ratio "$(tail -n 1 "$dir/series-cost-fine")" "$(tail -n 1 "$dir/series-cost-none")")"
  for name in "${order[@]}"; do
    line=$("$load" pace --rate "$rate" --seconds "$seconds" "127.0.0.1:${ports[$name]}") || { echo "$name: $line" >&2; exit 1; }
    keep "p99-$name" "$(sed 's/.*p99 \([0-9]*\).*/\1/' <<<"$line")"
    keep "wait-$name" "$(ratio "$(tail -n 1 "$dir/series-p99-$name")" "$(tail -n 1 "$dir/series-p99-none")")"
  done
done

heading 'shadow 100 % (median)' 'µs' 'µs, without'
row "worker's CPU per request" "$(median cost-fine)" "$(median cost-none)" "$(median cost)" '<=' 1.15
for name in fine late reset garbage endless; do
  row "p99, target $name" "$(median "p99-$name")" "$(median p99-none)" "$(median "wait-$name")" '<=' 1.05
done
exit "$verdicts"
