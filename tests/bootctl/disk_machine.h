// A machine on files for SystemdBoot: a GPT image made by sfdisk, a directory for its ESP, and
// sysfs, kernel command line and EFI variables as a boot leaves them. Boot() does to these files
// what firmware and loader do.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bootctl/systemd_boot.h"
#include "tests/shell.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {

struct TestImage {
  // One of the images made at build time, by version; its root hash is the SHA-256 of the version.
  explicit TestImage(const std::string& version);
  // The image of any release.
  TestImage(std::string file, Release its)
      : path(std::move(file)), fd(Open(path, O_RDONLY).value()), release(std::move(its)) {}

  // Of "rescue" and "rescue-2", a newer one.
  RescueImage rescue() const { return {release.uki_digest, release.uki_size}; }

  std::string path;
  UniqueFd fd;
  Release release;
};

// An EFI variable of the loader: attributes, UTF-16LE, NUL. Absent text removes it.
void WriteVariable(const std::string& directory, const std::string& name,
                   const std::optional<std::string>& text);

// Of a slot's two partitions, in MiB.
struct SlotSize {
  uint64_t data = 2;
  uint64_t verity = 1;
};

class DiskMachine {
 public:
  // Runs `release`, blessed, from slot A; slot B is "_empty". The partitions' own files are not
  // made.
  explicit DiskMachine(const TestImage& running, const SlotSize& size = {});
  // Another one, with a copy of all its files.
  DiskMachine(const DiskMachine& other);

  // The paths of a machine in `directory`, for a program that works on it.
  static SystemdBootOptions OptionsIn(const std::string& directory);
  const std::string& directory() const { return directory_.path(); }

  SystemdBoot& boot() { return boot_; }
  // Also while the rescue system runs.
  Result<BootState> Look() const;
  const SystemdBootOptions& options() const { return options_; }
  std::string disk() const { return options_.disk; }
  std::string operator/(const std::string& name) const { return directory_ / name; }

  // File names in EFI/Linux, sorted.
  std::vector<std::string> Files() const;
  std::string LinuxPath(const std::string& file) const {
    return options_.esp + "/EFI/Linux/" + file;
  }

  Result<Slot> Boot();
  std::set<Digest> broken;  // root hashes that never reach userspace
  // What a boot of the slot leaves in sysfs and on the command line.
  void SetRunning(Slot slot, const Digest& root_hash);
  // What a boot of the rescue system leaves on the command line.
  void SetRescue();

 private:
  void MakeDisk(const Release& running, const SlotSize& size);
  // A partition in sysfs, and its place among the slaves of the device under "/".
  void AddSlave(const std::string& device, int number);

  TempDir directory_;
  SystemdBootOptions options_;
  SystemdBoot boot_;
};

}  // namespace hostos
