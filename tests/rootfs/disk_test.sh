#!/bin/bash
# disk_test.sh DIRECTORY: which disk the initrd takes for this node's, with the scripts in DIRECTORY as the initrd has
# them, from the links of udev's rule, the loader's variable and the state partitions' superblocks. Run it in a mount
# namespace of its own.
set -euo pipefail

scripts=$1
readonly by_disk=/dev/hostos/by-disk
readonly ESP=11111111-aaaa-4333-8444-555555555555 DATA=01234567-89ab-cdef-0123-456789abcdef
readonly VERITY=fedcba98-7654-3210-fedc-ba9876543210

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
expect() { [ "$1" = "$2" ] || fail "$3: expected '$2', found '$1'"; }

# loader UUID: what the loader says it was started from. Attributes, then UTF-16.
readonly efivars=/sys/firmware/efi/efivars
loader() {
  mkdir -p $efivars
  { printf '\6\0\0\0'; sed 's/./&\n/g' <<<"$1" | while read -r c; do [ -z "$c" ] || printf '%s\0' "$c"; done
    printf '\0\0'; } >$efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f
}

# disk NAME MOUNTED [ESP]: a disk with the release, whose state was mounted at this time.
disk() {
  rm -rf "${by_disk:?}/$1"
  mkdir -p "$by_disk/$1"
  truncate -s 4096 /dev/"$1"6
  printf "$(printf '\\%03o' $(($2 & 255)) $(($2 >> 8 & 255)) $(($2 >> 16 & 255)) $(($2 >> 24)))" |
    dd of=/dev/"$1"6 bs=1 seek=1068 conv=notrunc status=none
  printf '\123\357' | dd of=/dev/"$1"6 bs=1 seek=1080 conv=notrunc status=none
  for link in "1 ${3:-$ESP}" "1 esp" "2 $DATA" "3 $VERITY" "6 state"; do
    : >>/dev/"$1${link% *}"
    ln -sfn "/dev/$1${link% *}" "$by_disk/$1/${link#* }"
  done
}

# chosen ARGUMENT...: what choose-disk prints, or "none"; what it says is in /run/said.
chosen() {
  rm -rf /run/hostos /run/called
  "$scripts/choose-disk" "$@" 2>/run/said || echo none
}
forget() { rm -rf $by_disk $efivars; mkdir -p $by_disk; }

mount --make-rprivate / 2>/dev/null || true
mount -t tmpfs tmpfs /run
mkdir /run/bin
mount -t tmpfs tmpfs /sys/firmware
mount -t tmpfs tmpfs /dev
mknod -m 666 /dev/null c 1 3
# Where a slow disk is the subject, it appears while udev is waited for.
cat >/run/bin/udevadm <<'FAKE'
#!/bin/sh
echo "$*" >>/run/called
case $1 in
  wait) [ -e "$3" ] || [ "$3" != "${3#/dev/disk}" ] ;;
  settle) if [ -e /run/slow ]; then mv /run/slow "/dev/hostos/by-disk/$(cat /run/slow-name)"; fi ;;
esac
FAKE
chmod +x /run/bin/udevadm
PATH=/run/bin:$PATH

# One disk, which nobody lived on: it is taken, and mounted by its names.
forget
disk vda 0
loader $ESP
expect "$(chosen $DATA $VERITY)" vda "the disk of a first boot"
expect "$(ls /run/hostos/disk)" vda "the disk that udev's rule is told"
expect "$(cat /run/said)" "" "what is said of one disk"
grep -qx "trigger --action=change $by_disk/vda/esp" /run/called || fail "udev was not asked for the ESP"
grep -qx "trigger --action=change $by_disk/vda/state" /run/called || fail "udev was not asked for the state"
grep -q settle /run/called || fail "a first boot did not wait for slow disks"

# One that somebody lived on waits for nothing.
disk vda 1700000000
expect "$(chosen $DATA $VERITY)" vda "the disk of a later boot"
if grep -q settle /run/called; then fail "a boot that knows its disk waited for others"; fi

# A second one of the same image, fresh: the one lived on stays, whatever they are called.
disk sda 0
expect "$(chosen $DATA $VERITY)" vda "the disk beside a fresh twin"
grep -q 'disks with the same partitions: sda vda. Going on with vda' /run/said || fail "the twin was not told: $(cat /run/said)"
disk sda 1700000001
expect "$(chosen $DATA $VERITY)" sda "of two that were lived on, the last"
# Nor does it matter that the fresh one is faster.
mv $by_disk/sda /run/slow
echo sda >/run/slow-name
disk vda 0
expect "$(chosen $DATA $VERITY)" sda "a slow disk that was lived on, beside a fast fresh one"

