#!/bin/bash
# The part of the initrd that is HostOS's own: the drivers that reach the disk, and two mounts below
# /sysroot before the root is switched: /var from the state partition, and the overlay on /etc. The
# rest is systemd's: no dracut scripts run at boot.

check() { return 0; }

depends() { echo dash systemd-initrd systemd-veritysetup; }

installkernel() {
  # The file systems of the root and the state partition, and what finds and reads them.
  hostonly='' instmods erofs overlay ext4 dm-verity autofs4 efivarfs efi-pstore qemu_fw_cfg \
    crc32c_generic crc32c-intel sha256-ssse3
  # Disks: emulated and paravirtual ones, NVMe, SATA, and those of the big clouds.
  hostonly='' instmods virtio_pci virtio_mmio virtio_blk virtio_scsi nvme vmd ahci ata_piix ata_generic \
    sd_mod hv_storvsc vmw_pvscsi xen-blkfront xen-scsifront
  # Only in some kernels, and hardly in Debian's for clouds: eMMC and SD, USB, RAID and SAS
  # controllers.
  hostonly='' instmods mmc_block sdhci_pci sdhci_acpi rtsx_pci_sdmmc \
    xhci_pci ehci_pci usb_storage uas \
    aacraid arcmsr hpsa isci megaraid_sas mpi3mr mpt3sas mptsas mptspi mvsas pm80xx smartpqi
  hostonly='' instmods '=drivers/watchdog'
}

# shellcheck disable=SC2154  # initdir, moddir, systemdsystemunitdir and SYSTEMCTL are dracut's
install() {
  local script unit
  mkdir -p "$initdir/sysroot" "$initdir/usr/lib/hostos"
  inst_multiple chmod cp echo fsck e2fsck fsck.ext4 kmod ln mkdir modprobe mount mv od readlink rm sync tr umount \
    /usr/lib/udev/rules.d/61-hostos.rules
  inst_simple "$moddir/initrd-release" /usr/lib/initrd-release
  ln -sf ../usr/lib/initrd-release "$initdir/etc/initrd-release"
  ln -sf ../usr/lib/initrd-release "$initdir/etc/os-release"

  for script in choose-disk open-root prepare-etc; do
    inst_script "$moddir/$script" "/usr/lib/hostos/$script"
  done
  inst_simple "$moddir/open-root.conf" "$systemdsystemunitdir/systemd-veritysetup@root.service.d/10-hostos.conf"
  for unit in sysroot-var.mount sysroot-etc.mount hostos-etc.service hostos-emergency.service; do
    inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
  done
  ln -sfn hostos-emergency.service "$initdir$systemdsystemunitdir/emergency.service"
  $SYSTEMCTL -q --root "$initdir" add-requires initrd-fs.target sysroot-var.mount sysroot-etc.mount ||
    exit 1  # dracut goes on after an error
  inst_multiple "$systemdsystemunitdir"/{modprobe@.service,hostos-.service.d/10-sandbox.conf} \
    "$systemdsystemunitdir"/hostos-trial-deadline.{service,timer}
  # Also ends a trial that hangs in the initrd. A kernel that panics leaves its last lines in the
  # firmware's variables.
  $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target hostos-trial-deadline.timer \
    modprobe@efi_pstore.service || exit 1
  ln_r "$systemdsystemunitdir/initrd.target" "$systemdsystemunitdir/default.target"
}
