// The EFI system partition: what the loader would offer, what fills the partition, and changes to
// EFI/Linux that are on stable storage when they return.
//
// FAT has no journal. A rename that a power cut interrupts can leave both names or neither. Two
// names then share one chain of clusters, and a running kernel cannot separate them. So the ESP
// must be checked before it is mounted (fsck.fat -a, which systemd runs). After the check:
//
// - One of two such names is an empty file, which is no entry for the loader. It is listed under
//   `leftovers`, as is a temporary file. The next Invalidate or Arm removes both; RemoveTemporaries
//   removes the temporary file only.
// - Clusters without a name, from an image that was being written or removed, are files
//   FSCK0000.REC and so on. They are `salvaged`, and RemoveTemporaries removes them.
//
// Names are unique to a release, and no verb ever writes to a file under a name that the loader
// lists.
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
  std::vector<BootEntry> entries;            // in the order the directories list them
  std::vector<std::string> leftovers;        // HostOS's files in EFI/Linux that are no entries
  std::vector<std::string> salvaged;         // "./FSCK0000.REC", made by fsck.fat
  std::vector<std::string> selftest;         // as in BootState
  std::optional<std::string> default_entry;  // "default" of loader/loader.conf
  std::vector<std::string> settings;         // and `files`: as in BootSurface
  std::vector<EspFile> files;
  EspSpace space;
};

class Esp {
 public:
  static Result<Esp> Open(const std::string& path);

  const std::string& path() const { return path_; }
  Result<dev_t> Device() const;

  // `machine` is this machine's PE/COFF type: the loader skips images of another type.
  Result<EspContents> Read(uint16_t machine) const;

  // Fails when the file system is mounted read-only.
  Result<> CheckWritable() const;

  // Files below are named as in BootEntry: in EFI/Linux, unless the name contains a folder. All
  // files of one call are in the same folder.

  // unlink(2); a missing file is no error.
  Result<> Remove(std::span<const std::string> files) const;
  // Never replaces an existing file.
  Result<> Rename(const std::string& from, const std::string& to) const;
  // Makes `file` a copy of the first `size` bytes of `source`: writes it as `temporary`, syncs,
  // reads it back from the medium, compares it with `digest`, then renames it. Only the rename
  // makes it an entry. After an error no temporary is left.
  Result<> Install(const std::string& file, const std::string& temporary, int source, uint64_t size,
                   const Digest& digest) const;
  Result<Digest> Hash(const std::string& file) const;
  // The command line of a boot image; absent when the file is none.
  std::optional<std::string> CommandLine(const std::string& file) const;
  // Installs a Type #1 entry in the same way.
  Result<> InstallType1(const std::string& file, std::string_view text) const;

 private:
  Esp(std::string path, UniqueFd root) : path_(std::move(path)), root_(std::move(root)) {}
  Result<> Write(const std::string& temporary, int source, uint64_t size,
                 const Digest& digest) const;
  Result<> Sync(const std::string& file) const;
  std::string Name(const std::string& file) const;  // the whole path, for messages

  std::string path_;
  UniqueFd root_;
};

}  // namespace hostos
