#!/bin/bash
# sysctl_test.sh ROOTFS: the kernel's settings are Debian's (linux-sysctl-defaults) and ours, and ours are for other
# things than Debian's protect, and switch nothing on that a container network has to ask for.
set -euo pipefail

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

for package in apparmor linux-sysctl-defaults; do
  grep -qxF $package "$1/packages" || fail "expected $package in $1/packages"
done
files=$(find "$1/overlay" -path '*/sysctl.d/*' -type f)
[ -n "$files" ] || fail "expected settings in $1/overlay"
# shellcheck disable=SC2086 # no path has a space
settings=$(sed -e 's/[#;].*//' -e '/^[[:space:]]*$/d' $files)
[ "$(wc -l <<<"$settings")" -ge 5 ] || fail "expected settings, found: $settings"
keys="forward|rp_filter|source_route|redirects|protected_|ping_group|sysrq|core_uses_pid|dmesg_restrict|kptr_restrict"
keys+="|perf_event|unprivileged|ptrace_scope|randomize|mmap_min|suid_dumpable"
found=$(tr / . <<<"$settings" | grep -E "$keys") || :
[ -z "$found" ] || fail "expected nothing about these in $files, found: $found"
