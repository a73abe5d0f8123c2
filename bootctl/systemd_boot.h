// BootControl for systemd-boot. Slots come from the GPT, boot entries from the ESP, the loader's
// doings from EFI variables, what runs from sysfs and the kernel command line. Every path is
// injected, so the same class works on a machine, on a disk image and in tests.
//
// Evidence is cross-checked, never guessed: when the device under "/", the partition table, the
// command line and the loader contradict each other, Read fails with a message that names both
// sides.
#pragma once

#include <string>

#include "bootctl/boot_control.h"

namespace hostos {

struct SystemdBootOptions {
  std::string esp = "/efi";  // where the ESP is mounted
  std::string efivars = "/sys/firmware/efi/efivars";
  std::string sys = "/sys";
  std::string command_line = "/proc/cmdline";
  std::string root = "/";  // where the running slot is mounted
  std::string run = "/run/hostos";
  std::string dev = "/dev";
  // An image file or device to use instead of the disk "/" is on. Its partitions are then files
  // beside it, named as fdisk_partname(3) does ("disk.img2"), and it is not checked where the ESP
  // is mounted from.
  std::string disk;
  // Set in the rescue system: the slot that it makes boot again.
  std::optional<Slot> rescues;
};

class SystemdBoot : public BootControl {
 public:
  explicit SystemdBoot(SystemdBootOptions options = {}) : options_(std::move(options)) {}

  Result<BootState> Read() override;
  Result<BootSurface> ReadSurface() override;
  Result<Digest> HashEspFile(const std::string& path) override;
  Result<> Invalidate(Slot slot) override;
  Result<> Arm(Slot slot, const Release& release, int uki, uint32_t tries) override;
  Result<> MarkGood() override;
  Result<> MarkIndeterminate(Slot slot, uint32_t tries) override;
  Result<> MarkGoodIfUntried(Slot slot) override;
  Result<Digest> HashImage(Slot slot) override;
  Result<> MarkBad(Slot slot) override;
  Result<> SetRescue(const RescueImage& rescue, int image) override;
  Result<Digest> HashRescue() override;
  Result<> AddSelfTest() override;
  Result<> RemoveSelfTest() override;
  Result<> MakeOwn() override;
  Result<> RemoveTemporaries() override;

 private:
  struct View;
  Result<View> Look() const;
  Result<std::string> DiskName(const std::optional<struct VerityNodes>& running,
                               const class Esp& esp) const;
  Result<> ReadLoader(View& view) const;
  Result<> CheckRunning(const View& view) const;
  Result<> CheckMounted(const View& view) const;
  Result<> SetIdentity(const View& view, Slot slot, const struct SlotIdentity& identity) const;
  Result<> RenameTo(const View& view, const Digest& root_hash, std::optional<Tries> tries) const;

  const SystemdBootOptions options_;
};

}  // namespace hostos
