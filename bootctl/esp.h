// The EFI system partition: what the loader would offer, what fills the partition, and changes to
// EFI/Linux that are on stable storage when they return.
//
// FAT has no journal. A rename that power cuts short can leave both names or neither, and two names
// then share one chain of clusters, which no running kernel can take apart. So the ESP must be
// checked before it is mounted (fsck.fat -a, which systemd does): afterwards one of two such names
// is an empty file, no entry for the loader, listed under `leftovers` and removed by the next
// Invalidate or Arm, as is a temporary file, which RemoveTemporaries removes too. That check also
// makes files, FSCK0000.REC and so on, of clusters that belong to no name: those of an image that
// was being written or removed. They are `salvaged`, and RemoveTemporaries removes them. Names are
// unique to a release, and no verb ever writes to a file under a name that the loader lists.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bootctl/boot_control.h"
#include "updater/base/unique_fd.h"

namespace hostos {

struct EspContents {
  std::vector<BootEntry> entries;            // in the order of the directories
  std::vector<std::string> leftovers;        // files of ours in EFI/Linux that are no entries
  std::vector<std::string> salvaged;         // "./FSCK0000.REC", by fsck.fat
  std::vector<std::string> selftest;         // as in BootState
  std::optional<std::string> default_entry;  // "default" of loader/loader.conf
  std::vector<std::string> settings;         // all of it, and the files: as in BootSurface
  std::vector<EspFile> files;
  EspSpace space;
};

class Esp {
 public:
  static Result<Esp> Open(const std::string& path);

  const std::string& path() const { return path_; }
  Result<dev_t> Device() const;

  // `machine` is the PE/COFF type of this machine: the loader skips images of another.
  Result<EspContents> Read(uint16_t machine) const;

  // Fails when the file system is mounted read-only.
  Result<> CheckWritable() const;

  // The files below are named as in BootEntry: in EFI/Linux unless there is a folder in the name.
  // Those of one call are in one folder.

  // unlink(2); an absent file is a success.
  Result<> Remove(std::span<const std::string> files) const;
  // Refuses to replace a file.
  Result<> Rename(const std::string& from, const std::string& to) const;
  // Makes `file` a copy of the first `size` bytes of `source`: written as `temporary`, synced, read
  // back from the medium and compared with `digest`, then renamed. Only the rename makes it an
  // entry. After an error there is no temporary.
  Result<> Install(const std::string& file, const std::string& temporary, int source, uint64_t size,
                   const Digest& digest) const;
  Result<Digest> Hash(const std::string& file) const;
  // Of a boot image; absent when it is none.
  std::optional<std::string> CommandLine(const std::string& file) const;
  // Makes a Type #1 entry in the same way.
  Result<> InstallType1(const std::string& file, std::string_view text) const;

 private:
  Esp(std::string path, UniqueFd root) : path_(std::move(path)), root_(std::move(root)) {}
  Result<> Write(const std::string& temporary, int source, uint64_t size,
                 const Digest& digest) const;
  Result<> Sync(const std::string& file) const;
  std::string Name(const std::string& file) const;  // its whole path, for messages

  std::string path_;
  UniqueFd root_;
};

// SHA-256 of the first `size` bytes of a file; kFailed when it is shorter.
Result<Digest> HashFile(int fd, uint64_t size);

}  // namespace hostos
