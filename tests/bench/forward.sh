#!/usr/bin/env bash
# What forwarding costs: CPU time per request of banyan against nginx, one worker each, in the same run.
#
#   tests/bench/forward.sh [ROUNDS] [SECONDS]         default: 6 rounds of 4 s for each of the two
#
# An nginx answers ~1 KiB; wrk asks for it over 64 connections, through nginx (proxy_pass with upstream keep-alive) and
# through banyan by turns. CPU time is what the kernel has accounted to the proxy's process (user and system), so other
# load on the machine disturbs it little; the median over the rounds is what counts. Installs nginx and wrk from Debian's
# packages if they are missing; BANYAN=path takes a router that is built already. Exit code 0 if the ratio is at most LIMIT (default 1.25), else 1.
set -euo pipefail
rounds=${1:-6} seconds=${2:-4} limit=${LIMIT:-1.25}
source "$(dirname "$0")/common.sh"
need nginx
need wrk

start_upstream upstream && upstream=$started
start_nginx_proxy "$upstream" && nginx_port=$started nginx_worker=$worker
mkdir "$dir/banyan"
banyan_toml "$dir/banyan/banyan.toml" "$upstream" "$upstream" "$(route get-product '/api/products/{sku}')"
start_banyan banyan && banyan_port=$started banyan_pid=$worker

wrk -t2 -c64 -d1s "http://127.0.0.1:$nginx_port/" >/dev/null
wrk -t2 -c64 -d1s "http://127.0.0.1:$banyan_port/" >/dev/null
printf '%-6s %22s %22s %7s\n' round 'nginx µs/req (req/s)' 'banyan µs/req (req/s)' ratio
for round in $(seq "$rounds"); do
  read -r nginx_cost nginx_rate < <(measure "$nginx_port" "$seconds" ticks "$nginx_worker")
  read -r banyan_cost banyan_rate < <(measure "$banyan_port" "$seconds" ticks "$banyan_pid")
  keep ratio "$(ratio "$banyan_cost" "$nginx_cost")"
  printf '%-6s %22s %21s %7s\n' "$round" "$nginx_cost ($nginx_rate)" "$banyan_cost ($banyan_rate)" \
    "$(tail -n 1 "$dir/series-ratio")"
done
echo "median ratio $(median ratio) (limit $limit)"
awk -v m="$(median ratio)" -v l="$limit" 'BEGIN { exit !(m <= l) }'
