// A channel of small releases, signed, sealed and bootable, each newer than the one before.
#pragma once

#include "tests/images/small_release.h"
#include "tests/node/file_node.h"

namespace hostos {

struct ReleaseFormat {
  bool laid_out = true;        // after the release before: seal format 2
  std::string pack_from = {};  // the version that a delta pack begins with; "": no pack
};

class ReleaseLine {
 public:
  // Begins with 1.0.0, which nodes run from the start. With a time other than the default, such as
  // an impossible one, 1.0.0 is not published.
  explicit ReleaseLine(uint64_t time = kReleaseTime);

  // Publishes the channel's newest release. It differs from the one before in `files` files of 20
  // kB that do not compress.
  Release Publish(const std::string& version, int files, const ReleaseFormat& format = {});

  // What a new node is made from.
  const Releases& releases() const { return releases_; }

 private:
  void Announce(const std::string& version) const;

  SmallRelease small_;
  Releases releases_;
  uint64_t time_ = kReleaseTime;
  std::string newest_;
};

}  // namespace hostos
