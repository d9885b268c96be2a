# What the benchmarks share: programs, a folder that is gone afterwards, servers with one worker each, CPU time, verdicts.
#
# Sourced by the scripts beside it, which say what they measure. BANYAN=path and LOAD=path take programs that are built
# already; without them both are built with the release profile.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

need() { # PROGRAM [PACKAGE]
  command -v "$1" >/dev/null && return
  echo "installing ${2:-$1}" >&2
  # The package would start a server of its own, which nobody asked for.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  apt-get install -y -qq --no-install-recommends "${2:-$1}" >/dev/null
  rm -f /usr/sbin/policy-rc.d
}

built() { # PACKAGE NAME
  cargo build --manifest-path "$root/Cargo.toml" --release --quiet --package "$1" --bin "$2"
  echo "${CARGO_TARGET_DIR:-$root/target}/release/$2"
}
banyan=${BANYAN:-$(built router banyan)}
load=${LOAD:-$(built banyan-tests load)}

dir=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  # Pingora takes five minutes over its last words.
  for _ in $(seq 50); do [ -n "$(jobs -r)" ] || break; sleep 0.1; done
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

until_answers() { # PORT
  for _ in $(seq 400); do curl -sf -o /dev/null "http://127.0.0.1:$1/api/products/ABC" && return; sleep 0.05; done
  echo "nothing answers at port $1" >&2
  tail -n 20 "$dir"/*.err >&2 || true
  exit 1
}

# Each start function leaves the port in `started`; nginx and banyan leave the process that works in `worker`.
nginx_conf() { # NAME HTTP-BLOCK
  cat >"$dir/$1.conf" <<CONF
daemon off; master_process on; worker_processes 1; pid $dir/$1.pid; error_log $dir/$1.log warn;
events { worker_connections 4096; }
http {
  access_log off; default_type application/json; keepalive_requests 100000000; keepalive_timeout 75s;
  client_max_body_size 0; client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir; uwsgi_temp_path $dir;
  scgi_temp_path $dir;
  $2
}
CONF
}

start_nginx() { # NAME HTTP-BLOCK with @PORT@
  local http
  started=$(port)
  http=${2//@PORT@/127.0.0.1:$started}
  nginx_conf "$1" "$http"
  nginx -c "$dir/$1.conf" -p "$dir" 2>"$dir/$1.err" & pids+=($!)
  worker=''
  until [ -n "$worker" ]; do worker=$(pgrep -P "${pids[-1]}" | head -1) || sleep 0.02; done
}

start_stub() { # NAME MANNER: one of our own, as `load stub` describes them
  "$load" stub --manner "$2" >"$dir/$1.out" & pids+=($!)
  until grep -qs listening "$dir/$1.out"; do sleep 0.02; done
  started=$(sed 's/.*://' "$dir/$1.out")
}

start_upstream() { # NAME: answers ~1 KiB to every request, and files of the folder below /big
  local body
  body=$(printf 'x%.0s' $(seq 1024))
  start_nginx "$1" "server { listen @PORT@; location / { return 200 '$body'; } location /big { root $dir; } }"
  until_answers "$started"
}

start_nginx_proxy() { # UPSTREAM-PORT
  start_nginx "proxy-$1" "upstream up { server 127.0.0.1:$1; keepalive 128; keepalive_requests 100000000; }
    server { listen @PORT@; location / { proxy_pass http://up; proxy_http_version 1.1;
      proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_set_header Connection ''; } }"
  until_answers "$started"
}

# A router with one worker. MORE is what comes after [modules.catalog] and its service, such as routes.
banyan_toml() { # FILE MONOLITH-PORT SERVICE-PORT MORE
  cat >"$1" <<TOML
[router]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 1
[upstreams]
monolith = "http://127.0.0.1:$2"
catalog = "http://127.0.0.1:$3"
[modules.catalog]
service = "catalog"
$4
TOML
}

route() { # NAME PATH [MODE]
  printf '[[modules.catalog.routes]]\nname = "%s"\nmatch = "GET %s"\nmode = "%s"\n' "$1" "$2" "${3:-monolith}"
}

start_banyan() { # NAME, whose file is $dir/NAME/banyan.toml
  # `exec`, or the process would be a shell's child.
  (cd "$dir/$1" && exec "$banyan" serve --config banyan.toml >"$dir/$1.out" 2>"$dir/$1.err") &
  worker=$! && pids+=("$worker")
  until grep -qs listening "$dir/$1.out"; do
    kill -0 "$worker" 2>/dev/null || { cat "$dir/$1.err" >&2; exit 1; }
    sleep 0.02
  done
  started=$(sed -n 's/.*router=127.0.0.1:\([0-9]*\).*/\1/p' "$dir/$1.out")
  until_answers "$started"
}

stop() { # PID: ends one of the servers above and waits for it
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# User and system time in clock ticks: of a process with all its threads, or of its threads of one name.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
thread_ticks() { # PID NAME-PREFIX
  # A thread's name may hold blanks, so fields are counted from behind its closing bracket.
  cat "/proc/$1"/task/*/stat | awk -v name="($2" 'index($0, " " name) { sub(/.*\) /, ""); t += $12 + $13 } END { print t + 0 }'
}

# Prints CPU microseconds per request and requests per second, of 64 connections that never rest.
measure() { # PORT SECONDS TICKS-COMMAND...
  local port=$1 seconds=$2 before after out
  shift 2
  before=$("$@")
  out=$(wrk -t2 -c"${CONNECTIONS:-64}" -d"${seconds}s" "http://127.0.0.1:$port/api/products/ABC")
  after=$("$@")
  if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then echo "$out" >&2; exit 1; fi
  awk -v t=$((after - before)) -v s="$seconds" -v hz="$(getconf CLK_TCK)" \
    '/requests in/ { printf "%.2f %.0f\n", t * 1e6 / hz / $1, $1 / s }' <<<"$out"
}

# Keeps a value of a round, and tells the median of all.
keep() { echo "$2" >>"$dir/series-$1"; } # NAME VALUE
median() { # NAME
  sort -n "$dir/series-$1" | awk '{ a[NR] = $1 } END { print (NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2) }'
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", (b > 0 ? a / b : 0) }'; }

# A row of the table at the end; `not` is remembered for the exit code. No bound is no verdict.
verdicts=0
heading() { printf '%-34s %14s %14s %8s %8s  %s\n' "$1" "$2" "$3" "${4:-ratio}" bound verdict; } # WHAT VALUE AGAINST [RATIO]
row() { # WHAT VALUE AGAINST RATIO [OPERATOR BOUND], the ratio being what is held to the bound
  local verdict=-
  if [ -n "${5:-}" ]; then
    verdict=$(awk -v r="$4" -v o="$5" -v b="$6" 'BEGIN { print ((o == "<=" ? r <= b : r >= b) ? "ok" : "not") }')
    [ "$verdict" = ok ] || verdicts=1
  fi
  printf '%-34s %14s %14s %8s %8s  %s\n' "$1" "$2" "$3" "$4" "${5:-}${6:-}" "$verdict"
}
