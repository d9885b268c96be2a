#!/usr/bin/env bash
# No visible switch: full load over 1,000 routes while one is switched each second, the file is edited every 5 s, and the
# router is replaced by a successor in the middle.
#
#   tests/bench/switches.sh [SECONDS] [CONNECTIONS] [PAUSE]     default: 60 s, 64 connections that never rest
#
# Router, upstreams and clients share the machine, so the rate says what the machine allows; with a pause, in milliseconds
# between two requests of a client, it is about 1,000 * CONNECTIONS / PAUSE a second. On a machine without any time to spare
# an fsync may take longer than a switch waits for the audit log; then the switch is refused, and the run ends there. A
# request fails if it gets no answer, a status other than 200, a wrong body, or an answer of the side that its route had left
# before it was sent. Exit code 0 if none has failed. BANYAN=path takes a router that is built already.
set -euo pipefail
source "$(dirname "$0")/common.sh"
"$load" switches --banyan "$banyan" --seconds "${1:-60}" --connections "${2:-64}" --pause "${3:-0}"
