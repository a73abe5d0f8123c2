#!/bin/bash
# root_test.sh SOURCE RELEASES: what is in the root of 1.1.0: no more than tests/rootfs/size says, nothing of what
# rootfs/excluded leaves out, and no setuid file but those of rootfs/setuid.
set -euo pipefail
source=$1
image=$2/1.1.0.erofs
root=$(mktemp -d)
trap 'umount "$root"; rmdir "$root"; rm -f "$root".*' EXIT

failed=0
fail() { printf 'FAILED: %s\n' "$*" >&2; failed=1; }
listed() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@"; }

mount -t erofs -o loop,ro "$image" "$root"

"$source/rootfs/build" size "$root" >"$root.size"
total() { awk '{ bytes += $1 } END { print bytes }' "$1"; }
told=$(total "$source/tests/rootfs/size") found=$(total "$root.size")
echo "expected $told bytes of $(wc -l <"$source/tests/rootfs/size") packages, found $found of $(wc -l <"$root.size")"
if [ $((found * 100)) -gt $((told * 102)) ]; then
  fail "the root grew by more than 2 %: expected $told bytes, found $found. What grew most:"
  awk -F'\t' 'NR == FNR { told[$2] = $1; next } { print $1 - told[$2] "\t" $2 }' "$source/tests/rootfs/size" "$root.size" |
    sort -rn | head -n 10 >&2
  echo "If that is meant: rootfs/build size ROOT >tests/rootfs/size, where ROOT is this image, mounted: $image" >&2
fi

# Patterns of paths, as find understands them.
pattern=()
while read -r path; do pattern+=(-o -path ".$path"); done < <(listed "$source/rootfs/excluded")
[ ${#pattern[@]} -gt 20 ] || fail "expected what is left out in $source/rootfs/excluded, found ${#pattern[@]} words"
left=$(cd "$root" && find ./usr \( -false "${pattern[@]}" \) ! -type d -printf '/usr/%P\n')
[ -z "$left" ] || fail "rootfs/excluded leaves these out, and they are there: ${left//$'\n'/, }"
packages=$(dpkg-query --admindir="$root/usr/lib/sysimage/dpkg" --show --showformat='${Package}\n' |
  grep -xFf <(listed "$source/rootfs/packages.transient")) || :
[ -z "$packages" ] || fail "expected these packages to be gone: ${packages//$'\n'/, }"

setuid=$(cd "$root" && find . -path ./ostree -prune -o -type f -perm /6000 -printf '/%P\n' | sort)
[ "$setuid" = "$(listed "$source/rootfs/setuid" | sort)" ] ||
  fail "expected the setuid files of rootfs/setuid, found: ${setuid//$'\n'/, }"

# What is left loads what it is linked with. systemd keeps libraries where only its programs look.
lacking=$(cd "$root" && { find usr -type f \( -perm /111 -o -name '*.so*' \) -exec chroot . ldd {} + 2>/dev/null || :; } |
  sed -n 's/^[[:space:]]*\(.*\) => not found$/\1/p' | sort -u | while read -r name; do
    [ -n "$(find -L usr/lib -name "$name" -type f)" ] || echo "$name"
  done)
[ -z "$lacking" ] || fail "programs or libraries are linked with what is left out: ${lacking//$'\n'/, }"
exit $failed
