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
  sleep 0.1  # file systems keep the time in ticks
  (umask 077 && "$script") 2>/run/hostos-test/said && mount -t overlay -o "$options" overlay /sysroot/etc
}
shut_down() {
  umount /sysroot/etc
  rm -rf /run/hostos-etc/*  # in memory
}

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

# A next-from that names no upper, or anything but one: /etc as the release left it that was started last.
mkdir -p $uppers/../elsewhere/upper
echo elsewhere >$uppers/../elsewhere/upper/motd
boot $A
shut_down
boot $B
shut_down
for from in 0123456789abcdef ../elsewhere ''; do
  echo "$from" >$uppers/next-from
  boot $C
  expect "$(cat /sysroot/etc/motd)" "edited by B" "/etc with next-from '$from'"
  shut_down
  rm -r ${uppers:?}/$C
done
rm $uppers/next-from
boot $A
shut_down
boot $C
expect "$(cat /sysroot/etc/motd)" edited "/etc without next-from"
shut_down

# A release that is armed anew begins anew, once: also when the power goes before it went on. One that the
# rescue puts back has what it had.
boot $C
echo "edited by C" >/sysroot/etc/motd
shut_down
printf '%s\n' $B >$uppers/next-from
boot $C
expect "$(cat /sysroot/etc/motd)" "edited by C" "/etc of a release that was put back"
shut_down
printf '%s\n' $A $B >$uppers/next-from
boot $C
expect "$(cat /sysroot/etc/motd)" "edited by C" "/etc, while another release is armed"
shut_down
for left in nothing "half an upper" "a whole copy" "half a copy"; do
  printf '%s\n' $B $C >$uppers/next-from
  case $left in
    "half an upper") rm $uppers/$C/upper/motd ;;
    "a whole copy") rm -r ${uppers:?}/$C && cp -a $uppers/$B $uppers/$C ;;
    "half a copy") mv $uppers/$C $uppers/$C.new ;;
  esac
  boot $C
  expect "$(cat /sysroot/etc/motd)" "edited by B" "/etc of a release that was armed anew, with $left of it left"
  echo "edited by C again" >/sysroot/etc/motd
  shut_down
  boot $C
  expect "$(cat /sysroot/etc/motd)" "edited by C again" "/etc of it in its second boot"
  shut_down
done
printf '%s\n' 0123456789abcdef $C >$uppers/next-from
boot $C
expect "$(cat /sysroot/etc/motd)" "edited by C again" "/etc of a release that was armed anew, by one without /etc"
shut_down

# Without a root hash there is no telling whose /etc it is: the boot must not go on.
echo 'ro quiet' >/run/hostos-test/cmdline
before=$(find $uppers | sort)
if "$script"; then fail "booted without a root hash"; fi
if mountpoint -q /sysroot/etc; then fail "/etc is mounted without a root hash"; fi
expect "$(find $uppers | sort)" "$before" "the uppers, after a boot without a root hash"

# new_node OPTIONS: with a state partition that has so much room, A has run, and it armed B.
new_node() {
  umount /sysroot/var 2>/dev/null || true
  mount -t tmpfs -o "$1" tmpfs /sysroot/var
  boot $A
  echo edited >/sysroot/etc/motd
  rm -r /sysroot/etc/replaced
  mkdir -p /sysroot/etc/site
  for i in {1..64}; do head -c 8192 /dev/zero >/sysroot/etc/site/$i; done
  shut_down
  printf '%s\n' $A $B >$uppers/next-from
}
# starts_as_A_left_it FREE: with that of `stat -f` free as before.
starts_as_A_left_it() {
  local a_was free
  a_was=$(cd $uppers/$A/upper && find . -ls)
  free=$(stat -f -c "$1" /sysroot/var)
  boot $B
  expect "$(cat /sysroot/etc/motd)" edited "/etc without room for a copy"
  [ ! -e /sysroot/etc/replaced ] || fail "a deleted directory came back without room for a copy"
  expect "$(cat /sysroot/etc/unwanted)" released "the release's own file, without room for a copy"
  expect "$(cd /sysroot/etc/site && echo * | wc -w)" 64 "the files of the operator, without room for a copy"
  grep -q 'in memory only' /run/hostos-test/said || fail "not said: there is no room for a copy"
  expect "$(cd $uppers && echo *)" "$A next-from" "what a copy without room left"
  expect "$(stat -f -c "$1" /sysroot/var)" "$free" "what is free after a copy without room"
  echo "edited in memory" >/sysroot/etc/motd
  expect "$(cat /sysroot/etc/motd)" "edited in memory" "an edit without room for a copy"
  expect "$(cd $uppers/$A/upper && find . -ls)" "$a_was" "the upper that there was no room to copy"
  shut_down
}
# has_its_own: B has a copy, which holds what is written.
has_its_own() {
  boot $B
  expect "$(cat /sysroot/etc/motd)" edited "/etc, when there is room again"
  echo "edited by B" >/sysroot/etc/motd
  shut_down
  boot $B
  expect "$(cat /sysroot/etc/motd)" "edited by B" "an edit, when there was room again"
  [ ! -e $uppers/next-from ] || fail "the word of A is left"
  shut_down
}

# No bytes, then no inodes, for a copy of A's upper: B starts with it all the same, until there is room.
new_node size=1100k
head -c 400000 /dev/zero >/sysroot/var/full
starts_as_A_left_it %f
starts_as_A_left_it %f
rm /sysroot/var/full
has_its_own
new_node nr_inodes=120
starts_as_A_left_it %d
mount -o remount,nr_inodes=200 /sysroot/var
has_its_own

# What was fetched makes room first.
new_node size=1100k
mkdir -p /sysroot/var/lib/hostos-fetch/repo/objects
head -c 400000 /dev/zero >/sysroot/var/lib/hostos-fetch/repo/objects/one
has_its_own
expect "$(ls /sysroot/var/lib/hostos-fetch)" "" "what was fetched"

# No copy for another reason: a state partition that took errors is read-only.
new_node size=4m
mount -o remount,ro /sysroot/var
boot $B
expect "$(cat /sysroot/etc/motd)" edited "/etc on a state partition that is read-only"
shut_down
mount -o remount,rw /sysroot/var
has_its_own

# What should be the directory of the uppers is none.
umount /sysroot/var
mount -t tmpfs tmpfs /sysroot/var
mkdir -p /sysroot/var/lib/hostos
echo damaged >$uppers
boot $A
expect "$(cat /sysroot/etc/motd)" released "/etc without a directory for the uppers"
shut_down

# The first boot of all, and no room for anything.
umount /sysroot/var
mount -t tmpfs -o nr_inodes=2 tmpfs /sysroot/var
boot $A
expect "$(cat /sysroot/etc/motd)" released "/etc of a first boot without room"
echo edited >/sysroot/etc/motd
shut_down
echo "all lives lived"
