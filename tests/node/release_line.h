// A channel of small releases: signed, sealed and bootable, one newer than the other.
#pragma once

#include "tests/images/small_release.h"
#include "tests/node/file_node.h"

namespace hostos {

class ReleaseLine {
 public:
  // With 1.0.0, which nodes run from the beginning. When its time cannot be, nobody publishes it.
  explicit ReleaseLine(uint64_t time = kReleaseTime);

  // Makes the channel's newest. Differs from the one before in `files` files of 20 kB that do not
  // compress.
  Release Publish(const std::string& version, int files);

  // What a new node is made of.
  const Releases& releases() const { return releases_; }

 private:
  void Announce(const std::string& version) const;

  const SmallRelease small_;
  Releases releases_;
  uint64_t time_ = kReleaseTime;
};

}  // namespace hostos
