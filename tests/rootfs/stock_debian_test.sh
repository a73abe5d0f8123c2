#!/bin/bash
# stock_debian_test.sh SOURCE: what a stock Debian with our packages has, and HostOS has not: all of it, and nothing
# else, is in the file stock-debian, with a reason each. Takes the archive's lists, and no package.
set -euo pipefail
source=$1
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
listed() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@"; }

mkdir -p "$work"/{lists,cache/archives}/partial
cat >"$work/apt.conf" <<CONF
Dir::State::lists "$work/lists";
Dir::State::status "/dev/null";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
CONF
export APT_CONFIG=$work/apt.conf
apt-get --quiet=2 update

# installed RECOMMENDS PACKAGE...: what is installed for the sake of these.
installed() {
  local recommends=$1
  shift
  apt-get --quiet=2 --simulate -o APT::Install-Recommends="$recommends" install "$@" |
    sed -n 's/^Inst \([^ ]*\).*/\1/p' | sort -u
}

mapfile -t packages < <(listed "$source/rootfs/packages")
mapfile -t transient < <(listed "$source/rootfs/packages.transient")
# As the installer does: all that is required, important or standard, and what packages recommend.
installed true '~E' '~prequired' '~pimportant' '~pstandard' "${packages[@]}" >"$work/stock"
installed false '~E' "${packages[@]}" "${transient[@]}" |
  grep -vxFf <(printf '%s\n' "${transient[@]}") >"$work/ours"
[ "$(wc -l <"$work/ours")" -gt 100 ] || fail "expected the packages of HostOS, found: $(paste -sd' ' "$work/ours")"

comm -23 "$work/stock" "$work/ours" >"$work/lacking"
listed "$here/stock-debian" >"$work/reasons"
if grep -vE '^[^:]+: .{10}' "$work/reasons"; then fail "expected 'PACKAGE...: REASON' in $here/stock-debian"; fi
mapfile -t named < <(sed 's/:.*//' "$work/reasons" | tr ' ' '\n')

# One is named by the first pattern that fits.
declare -A fits
untold=''
while read -r package; do
  found=''
  for pattern in "${named[@]}"; do
    # shellcheck disable=SC2053 # a pattern
    if [[ $package == $pattern ]]; then found=$pattern && break; fi
  done
  if [ -n "$found" ]; then fits[$found]=$package; else untold+=" $package"; fi
done <"$work/lacking"
[ -z "$untold" ] || fail "a stock Debian has these, HostOS has not: add them to rootfs/packages, or to" \
  "$here/stock-debian with a reason:$untold"
for pattern in "${named[@]}"; do
  [ -n "${fits[$pattern]:-}" ] || fail "$here/stock-debian: HostOS lacks nothing that is called $pattern"
done
