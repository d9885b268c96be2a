#!/usr/bin/env bash
# What forwarding costs: CPU time per request of banyan against nginx, one worker each, in the same run.
#
#   tests/bench/forward.sh [ROUNDS] [SECONDS]         default: 6 rounds of 4 s for each of the two
#
# An nginx answers ~1 KiB; wrk asks for it over 64 connections, through nginx (proxy_pass with upstream keep-alive) and
# through banyan by turns. CPU time is what the kernel has accounted to the proxy's process (user and system), so other
# load on the machine disturbs it little; the median over the rounds is what counts. Installs nginx and wrk from Debian's
# packages if they are missing. Exit code 0 if the ratio is at most LIMIT (default 1.25), else 1.
set -euo pipefail
rounds=${1:-6} seconds=${2:-4} limit=${LIMIT:-1.25} connections=${CONNECTIONS:-64}
root=$(cd "$(dirname "$0")/../.." && pwd)

need() {
  command -v "$1" >/dev/null && return
  echo "installing $1" >&2
  # The package would start a server of its own, which nobody asked for.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  apt-get install -y -qq "$1" >/dev/null
  rm -f /usr/sbin/policy-rc.d
}
need nginx
need wrk
[ -n "${BANYAN:-}" ] || cargo build --manifest-path "$root/Cargo.toml" --release --quiet --package router
target=${CARGO_TARGET_DIR:-$root/target}
banyan=${BANYAN:-$target/release/banyan}

dir=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
upstream_port=$(port) nginx_port=$(port)

body=$(printf 'x%.0s' $(seq 1024))
nginx_conf() { # NAME WORKERS HTTP-BLOCK
  cat >"$dir/$1.conf" <<EOF
daemon off; master_process on; worker_processes $2; pid $dir/$1.pid; error_log $dir/$1.log warn;
events { worker_connections 4096; }
http {
  access_log off; default_type application/json; keepalive_requests 100000000; keepalive_timeout 75s;
  client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir; uwsgi_temp_path $dir; scgi_temp_path $dir;
  $3
}
EOF
}
nginx_conf upstream 1 "server { listen 127.0.0.1:$upstream_port; location / { return 200 '$body'; } }"
nginx_conf proxy 1 "upstream up { server 127.0.0.1:$upstream_port; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:$nginx_port;
    location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ''; } }"
cat >"$dir/banyan.toml" <<EOF
[router]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 1
[upstreams]
monolith = "http://127.0.0.1:$upstream_port"
[modules.catalog]
[[modules.catalog.routes]]
name = "get-product"
match = "GET /api/products/{sku}"
mode = "monolith"
EOF

nginx -c "$dir/upstream.conf" -p "$dir" & pids+=($!)
nginx -c "$dir/proxy.conf" -p "$dir" & nginx_pid=$! && pids+=("$nginx_pid")
"$banyan" serve --config "$dir/banyan.toml" >"$dir/banyan.out" 2>"$dir/banyan.err" & banyan_pid=$! && pids+=("$banyan_pid")

until grep -q listening "$dir/banyan.out"; do sleep 0.05; done
banyan_port=$(sed -n 's/.*router=127.0.0.1:\([0-9]*\).*/\1/p' "$dir/banyan.out")
for p in $upstream_port $nginx_port $banyan_port; do
  until [ "$(curl -s "http://127.0.0.1:$p/api/products/ABC" | wc -c)" = 1024 ]; do sleep 0.05; done
done
nginx_worker=$(pgrep -P "$nginx_pid" | head -1)

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
# Prints CPU microseconds per request and requests per second.
measure() { # PID PORT
  local before after out requests
  before=$(ticks "$1")
  out=$(wrk -t2 -c"$connections" -d"${seconds}s" "http://127.0.0.1:$2/api/products/ABC")
  after=$(ticks "$1")
  if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then echo "$out" >&2; exit 1; fi
  requests=$(awk '/requests in/ { print $1 }' <<<"$out")
  awk -v t=$((after - before)) -v r="$requests" -v s="$seconds" -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "%.2f %.0f\n", t * 1e6 / hz / r, r / s }'
}

wrk -t2 -c"$connections" -d1s "http://127.0.0.1:$nginx_port/" >/dev/null
wrk -t2 -c"$connections" -d1s "http://127.0.0.1:$banyan_port/" >/dev/null
printf '%-6s %22s %22s %7s\n' round 'nginx µs/req (req/s)' 'banyan µs/req (req/s)' ratio
for round in $(seq "$rounds"); do
  read -r nginx_cost nginx_rate < <(measure "$nginx_worker" "$nginx_port")
  read -r banyan_cost banyan_rate < <(measure "$banyan_pid" "$banyan_port")
  ratio=$(awk -v a="$banyan_cost" -v b="$nginx_cost" 'BEGIN { printf "%.3f", a / b }')
  echo "$ratio" >>"$dir/ratios"
  printf '%-6s %22s %21s %7s\n' "$round" "$nginx_cost ($nginx_rate)" "$banyan_cost ($banyan_rate)" "$ratio"
done
median=$(sort -n "$dir/ratios" | awk '{ a[NR] = $1 } END { print (NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2) }')
echo "median ratio $median (limit $limit)"
awk -v m="$median" -v l="$limit" 'BEGIN { exit !(m <= l) }'
