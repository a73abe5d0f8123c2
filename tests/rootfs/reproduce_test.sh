#!/bin/bash
# reproduce_test.sh SOURCE HOSTIMAGE: real releases are made again of their provenance, by a checkout
# of its own, in another place, at another time and under another umask, and have the same bytes. One
# whose program differs is not made.
set -euo pipefail

cd "$1"
readonly hostimage=$2 releases=$1/build/releases
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
umask 077

mkdir "$work/keys"
cp "$releases"/keys/*.pub "$releases/next.pub" "$work/keys/"
DESTDIR=$work/install cmake --install build/release --strip >"$work/log"
ref() { echo "hostos/x86-64/releases/$1"; }
read -r commit < <("$hostimage" provenance "$(ref 1.0.0)" --repo "$releases/repo" --keys "$work/keys" |
  sed -n 's/^source *commit \([0-9a-f]*\)$/\1/p')
git -c safe.directory='*' clone --quiet --shared . "$work/source"
git -C "$work/source" checkout --quiet "$commit"

# again VERSION UPDATES INSTALL
again() {
  rm -rf "$work/again"
  "$hostimage" reproduce "$(ref "$1")" --repo "$releases/repo" --keys "$work/keys" --source "$work/source" \
    --base "$HOSTOS_CACHE/bases/$(rootfs/build base-key --suite-updates "$2" --profile test)" \
    --install "$3" --output "$work/again"
}
again 1.0.0 no "$work/install" | tee "$work/first"
again 1.2.0 yes "$work/install" | tee "$work/second" # laid out after another, with a file of the publisher's
[ "$(cat "$work/first" "$work/second" | grep -c "the same$")" = 4 ]

echo >>"$work/install/usr/bin/hostctl"
if again 1.0.0 no "$work/install" 2>"$work/refused"; then
  echo "expected a release with another program to be refused" >&2
  exit 1
fi
grep -F 'usr/bin/hostctl: expected SHA-256' "$work/refused"
