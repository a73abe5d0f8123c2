#!/bin/bash
# config_mode_test.sh TMPFILES: who may read the configuration that TMPFILES makes of the credential, where there was
# none and where an earlier release made it: there may be a password in it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
expect() { [ "$1" = "$2" ] || fail "$3: expected '$2', found '$1'"; }

mkdir -p "$work/root/etc/hostctl" "$work/credentials"
echo given >"$work/credentials/hostctl.config"
file=$work/root/etc/hostctl/hostctl.toml
for made in "the credential" "an earlier release"; do
  # A later boot may be without it.
  if [ "$made" != "the credential" ]; then rm "$work/credentials/hostctl.config"; fi
  CREDENTIALS_DIRECTORY=$work/credentials systemd-tmpfiles --root="$work/root" --create --prefix=/etc/hostctl "$1"
  expect "$(cat "$file")" given "the configuration of $made"
  expect "$(stat -c %a "$file")" 600 "the mode of the configuration of $made"
  chmod 0644 "$file"
done
