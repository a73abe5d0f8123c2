#!/bin/bash
# The part of the initrd that is HostOS's own: /var from the state partition and the overlay on /etc,
# both below /sysroot before the root is switched.

check() { return 0; }

depends() { echo systemd-initrd systemd-veritysetup fs-lib; }

installkernel() {
  hostonly='' instmods erofs overlay ext4 dm-verity qemu_fw_cfg
}

install() {
  inst_multiple cat chmod cp mkdir mount mv rm sync
  # shellcheck disable=SC2154  # moddir, initdir and the others are dracut's
  inst_script "$moddir/mount-etc" /usr/lib/hostos/mount-etc
  local unit
  for unit in sysroot-var.mount hostos-etc.service; do
    # shellcheck disable=SC2154
    inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
    # shellcheck disable=SC2154
    $SYSTEMCTL -q --root "$initdir" add-requires initrd-fs.target "$unit"
  done
}
