// The releases that tests/vm/releases made, and a web server that publishes them one at a time.
#pragma once

#include <memory>
#include <string>

#include "tests/source/http_server.h"
#include "tests/temp_dir.h"
#include "updater/base/digest.h"
#include "updater/base/result.h"

namespace hostos {

// What hostimage reported when it made a release.
struct MadeRelease {
  std::string version;
  Digest commit;
  Digest root_hash;
};

class ReleaseSet {
 public:
  // Fails when the releases are not there; the message names the command that makes them.
  static Result<ReleaseSet> Open();

  const std::string& directory() const { return directory_; }
  std::string disk() const { return directory_ + "/disk.qcow2"; }
  Result<MadeRelease> Get(const std::string& version) const;

 private:
  explicit ReleaseSet(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

// Serves the set's objects, which are shared, in a channel of its own.
class PublishedReleases {
 public:
  // With the set's delta packs, or those in another folder.
  explicit PublishedReleases(const ReleaseSet& releases, const std::string& packs = "");

  // Makes `version` the channel's newest. Publishes earlier versions first, so that all servers at
  // one version serve the same.
  Result<> Publish(const std::string& version);
  const HttpServer& server() const { return *server_; }
  // The directory it serves.
  const std::string& directory() const { return directory_.path(); }

 private:
  std::string newest_ = "1.0.0";
  std::string key_;  // the file with the release team's secret keys
  TempDir directory_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace hostos
