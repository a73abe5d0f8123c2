// The files of an archive repository on this machine: in its directory, or in a bundle, a single
// file that carries them to machines without a network. Trusted no more than a server.
//
// A bundle is a POSIX ustar archive (IEEE Std 1003.1, pax, "ustar Interchange Format") of regular
// files only. Each name occurs once and is as in the repository: "metadata/2.root.json",
// "objects/ab/cd....filez". Names are looked up and never become paths.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"
#include "updater/release/commit.h"
#include "updater/tuf/client.h"

namespace hostos {

// The files and objects of an archive repository, wherever it is.
class ObjectFiles : public tuf::Fetcher {
 public:
  struct File {
    UniqueFd fd;  // at the start of the content
    uint64_t size = 0;
  };
  virtual Result<File> OpenObject(const ObjectSize& object) = 0;
};

class Archive : public ObjectFiles {
 public:
  // kNotTrusted says at which byte the file stops being a bundle.
  static Result<Archive> Open(const std::string& path);

  // kNotFound when there is no file of this name.
  Result<File> OpenFile(const std::string& name) const;
  Result<File> OpenObject(const ObjectSize& object) override {
    return OpenFile(ObjectPath(object));
  }
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

}  // namespace hostos
