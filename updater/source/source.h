// Where releases come from: find one, verify it, say what is missing, pull it, seal it. The
// interface the engine sees; the OSTree-over-HTTP implementation is behind it.
//
// Promise: no content is fetched, and nothing reaches the staging repository, before the release's
// metadata, the commit's signatures, and the bindings and limits of both were verified.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/progress.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/base/space.h"
#include "updater/base/unique_fd.h"
#include "updater/tuf/metadata.h"

namespace hostos {

// A verified release. `commit` and `signatures` are the bytes of the OSTree commit object and of
// its detached metadata, kept beside the record so that `hostctl verify` can prove a slot later.
struct Target {
  Release release;
  std::string commit;
  std::string signatures;
  uint64_t index = 0;             // its place in the order of releases, which only grows
  uint32_t valid_signatures = 0;  // by distinct trusted keys, of the algorithm with the fewest
  uint32_t required_signatures = 1;
};

// What a pull of a target would move and store. Sizes come from the signed "ostree.sizes".
struct FetchPlan {
  uint64_t objects = 0;         // missing objects
  uint64_t download_bytes = 0;  // their size in the archive repository
  uint64_t unpacked_bytes = 0;  // their size in the staging repository
  uint64_t reused_bytes = 0;    // unpacked size of the objects this machine has already
  Space removed;  // of the staging repository, before: objects of a release that was given up
};

struct FetchStats {
  uint64_t objects = 0;  // objects fetched in this run
  uint64_t bytes = 0;    // bytes of their bodies as transferred
};

// An opened release: its sealed image, as a stream that can be read once, and the UKI for the ESP,
// which is the signed one.
struct Checkout {
  // Ready when the image is read to its end or closed: why it ended early. First, so that the image
  // is closed before its writer is waited for.
  std::future<Result<>> sent;
  UniqueFd image;
  UniqueFd uki;
};

class Source {
 public:
  virtual ~Source() = default;

  // The channel's newest release, or the one called `version`, as what was published says that
  // counts at `now` (seconds since the epoch). kNetwork, kNotTrusted, kNotSupported (another
  // product, architecture, channel or seal format), kNotFound (no such version).
  virtual Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) = 0;
  // What was trusted before, or by the last Resolve; no network. At least the root.
  virtual Result<std::vector<tuf::TrustedRole>> Trusted() = 0;
  virtual Result<FetchPlan> Plan(const Target& target) = 0;
  // Pulls what is missing into the staging repository; resumes by object after any interruption.
  virtual Result<FetchStats> Fetch(const Target& target, Progress& progress) = 0;
  virtual Result<Checkout> Open(const Target& target) = 0;  // one at a time
  // What is free where the staging repository lives.
  virtual Result<Space> StagingFree() = 0;
  // Empties the staging repository: after a commit the running slot has every object itself.
  virtual Result<> Discard() = 0;

  // Verifies a commit kept earlier (no network), as Resolve does.
  virtual Result<Target> Verify(const std::string& commit, const std::string& signatures) = 0;
};

}  // namespace hostos
