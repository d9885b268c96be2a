#!/usr/bin/env bash
# How long answers take under a high but bearable load: p99 of banyan against nginx, at a fixed rate of 80 % of what the
# slower of the two can do, one worker each, in the same run.
#
#   tests/bench/latency.sh [ROUNDS] [SECONDS]        default: 20 rounds of 2 s for each
#
# Times run from when a request was due, so waiting in a queue counts (wrk would leave it out). Exit code 0 if the median
# ratio of the p99 is at most 1.10. The rounds are many, since one p99 on a machine that proxies, upstream and clients share is now a
# third of the other's and now three times it.
set -euo pipefail
rounds=${1:-20} seconds=${2:-2}
source "$(dirname "$0")/common.sh"
need nginx
need wrk

start_upstream upstream && upstream=$started
start_nginx_proxy "$upstream"
declare -A ports=([nginx]=$started) workers=([nginx]=$worker)
mkdir "$dir/banyan"
banyan_toml "$dir/banyan/banyan.toml" "$upstream" "$upstream" "$(route get-product '/api/products/{sku}')"
start_banyan banyan
ports[banyan]=$started workers[banyan]=$worker

# The load program needs more of the machine than wrk does, so the maxima are its own: asked far above them, it gives what
# came back in the time that it took.
most() { # PORT
  local began line
  began=$(date +%s%N)
  line=$("$load" pace --rate 200000 --seconds 0.2 "127.0.0.1:$1")
  awk -v t="$(($(date +%s%N) - began))" '{ printf "%.0f\n", $2 * 1e9 / t }' <<<"$line"
}
for name in nginx banyan; do most "${ports[$name]}" >/dev/null; keep most "$(most "${ports[$name]}")"; done
rate=$(sort -n "$dir/series-most" | awk 'NR == 1 { printf "%.0f", $1 * 0.8 }')

for _ in $(seq "$rounds"); do
  for name in nginx banyan; do
    line=$("$load" pace --rate "$rate" --seconds "$seconds" "127.0.0.1:${ports[$name]}") || { echo "$name: $line" >&2; exit 1; }
    keep "p50-$name" "$(sed 's/.*p50 \([0-9]*\).*/\1/' <<<"$line")"
    keep "p99-$name" "$(sed 's/.*p99 \([0-9]*\).*/\1/' <<<"$line")"
  done
  for of in p50 p99; do keep "$of" "$(ratio "$(tail -n 1 "$dir/series-$of-banyan")" "$(tail -n 1 "$dir/series-$of-nginx")")"; done
done
heading "at $rate requests/s (median)" 'banyan µs' 'nginx µs'
row p50 "$(median p50-banyan)" "$(median p50-nginx)" "$(median p50)"
row p99 "$(median p99-banyan)" "$(median p99-nginx)" "$(median p99)" '<=' 1.10
exit "$verdicts"
