#!/usr/bin/env bash
# No visible switch: full load over 1,000 routes while one is switched each second, the file is edited every 5 s, and the
# router is replaced by a successor in the middle.
#
#   tests/bench/switches.sh [SECONDS] [CONNECTIONS]       default: 60 s, 64 connections
#
# Router, upstreams and clients share the machine, so the rate says what the machine allows. A request fails if it gets no
# answer, a status other than 200, a wrong body, or an answer of the side that its route had left before it was sent.
# Exit code 0 if none has failed. BANYAN=path takes a router that is built already.
set -euo pipefail
source "$(dirname "$0")/common.sh"
"$load" switches --banyan "$banyan" --seconds "${1:-60}" --connections "${2:-64}"
