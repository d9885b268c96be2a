#!/usr/bin/env bash
# How fast large bodies pass: 1 GiB down and up through banyan against nginx, one worker each, in the same run.
#
#   tests/bench/streaming.sh [ROUNDS] [MIB]          default: 3 rounds of 1024 MiB for each
#
# Down, the upstream is an nginx that sends a file from the page cache; up, a stub that reads everything before it answers
# (nginx would answer at once, and curl would stop). Exit code 0 if both median
# ratios of the throughput are at least 0.90.
set -euo pipefail
rounds=${1:-3} mib=${2:-1024}
source "$(dirname "$0")/common.sh"
need nginx
need curl

truncate -s "${mib}M" "$dir/big"
chmod 755 "$dir"
start_upstream source && source=$started
start_stub sink fine && sink=$started
declare -A ports
for way in down up; do
  upstream=$([ $way = down ] && echo "$source" || echo "$sink")
  start_nginx_proxy "$upstream" && ports[nginx-$way]=$started
  mkdir "$dir/banyan-$way"
  banyan_toml "$dir/banyan-$way/banyan.toml" "$upstream" "$upstream" "$(route get-big '/big')"
  start_banyan "banyan-$way" && ports[banyan-$way]=$started
done

# Prints MiB/s, once it is sure that the whole body has passed.
pass() { # down|up PORT
  local out
  if [ "$1" = down ]; then
    out=$(curl -sS -o /dev/null -w '%{http_code} %{size_download} %{speed_download}' "http://127.0.0.1:$2/big")
  else
    out=$(curl -sS -o /dev/null -H 'Expect:' -T "$dir/big" -w '%{http_code} %{size_upload} %{speed_upload}' \
      "http://127.0.0.1:$2/upload")
  fi
  awk -v size=$((mib * 1048576)) '$1 == 200 && $2 == size { printf "%.0f\n", $3 / 1048576; ok = 1 } END { exit !ok }' <<<"$out" ||
    { echo "$1 by port $2: $out" >&2; exit 1; }
}

for way in down up; do
  for name in nginx banyan; do pass $way "${ports[$name-$way]}" >/dev/null; done
  for _ in $(seq "$rounds"); do
    for name in nginx banyan; do keep "$way-$name" "$(pass $way "${ports[$name-$way]}")"; done
    keep "$way" "$(ratio "$(tail -n 1 "$dir/series-$way-banyan")" "$(tail -n 1 "$dir/series-$way-nginx")")"
  done
done
heading "$mib MiB (median)" 'banyan MiB/s' 'nginx MiB/s'
for way in down up; do row $way "$(median $way-banyan)" "$(median $way-nginx)" "$(median $way)" '>=' 0.90; done
exit "$verdicts"
