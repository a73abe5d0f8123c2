// The files of an archive repository on this machine: in its directory, or in a bundle, one file
// that carries them where no network goes. Trusted no more than a server.
//
// A bundle is a POSIX ustar archive (IEEE Std 1003.1, pax, "ustar Interchange Format") of regular
// files only, each name once, named as in the repository: "metadata/2.root.json",
// "objects/ab/cd....filez". Names are looked up and never become paths.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/base/unique_fd.h"
#include "updater/source/commit.h"
#include "updater/tuf/client.h"

namespace hostos {

class Archive : public tuf::Fetcher {
 public:
  // kNotTrusted says at which byte a file is not a bundle.
  static Result<Archive> Open(const std::string& path);

  struct File {
    UniqueFd fd;  // at the start of the content
    uint64_t size = 0;
  };
  // kNotFound when there is none of this name.
  Result<File> OpenFile(const std::string& name) const;
  Result<std::string> Fetch(const std::string& name, size_t cap) override;

 private:
  struct Extent {
    uint64_t offset = 0, size = 0;
  };

  Archive(std::string path, UniqueFd bundle) : path_(std::move(path)), bundle_(std::move(bundle)) {}
  Result<> ReadIndex(uint64_t size);

  std::string path_;
  UniqueFd bundle_;  // none: a directory
  std::map<std::string, Extent> files_;
};

// Writes a bundle's entries, in the order they are added, to a file from its start.
class BundleWriter {
 public:
  explicit BundleWriter(int fd) : fd_(fd) {}
  // `content` is read from where it stands, `size` bytes of it. kNotSupported for a name or a size
  // that ustar can't hold.
  Result<> Add(const std::string& name, int content, uint64_t size);
  Result<> Finish();
  uint64_t bytes() const { return bytes_; }

 private:
  Result<> Write(std::span<const std::byte> data);

  int fd_;
  uint64_t bytes_ = 0;
};

// "objects/ab/cdef....filez": where an archive repository has an object.
std::string ObjectPath(const Digest& checksum, std::string_view extension);
std::string ObjectPath(const ObjectSize& object);

}  // namespace hostos
