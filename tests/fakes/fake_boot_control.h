// A machine with systemd-boot, in memory: two slots, boot entries, a loader that counts and falls
// back by the model in bootctl/loader.h, and the rules of bootctl/rules.h. Verbs change the medium
// in durable steps. Power can be cut at any of them; Boot() then finds what was on the medium. So a
// test can live a whole life: arm, boot, fail, fall back, arm again.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bootctl/boot_control.h"

namespace hostos {

class FakeBootControl : public BootControl {
 public:
  // Starts with `release` running, blessed, from slot A. Slot B is "_empty".
  explicit FakeBootControl(const Release& release);

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

  // Powers on or reboots: loader, kernel and initrd, as often as it takes until a release reaches
  // userspace. Fails when none ever does, or when something other than HostOS boots.
  Result<Slot> Boot();
  // The entries that the last Boot() started, in order. The last one reached userspace.
  const std::vector<std::string>& started() const { return started_; }

  // Whether a release reaches userspace from a slot. Otherwise the kernel panics, and the machine
  // reboots. By default everything boots that is not in `broken`.
  std::function<bool(Slot, const Digest& root_hash)> boots = [this](Slot, const Digest& root_hash) {
    return !broken.contains(root_hash);
  };
  std::set<Digest> broken;
  // Called when the initrd has mounted the release's root: the last thing before userspace.
  std::function<void()> initrd = [] {};

  // Called before each durable step, with its name.
  std::function<void(const char*)> step = [](const char*) {};

  // What a power cut in a durable step leaves. A FAT rename can leave both names or neither; for
  // every other step these count as lost.
  enum class Cut { kLost, kDone, kBothNames, kNeitherName };
  // Cuts power in the `number`th durable step from now, counted from 1. Every verb then fails until
  // Boot().
  void CutPowerAt(size_t number, Cut cut) {
    cut_at_ = steps_ + number;
    cut_ = cut;
  }
  bool powered() const { return powered_; }
  // Durable steps begun so far. The difference over a verb is the number of cuts to try in it.
  size_t steps() const { return steps_; }

  // The medium, for a test to set up or damage. `esp.free` follows from `esp.size`, `entries` and
  // `esp.unknown`.
  SlotState slots[2];
  std::vector<BootEntry> entries;
  std::vector<LoaderPreference> preferences;
  std::map<Digest, Digest> images;        // SHA-256 of boot images, by the root hash they boot
  std::map<std::string, Digest> rescues;  // SHA-256 of rescues, by file
  EspSpace esp;
  std::vector<std::string> twins;
  bool own = false;                           // the disk has its own UUIDs
  std::map<std::string, Digest> other_files;  // SHA-256 of the files in `surface`, by path
  // The images in `entries` are added to `files`.
  BootSurface surface{.files = {},
                      .settings = {"timeout 0", "editor no"},
                      .command_line = "panic=5\n",
                      .image_command_line = "panic=5",
                      .systemd_options = {}};
  std::optional<Slot> rescued;  // set: the rescue system runs for this slot, until the next Boot()
  bool esp_read_only = false;   // verbs fail, and the loader cannot count
  bool loader_counts = true;    // false: only the loader cannot write

 private:
  // A change on the medium, and what it leaves when a rename is torn; the test chooses which.
  struct Change {
    std::function<void()> all;
    std::function<void()> both_names = [] {};
    std::function<void()> neither_name = [] {};
  };
  Result<> Durably(const char* name, const Change& change);
  Result<> Remove(const std::vector<std::string>& files);
  Result<> Rename(const std::string& from, BootEntry to);
  Result<> RenameTo(const Digest& root_hash, std::optional<Tries> tries);
  Result<> CheckEsp() const;
  Result<BootState> Look() const;

  Slot running_ = Slot::A;
  Digest running_root_hash_;
  std::string booted_id_;
  uint64_t temporary_bytes_ = 0;  // of an image whose write was cut off
  std::vector<std::string> started_;

  bool powered_ = true;
  size_t steps_ = 0;
  size_t cut_at_ = 0;
  Cut cut_ = Cut::kLost;
};

}  // namespace hostos