# The loader's own disk comes first: also in capitals, as other versions write it.
disk vda 1800000000 22222222-aaaa-4333-8444-555555555555
expect "$(chosen $DATA $VERITY)" sda "the loader's disk, beside one mounted later"
loader ${ESP^^}
expect "$(chosen $DATA $VERITY)" sda "the loader's disk, in capitals"
# A loader that was started from elsewhere, or a machine without EFI variables, decides nothing.
loader 33333333-aaaa-4333-8444-555555555555
expect "$(chosen $DATA $VERITY)" vda "the disk, with a loader from elsewhere"
rm -r $efivars
expect "$(chosen $DATA $VERITY)" vda "the disk, without EFI variables"

# Of two copies, the firmware's disk comes first, by the PCI devices of its boot option: beside one mounted later, and
# when it is slower.
started_by() {
  local guid=8be4df61-93ca-11d2-aa0d-00e098032b8c
  mkdir -p $efivars
  printf '\7\0\0\0\12\0' >$efivars/BootCurrent-$guid
  # PciRoot(0x0)/Pci(0x1c,0x3)/Pci(0x0,0x0), then what is behind the last bridge.
  { printf '\7\0\0\0\1\0\0\0\50\0d\0i\0s\0k\0\0\0'
    printf '\2\1\14\0\320\101\3\12\0\0\0\0\1\1\6\0\3\34\1\1\6\0\0\0\3\27\20\0\1\0\0\0\0\0\0\0\0\0\0\0\177\377\4\0'
  } >$efivars/Boot000A-$guid
}
mount -t tmpfs tmpfs /sys/class/block
mount -t tmpfs tmpfs /sys/devices
for place in "sda pci0000:00/0000:00:1f.2/ata1/block/sda" "vda pci0000:00/0000:00:1c.3/0000:02:00.0/nvme/block/vda"; do
  mkdir -p "/sys/devices/${place#* }"
  ln -s "/sys/devices/${place#* }" "/sys/class/block/${place% *}"
done
loader $ESP
disk sda 1800000000
disk vda 0
expect "$(chosen $DATA $VERITY)" sda "the disk mounted last, with a firmware that does not say what it started"
started_by
expect "$(chosen $DATA $VERITY)" vda "the firmware's disk, beside a copy that was mounted later"
mv $by_disk/vda /run/slow
echo vda >/run/slow-name
expect "$(chosen $DATA $VERITY)" vda "the firmware's disk, when it is slower than a copy"
rm -r $efivars
disk sda 1700000001
disk vda 1800000000 22222222-aaaa-4333-8444-555555555555

# Never a root from two disks; a state partition that is no ext4 was never mounted.
rm $by_disk/sda/$DATA
expect "$(chosen $DATA $VERITY)" vda "the disk that has both partitions"
rm $by_disk/vda/$VERITY
expect "$(chosen $DATA $VERITY)" none "a root whose partitions are on two disks"
grep -q 'no disk has all of these partitions' /run/said || fail "why there is no root was not told: $(cat /run/said)"
[ ! -e /run/hostos/disk ] || fail "udev's rule was told a disk without a root"
expect "$(chosen esp)" vda "the rescue's disk"
printf '\0\0' | dd of=/dev/vda6 bs=1 seek=1080 conv=notrunc status=none
expect "$(chosen esp)" sda "the rescue's disk, with a state partition that is damaged on the other"

# The root that is opened: both of its partitions by the disk's own names, with the options of the command line.
forget
disk vda 1700000000
hash=$(tr -d - <<<$DATA$VERITY)
printf 'root=/dev/mapper/root roothash=%s ro systemd.verity_root_options=panic-on-corruption quiet\n' "$hash" >/run/cmdline
mount --bind /run/cmdline /proc/cmdline
mount -t tmpfs tmpfs /usr/lib/systemd
printf '#!/bin/sh\necho "$*"\n' >/usr/lib/systemd/systemd-veritysetup
chmod +x /usr/lib/systemd/systemd-veritysetup
expect "$("$scripts/open-root")" \
  "attach root $by_disk/vda/$DATA $by_disk/vda/$VERITY $hash panic-on-corruption" "the root"
echo "all disks found"
