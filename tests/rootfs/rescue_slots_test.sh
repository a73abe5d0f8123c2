#!/bin/bash
# rescue_slots_test.sh DIRECTORY: what the rescue's script in DIRECTORY mounts of the partitions that there are. Run it
# in a mount namespace of its own.
set -euo pipefail

script=$1/rescue-slots
readonly slots=/run/hostos/slots

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
expect() { [ "$1" = "$2" ] || fail "$3: expected '$2', found '$1'"; }

mount --make-rprivate / 2>/dev/null || true
mount -t tmpfs tmpfs /run
mkdir /run/bin /run/block
printf '#!/bin/sh\n' >/run/bin/modprobe
# Here everything is in one namespace.
printf '#!/bin/sh\n[ "$1 $2 $3" = "--target 1 --mount" ] && shift 3 && exec "$@"\n' >/run/bin/nsenter
chmod +x /run/bin/*
PATH=/run/bin:$PATH

used=()
finish() {
  umount $slots/* 2>/dev/null || true
  for device in "${used[@]}"; do losetup --detach "$device"; done
}
trap finish EXIT

# partition NAME LABEL: an erofs with a file that says NAME; `device` is what the kernel calls it.
partition() {
  mkdir -p /run/root/ostree/repo
  echo "$1" >/run/root/ostree/repo/name
  mkfs.erofs --quiet "/run/$1" /run/root
  device=$(losetup --find --show "/run/$1")
  used+=("$device")
  device=${device##*/}
  mkdir "/run/block/$device"
  printf 'DEVTYPE=partition\nPARTNAME=%s\n' "$2" >"/run/block/$device/uevent"
}

partition a hostos_1.0.0; a=$device
partition emptied _empty; emptied=$device
partition other data; other=$device
partition verity hostos_1.0.0; verity=$device
head -c 65536 /dev/urandom >/run/verity
mkdir /run/block/none
echo DEVTYPE=disk >/run/block/none/uevent
mount --bind /run/block /sys/class/block

for try in first second; do
  (umask 077 && "$script")
  expect "$(cat $slots/"$a"/ostree/repo/name)" a "a slot, at the $try try"
  expect "$(cat $slots/"$emptied"/ostree/repo/name)" emptied "a slot that an update emptied, at the $try try"
  [ ! -e "$slots/$other" ] || fail "what is no slot was mounted"
  if mountpoint -q "$slots/$verity"; then fail "a hash tree was mounted"; fi
  expect "$(findmnt -no OPTIONS "$slots/$a" | tr , '\n' | grep -cx -e ro -e nosuid -e nodev -e noexec)" 4 "its options"
  expect "$(stat -c %a $slots)" 755 "who may look at the slots"
done

# What is mounted does not keep the slot from being written, claimed as a block device is (O_EXCL).
python3 - "/dev/$a" <<'EOF'
import os, sys
slot = os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
os.write(slot, b"\0" * 65536)
os.fsync(slot)
EOF
"$script"
if mountpoint -q "$slots/$a"; then fail "a slot that was overwritten is mounted"; fi
echo "all slots mounted"
