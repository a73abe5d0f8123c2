#!/bin/bash
# rescue_setup_test.sh DIRECTORY: what /etc of the rescue becomes, with the scripts in DIRECTORY as the rescue runs
# them, from what a node has in /var. Run it in a mount namespace of its own.
set -euo pipefail

scripts=$1
readonly A=aaaaaaaaaaaaaaaa B=bbbbbbbbbbbbbbbb C=cccccccccccccccc
readonly uppers=/var/lib/hostos/etc

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
expect() { [ "$1" = "$2" ] || fail "$3: expected '$2', found '$1'"; }

# start RELEASE: its overlay is mounted as the initrd mounts it. Edits go to /run/etc.
start() {
  sleep 0.1  # file systems keep the time in ticks
  mkdir -p $uppers/"$1"/{upper,work}
  mount -t overlay overlay -o "lowerdir=/run/released,upperdir=$uppers/$1/upper,workdir=$uppers/$1/work" /run/etc
}
edit() { mkdir -p "$(dirname "/run/etc/$1")" && echo "$2" >"/run/etc/$1"; }
shut_down() { umount /run/etc; }

# rescue: /etc as the rescue brings it, and what the scripts make of it.
rescue() {
  if mountpoint -q /etc; then umount /etc; fi
  mount -t tmpfs tmpfs /etc
  mkdir -p /etc/hostctl/keys.d /etc/systemd/network
  echo shipped >/etc/hostctl/keys.d/shipped.pub
  : >/etc/machine-id
  "$scripts/rescue-var" >/run/said
  "$scripts/rescue-setup" >>/run/said
}

mount --make-rprivate / 2>/dev/null || true
mount -t tmpfs tmpfs /run
mkdir /run/bin /run/etc /run/released /run/credentials
printf '#!/bin/sh\necho "udevadm $*"\n' >/run/bin/udevadm
# Here everything is in one namespace.
printf '#!/bin/sh\n[ "$1 $2 $3" = "--target 1 --mount" ] && shift 3 && exec "$@"\n' >/run/bin/nsenter
chmod +x /run/bin/*
PATH=/run/bin:$PATH
echo 'from the credential' >/run/credentials/hostctl.config
export CREDENTIALS_DIRECTORY=/run/credentials

# The state partition was mounted; no release was ever started.
mount -t tmpfs tmpfs /var
rescue
expect "$(cat /etc/hostctl/hostctl.toml)" "from the credential" "the configuration of a new node"
expect "$(stat -c %a /etc/hostctl/hostctl.toml)" 600 "the mode of the configuration"
expect "$(stat -c %a /var/lib/hostos)" 700 "the mode of /var/lib/hostos"
grep -q 'udevadm trigger' /run/said || fail "the network cards were not looked at again"

# The operator's own comes over what is shipped, and over the credential.
start $A
edit hostctl/hostctl.toml "of A"
edit hostctl/keys.d/own.pub own
edit systemd/network/10-own.network own
edit machine-id 0123456789abcdef0123456789abcdef
edit motd own
shut_down
rescue
expect "$(cat /etc/hostctl/hostctl.toml)" "of A" "the operator's configuration"
expect "$(cd /etc/hostctl/keys.d && echo *)" "own.pub shipped.pub" "the keys"
expect "$(cat /etc/systemd/network/10-own.network)" own "the operator's network"
expect "$(cat /etc/machine-id)" 0123456789abcdef0123456789abcdef "the machine ID"
[ ! -e /etc/motd ] || fail "what the rescue does not need was taken"

# The release that was started last counts, not the one that was new last; half a copy counts never.
start $B
edit hostctl/hostctl.toml "of B"
shut_down
rescue
expect "$(cat /etc/hostctl/hostctl.toml)" "of B" "the configuration, after an update"
start $A
shut_down
sleep 0.1
mkdir -p $uppers/$C.new/{upper/hostctl,work}
rescue
expect "$(cat /etc/hostctl/hostctl.toml)" "of A" "the configuration, after a rollback"

# Without the state partition there is a /var all the same.
umount /var
rescue
mountpoint -q /var || fail "no /var without the state partition"
expect "$(cat /etc/hostctl/hostctl.toml)" "from the credential" "the configuration without the state partition"
expect "$(head -n 1 /run/said)" "hostos-rescue: the state partition cannot be mounted: going on without it" "what is said"

# A state partition that is full, or turned read-only, is read all the same; what is written is in memory.
umount /var
mount -t tmpfs -o size=1M tmpfs /var
start $A
edit hostctl/hostctl.toml "of A"
shut_down
mkdir -p /run/hostos
for damage in read-only full; do
  case $damage in
    read-only) mount -o remount,ro /var ;;
    full) mount -o remount,rw /var; dd if=/dev/zero of=/var/filler bs=4k 2>/dev/null || : ;;
  esac
  rescue
  expect "$(head -n 1 /run/said)" \
    "hostos-rescue: the state partition cannot be written: what it has is read, what changes is forgotten" "what is said"
  expect "$(cat /etc/hostctl/hostctl.toml)" "of A" "the configuration of a state partition that is $damage"
  echo 1 >/var/lib/hostos/record.json || fail "a state partition that is $damage stays so"
  "$scripts/rescue-var" >/run/said
  [ ! -s /run/said ] || fail "it is made twice"
  umount /var /run/hostos-var
  [ ! -e /var/lib/hostos/record.json ] || fail "it was written"
done
rm -f /var/filler
: >/run/hostos/no-room  # as rescue leaves it
rescue
mountpoint -q /run/hostos-var || fail "the next try is not in memory"
umount /var /run/hostos-var
rm /run/hostos/no-room

# What is no directory makes way.
rm -rf /var/lib/hostos
: >/var/lib/hostos
rescue
[ -d /var/lib/hostos ] || fail "no place for the state"
expect "$(cat /etc/hostctl/hostctl.toml)" "from the credential" "the configuration without a state"
echo "all nodes rescued"
