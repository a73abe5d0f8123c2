#!/bin/bash
# build_test.sh BUILD: what rootfs/build says and returns when it is not understood.
set -euo pipefail
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# refuses CODE TEXT ARGUMENT...: exits with CODE and says TEXT on stderr.
refuses() {
  local code=$1 text=$2 got=0 said
  shift 2
  said=$("$build" "$@" 2>&1 >/dev/null) || got=$?
  [ "$got" = "$code" ] || fail "rootfs/build $*: expected exit code $code, found $got"
  [[ $said == *"$text"* ]] || fail "rootfs/build $*: expected '$text', found: $said"
}

refuses 2 "a command is missing"
refuses 2 "unknown command: bass" bass
refuses 2 "unknown option: --verison" release --verison 1
refuses 2 "--version needs a value" release --version
refuses 2 "base needs --output" base
refuses 2 "release needs" release --base "$work" --output "$work/out"
refuses 2 "--suite-updates is yes or no" base --output "$work/out" --suite-updates perhaps
refuses 2 "--profile is default or test" base --output "$work/out" --profile tset
refuses 2 "a version is of" release --base "$work" --output "$work/out" --version '1 0'
refuses 1 "is not a base" release --base "$work" --output "$work/out" --version 1.0.0
refuses 1 "no package list" base --output "$work/out" --packages "$work/missing"
[ ! -e "$work/out" ] || fail "something was written"

# The key of a base follows what it is made from, and nothing else.
key=$("$build" base-key)
[ "$key" = "$("$build" base-key --suite-updates yes --profile default)" ] || fail "defaults have another key"
[ "$key" != "$("$build" base-key --suite-updates no)" ] || fail "the suite does not change the key"
[ "$key" != "$("$build" base-key --profile test)" ] || fail "the profile does not change the key"
echo dbus >"$work/packages"
[ "$key" != "$("$build" base-key --packages "$work/packages")" ] || fail "the packages do not change the key"
"$build" --help | grep -q 'usage: rootfs/build' || fail "no usage on stdout"
