#!/usr/bin/env bash
# What an idle client costs: memory of banyan at none and at 1,000 connections that have each made one request and rest.
#
#   tests/bench/idle.sh [CONNECTIONS]                default: 1,000
#
# Memory is the process's resident set (VmRSS). nginx's worker stands beside it for comparison. Exit code 0 if banyan
# holds at most 32 MiB.
set -euo pipefail
connections=${1:-1000}
source "$(dirname "$0")/common.sh"
need nginx

start_upstream upstream && upstream=$started
start_nginx_proxy "$upstream"
declare -A ports=([nginx]=$started) workers=([nginx]=$worker)
mkdir "$dir/banyan"
banyan_toml "$dir/banyan/banyan.toml" "$upstream" "$upstream" "$(route get-product '/api/products/{sku}')"
start_banyan banyan
ports[banyan]=$started workers[banyan]=$worker

mib() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
mkfifo "$dir/hold"
heading 'resident memory, MiB' "$connections idle" none 'bytes/c'
for name in nginx banyan; do
  before=$(mib "${workers[$name]}")
  "$load" idle --connections "$connections" "127.0.0.1:${ports[$name]}" <"$dir/hold" >"$dir/idle.out" & holder=$!
  exec 9>"$dir/hold"
  until grep -q holding "$dir/idle.out"; do
    kill -0 "$holder" 2>/dev/null || { echo "$name: the connections do not stand" >&2; exit 1; }
    sleep 0.05
  done
  after=$(mib "${workers[$name]}")
  exec 9>&-
  wait "$holder"
  each=$(awk -v a="$after" -v b="$before" -v n="$connections" 'BEGIN { printf "%.0f", (a - b) * 1048576 / n }')
  verdict=()
  if [ "$name" = banyan ]; then
    # The bound is on the memory; the column before it tells what one connection adds.
    verdict=("$(awk -v a="$after" 'BEGIN { print (a <= 32 ? "ok" : "not") }')")
    [ "${verdict[0]}" = ok ] || verdicts=1
  fi
  printf '%-34s %14s %14s %8s %8s  %s\n' "$name" "$after" "$before" "$each" "$([ "$name" = banyan ] && echo '<=32' || echo)" "${verdict[0]:--}"
done
exit "$verdicts"
