// A machine with systemd-boot, in memory: two slots, boot entries, a loader that counts and falls
// back by the model in bootctl/loader.h, and the rules of bootctl/rules.h. What a verb changes, it
// changes in durable steps, and power can be cut at any of them; Boot() then finds what was on the
// medium. So a test lives a whole life: arm, boot, fail, fall back, arm again.
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
  // Runs `release`, blessed, from slot A; slot B is "_empty".
  explicit FakeBootControl(const Release& release);

  Result<BootState> Read() override;
  Result<BootSurface> ReadSurface() override;
  Result<Digest> HashEspFile(const std::string& path) override;
  Result<> Invalidate(Slot slot) override;
  Result<> Arm(Slot slot, const Release& release, int uki, uint32_t tries) override;
  Result<> Bless() override;
  Result<> Recount(Slot slot, uint32_t tries) override;
  Result<> Uncount(Slot slot) override;
  Result<Digest> HashImage(Slot slot) override;
  Result<> MarkBad(Slot slot) override;
  Result<> SetRescue(const RescueImage& rescue, int image) override;
  Result<Digest> HashRescue() override;
  Result<> AddSelfTest() override;
  Result<> RemoveSelfTest() override;
  Result<> MakeOwn() override;
  Result<> RemoveTemporaries() override;

  // Power on, or a reboot: loader, kernel and initrd, as often as it takes until a release reaches
  // userspace. Fails when none ever does, or when something that is not HostOS boots.
  Result<Slot> Boot();
  // Entries the last Boot() started, in order; the last one reached userspace.
  const std::vector<std::string>& started() const { return started_; }

  // Does a release reach userspace from a slot? Anything but true is a panic, and a reboot. The
  // default boots everything that `broken` does not name.
  std::function<bool(Slot, const Digest& root_hash)> boots = [this](Slot, const Digest& root_hash) {
    return !broken.contains(root_hash);
  };
  std::set<Digest> broken;
  // Called when a release's initrd has its root: the last thing before userspace.
  std::function<void()> initrd = [] {};

  // Called before each durable step, with its name.
  std::function<void(const char*)> step = [](const char*) {};

  // What power that is cut in a durable step leaves of it. A FAT rename can leave both or neither
  // name; any other step is then lost.
  enum class Cut { kLost, kDone, kBothNames, kNeitherName };
  // Cuts power in the `number`th durable step from now, from 1. Every verb fails until Boot().
  void CutPowerAt(size_t number, Cut cut) {
    cut_at_ = steps_ + number;
    cut_ = cut;
  }
  bool powered() const { return powered_; }
  // Durable steps begun so far: so many cuts there are to try in a verb.
  size_t steps() const { return steps_; }

  // The medium, for a test to arrange or to damage. `esp.free` follows from `esp.size`, what is in
  // `entries`, and `esp.unknown`.
  SlotState slots[2];
  std::vector<BootEntry> entries;
  std::vector<LoaderPreference> preferences;
  std::map<Digest, Digest> images;        // SHA-256 of boot images, by the root hash they boot
  std::map<std::string, Digest> rescues;  // SHA-256 of rescues, by file
  EspSpace esp;
  std::vector<std::string> twins;
  bool own = false;            // the disk has UUIDs of its own
  std::map<std::string, Digest> other_files;  // SHA-256 of files of `surface`, by path
  // The images in `entries` are added to its files.
  BootSurface surface{.files = {},
                      .settings = {"timeout 0", "editor no"},
                      .command_line = "panic=5\n",
                      .image_command_line = "panic=5",
                      .systemd_options = {}};
  std::optional<Slot> kept;    // set: the rescue system runs, until the next Boot()
  bool esp_read_only = false;  // verbs fail, and the loader cannot count
  bool loader_counts = true;   // false: only the loader cannot write

 private:
  // A change on the medium; what is left of it when a rename is torn is the test's choice.
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
  uint64_t temporary_bytes_ = 0;  // left of an image that was being written
  std::vector<std::string> started_;

  bool powered_ = true;
  size_t steps_ = 0;
  size_t cut_at_ = 0;
  Cut cut_ = Cut::kLost;
};

}  // namespace hostos
