// Reads image.toml: all that makes a release of one's own, and the disks of it. Strict: whatever it
// does not know, or what does not fit, is an error with file and line. docs/image-toml.md lists the
// keys.
//
// `include` names files that are read first; what the including file says wins, and lists add up.
// What goes into the image lies below the folder of the file that names it: neither `..` nor a link
// leads out. The repository, secret keys and what a build keeps may be anywhere.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "images/disk.h"
#include "updater/base/result.h"
#include "updater/release/signature.h"

namespace hostos {

// One value of a list, and where it stands: "image.toml:12".
struct Placed {
  std::string value;
  std::string place;
};

// A file, or a folder with all that is in it, for the image.
struct LaidFiles {
  std::string source;
  std::string path;            // in the image
  std::optional<mode_t> mode;  // of a file; absent: 0644, or 0755 if the source can be run
  uint32_t uid = 0, gid = 0;
  std::string place;
};

struct ImageFile {
  std::string file;  // the one that was asked for
  // [release]
  std::string version, channel = "stable", product = "hostos", after;
  bool preview = false, compressed_initrd = false;
  std::map<std::string, std::string> os_release;  // by its names there: VENDOR_NAME
  // [packages]
  std::string package_list;  // empty: rootfs/packages
  std::vector<Placed> added, removed;
  bool suite_updates = true, test_profile = false;
  std::string mirror;
  // [[files]], in order: a later one replaces an earlier one
  std::vector<LaidFiles> files;
  // [units]
  std::vector<Placed> enabled, disabled;
  // [kernel]
  std::vector<std::string> kernel_arguments;
  // [node] and [credentials]
  Credentials credentials;
  // [disk]
  std::vector<std::string> formats;
  DiskOptions disk;
  // [trust]
  std::vector<std::string> keys;  // directories of *.pub
  std::string root;               // empty: the oldest of the repository
  std::vector<std::string> commit_keys, role_keys;
  SignatureRule signatures;
  // [repo] and [build]
  std::string repo, output, cache, installed;
};

// `changes` are "release.version=1.0.1": a key in its section and its value, read after everything
// else. kUsage for whatever is wrong.
Result<ImageFile> LoadImageFile(const std::string& file, const std::vector<std::string>& changes);

}  // namespace hostos
