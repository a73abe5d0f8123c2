#!/bin/bash
# etc_test.sh DIRECTORY: lives of a node's /etc, boot after boot, with the script and the mount unit in DIRECTORY
# as the initrd has them: the root at /sysroot, its state at /sysroot/var, the root hash in /proc/cmdline. Run
# it in a mount namespace of its own.
set -euo pipefail

script=$1/prepare-etc
options=$(sed -n 's/^Options=//p' "$1/sysroot-etc.mount")
readonly A=aaaaaaaaaaaaaaaa B=bbbbbbbbbbbbbbbb C=cccccccccccccccc
readonly uppers=/sysroot/var/lib/hostos/etc

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
expect() { [ "$1" = "$2" ] || fail "$3: expected '$2', found '$1'"; }

# boot HASH: the release's own /etc below, the overlay on it.
boot() {
  printf 'ro roothash=%s%s panic=5\n' "$1" "$(printf '0%.0s' {1..48})" >/run/hostos-test/cmdline
  (umask 077 && "$script") && mount -t overlay -o "$options" overlay /sysroot/etc
}
shut_down() { umount /sysroot/etc; }

# In a chroot this can't be done, nor need it: whoever made the chroot's mounts made them private.
mount --make-rprivate / 2>/dev/null || true
mkdir -p /sysroot
mount -t tmpfs tmpfs /sysroot
mount -t tmpfs tmpfs /run
mkdir -p /sysroot/etc /sysroot/var /run/hostos-test /run/hostos-etc
: >/run/hostos-test/cmdline
mount --bind /run/hostos-test/cmdline /proc/cmdline
echo released >/sysroot/etc/motd
echo released >/sysroot/etc/unwanted
mkdir /sysroot/etc/replaced
echo released >/sysroot/etc/replaced/file

# The first boot of all starts from /etc as released; what is written survives a reboot.
boot $A
echo edited >/sysroot/etc/motd
rm /sysroot/etc/unwanted
rm -r /sysroot/etc/replaced
mkdir /sysroot/etc/replaced
install -m 0640 -o 901 -g 902 /dev/null /sysroot/etc/secret
touch /sysroot/etc/.updated /sysroot/var/.updated
shut_down
expect "$(cat /sysroot/etc/motd)" released "the release's own file"
boot $A
expect "$(cat /sysroot/etc/motd)" edited "an edit, after a reboot"
[ ! -e /sysroot/etc/unwanted ] || fail "a deleted file came back"
expect "$(stat -c %a /sysroot/etc)" 755 "the mode of /etc"
shut_down

# The first boot of the next release takes everything along, and lets systemd's updates be due again.
echo $A >$uppers/next-from
boot $B
expect "$(cat /sysroot/etc/motd)" edited "an edit, in the next release"
[ ! -e /sysroot/etc/unwanted ] || fail "a deleted file came back in the next release"
expect "$(ls /sysroot/etc/replaced)" "" "a directory that was removed and made again"
expect "$(stat -c '%a %u %g' /sysroot/etc/secret)" "640 901 902" "mode and owner, in the next release"
expect "$(ls -d $uppers/*.new 2>/dev/null)" "" "what is left of the copy"
[ ! -e /sysroot/etc/.updated ] || fail "/etc/.updated was carried into another release"
[ ! -e /sysroot/var/.updated ] || fail "/var/.updated was carried into another release"
echo "edited by B" >/sysroot/etc/motd
shut_down

# Going back finds /etc untouched; going forward again finds B's own.
boot $A
expect "$(cat /sysroot/etc/motd)" edited "the old release's edit, after a rollback"
shut_down
boot $B
expect "$(cat /sysroot/etc/motd)" "edited by B" "the new release's edit"
shut_down

# Power was cut while C's upper was copied: half a copy is no upper.
mkdir -p $uppers/$C.new/upper
echo half >$uppers/$C.new/upper/motd
printf '%s of a later version\nand more\n' $B >$uppers/next-from
boot $C
expect "$(cat /sysroot/etc/motd)" "edited by B" "/etc after an interrupted copy"
shut_down
rm -r ${uppers:?}/$C

# A next-from that names no upper, or anything but one, starts from /etc as released.
mkdir -p $uppers/../elsewhere/upper
echo elsewhere >$uppers/../elsewhere/upper/motd
for from in 0123456789abcdef ../elsewhere ''; do
  echo "$from" >$uppers/next-from
  boot $C
  expect "$(cat /sysroot/etc/motd)" released "/etc with next-from '$from'"
  shut_down
  rm -r ${uppers:?}/$C
done

# Without a root hash there is no telling whose /etc it is: the boot must not go on.
echo 'ro quiet' >/run/hostos-test/cmdline
before=$(find $uppers | sort)
if "$script"; then fail "booted without a root hash"; fi
if mountpoint -q /sysroot/etc; then fail "/etc is mounted without a root hash"; fi
expect "$(find $uppers | sort)" "$before" "the uppers, after a boot without a root hash"
echo "all lives lived"
