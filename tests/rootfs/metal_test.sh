#!/bin/bash
# metal_test.sh SOURCE: a base with the kernel for all machines, as docs/rootfs.md makes its package list, has the
# drivers of such machines where they are needed first. Kept beside the other bases, because it takes minutes.
set -euo pipefail
build=$1/rootfs/build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

list=$(sed -n 's/^\(sed .*\) rootfs\/packages >.*/\1/p' "$1/docs/rootfs.md")
[ -n "$list" ] || fail "docs/rootfs.md no longer says how to make the list"
eval "$list" '"$1/rootfs/packages"' >"$work/packages"
base=${HOSTOS_CACHE:-/var/cache/hostos}/bases/$("$build" base-key --packages "$work/packages")
[ -d "$base" ] || "$build" base --packages "$work/packages" --output "$base"
kernel=$(cd "$base/tree/usr/lib/modules" && echo *)
[[ $kernel != *cloud* ]] || fail "expected the kernel for all machines, found $kernel"

# has INITRD DRIVER...: each can be loaded there, with all it depends on, as the initrd's own modprobe says.
has() {
  local initrd=$1 root=$work/$1 driver needs file
  shift
  mkdir "$root"
  (cd "$root" && cpio --quiet -id) <"$base/$initrd"
  for driver; do
    needs=$(chroot "$root" modprobe --set-version "$kernel" --show-depends "$driver" 2>&1) ||
      fail "$initrd: no $driver: $needs"
    for file in $(sed -n 's/^insmod //p' <<<"$needs"); do
      [ -f "$root$file" ] || fail "$initrd: $driver wants $file, which is not there"
    done
  done
}
disks=(ahci nvme mmc_block sdhci_pci sdhci_acpi xhci_pci usb_storage uas aacraid hpsa megaraid_sas mpi3mr mpt3sas mptsas
  smartpqi)
has initrd "${disks[@]}"
cards=(e1000e igb igc ixgbe i40e ice r8169 realtek tg3 bnxt_en mlx5_core r8152 ax88179_178a)
has rescue-initrd vfat "${disks[@]}" "${cards[@]}"

# Three boot images and two rescues, each with the 19 MB of a release, fit the ESP that `hostimage disk` makes.
size() { cat "$base/tree/usr/lib/modules/$kernel/vmlinuz" "$base/$1" | wc -c; }
used=$((3 * $(size initrd) + 2 * ($(size rescue-initrd) + 19000000)))
echo "kernel image $(size initrd), rescue without a release $(size rescue-initrd), ESP $used"
[ $used -lt 1000000000 ] || fail "expected an ESP of 1 GiB to be enough, found $used bytes"
