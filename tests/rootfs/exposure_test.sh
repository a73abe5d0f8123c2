#!/bin/bash
# exposure_test.sh ROOTFS: what systemd-analyze calls the exposure of every service in ROOTFS, from 0, the best, to
# 10.
set -euo pipefail

readonly LIMIT=24  # tenths
readonly SERVICES=10

# The services of the initrds have their drop-ins there too.
export SYSTEMD_UNIT_PATH=$1/overlay/usr/lib/systemd/system:
found=0 exposed=0
while read -r unit; do
  found=$((found + 1))
  report=$(systemd-analyze security --offline=yes --threshold=$LIMIT --no-pager "$unit") || exposed=$((exposed + 1))
  tail -n 1 <<<"$report"
done < <(find "$1" -name '*.service' -type f)

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
[ "$found" -ge $SERVICES ] || fail "expected at least $SERVICES services in $1, found $found"
[ "$exposed" = 0 ] || fail "expected at most $LIMIT tenths, found more at $exposed of $found services"
