#!/bin/bash
# The rescue: the system that the loader starts when no release can start. This initrd is its root.
# It mounts the state partition and the ESP, asks for an address, and runs `hostctl rescue`, which
# rootfs/build adds along with the release's other parts. Nobody can log in.

check() { return 0; }

depends() { echo dash systemd-udevd systemd-journald; }

installkernel() {
  # Disks and watchdogs, as in a release.
  # shellcheck source=rootfs/dracut/90hostos/module-setup.sh disable=SC2154 # moddir is dracut's
  (. "$moddir/../90hostos/module-setup.sh" && installkernel)
  # For the slots and the ESP. Network cards: the clouds', paravirtual ones, and Ethernet, also over
  # USB, with the drivers of their PHYs.
  hostonly='' instmods loop vfat nls_ascii nls_cp437 virtio_net hv_netvsc vmxnet3 xen-netfront \
    '=drivers/net/ethernet' '=drivers/net/phy' '=drivers/net/usb'
}

# shellcheck disable=SC2154  # initdir, moddir, systemdutildir, systemdsystemunitdir and SYSTEMCTL are dracut's
install() {
  local script unit
  mkdir -p "$initdir"/{efi,root,tmp,var}
  inst_multiple chmod cp e2fsck fsck fsck.ext4 fsck.fat fsck.vfat kmod mkdir modprobe mount mountpoint nsenter od readlink rm tr \
    umount /usr/lib/udev/rules.d/61-hostos.rules
  inst_multiple "$systemdutildir"/systemd-{network-generator,networkd,resolved} \
    "$systemdsystemunitdir"/systemd-{network-generator,networkd,resolved}.service \
    "$systemdsystemunitdir"/{modprobe@.service,systemd-networkd.socket,hostos-.service.d/10-sandbox.conf}
  for table in passwd group; do
    grep -E '^(systemd-resolve|hostos-fetch):' "/etc/$table" >>"$initdir/etc/$table"
  done

  for script in rescue{,-disk,-setup,-slots,-var}; do
    inst_script "$moddir/$script" "/usr/lib/hostos/$script"
  done
  inst_script "$moddir/../90hostos/choose-disk" /usr/lib/hostos/choose-disk
  inst_simple "$moddir/journald.conf" "$systemdutildir/journald.conf.d/hostos-rescue.conf"
  inst_simple "$moddir/fetch.conf" "$systemdsystemunitdir/hostos-fetch@.service.d/20-rescue.conf"
  sed 's/this release does not reach its root/the rescue cannot go on/' \
    "$moddir/../90hostos/hostos-emergency.service" >"$initdir$systemdsystemunitdir/hostos-emergency.service"
  ln -sfn hostos-emergency.service "$initdir$systemdsystemunitdir/emergency.service"
  for unit in var.mount hostos-rescue{,-choose-disk,-credentials,-setup}.service hostos-rescue.target; do
    inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
  done
  $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target hostos-rescue-credentials.service \
    systemd-{network-generator,resolved}.service || exit 1  # dracut goes on after an error
  # Wanted, not required: the rescue works without the state partition.
  $SYSTEMCTL -q --root "$initdir" add-wants local-fs.target var.mount \
    hostos-rescue-{choose-disk,setup}.service || exit 1
  ln_r "$systemdsystemunitdir/hostos-rescue.target" "$systemdsystemunitdir/default.target"
}
