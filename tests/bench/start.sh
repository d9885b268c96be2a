#!/usr/bin/env bash
# How long the router takes to start, and to take an edit of a file with 10,000 routes, and what clients notice of that.
#
#   tests/bench/start.sh [STARTS] [RELOADS]          default: 20 starts, 10 reloads
#
# A start is from the start of the process to the first answer. A reload is from SIGHUP to the first answer by the new
# config, seen by a client that asks each millisecond on one connection; a stall is the longest that it waits meanwhile,
# and beside it stands the longest without a reload, which is what the machine itself does. One worker. Exit code 0 if the
# medians of start, reload and stall are at most 100 ms, 200 ms and 5 ms.
set -euo pipefail
source "$(dirname "$0")/common.sh"

"$load" starts --banyan "$banyan" --routes 2 --times "${1:-20}" >"$dir/series-start"
"$load" reloads --banyan "$banyan" --routes 10000 --times "${2:-10}" >"$dir/reloads"
awk '{ print $1 }' "$dir/reloads" >"$dir/series-taken"
awk '{ print $2 }' "$dir/reloads" >"$dir/series-stall"
awk '{ print $3 }' "$dir/reloads" >"$dir/series-quiet"
heading 'milliseconds (median)' median worst value
worst() { sort -n "$dir/series-$1" | tail -n 1; }
row 'start to first answer' "$(median start)" "$(worst start)" "$(median start)" '<=' 100
row 'reload of 10,000 routes' "$(median taken)" "$(worst taken)" "$(median taken)" '<=' 200
row 'stall during it' "$(median stall)" "$(worst stall)" "$(median stall)" '<=' 5
row 'stall without it' "$(median quiet)" "$(worst quiet)" "$(median quiet)"
exit "$verdicts"
