// Where releases come from: finds one, verifies it, says what is missing, pulls it, and opens it as
// a sealed image. This is the interface that the engine sees; OSTree over HTTP is behind it.
//
// Promise: no content is fetched, and nothing reaches the staging repository, before the release's
// metadata, the commit's signatures, and the bindings and limits of both are verified.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/base/space.h"
#include "updater/base/traffic.h"
#include "updater/base/unique_fd.h"
#include "updater/release/changes.h"
#include "updater/release/commit.h"
#include "updater/release/delta_pack.h"
#include "updater/tuf/metadata.h"

namespace hostos {

// Which CVEs the release's packages fixed, beside its objects.
struct ChangesFile {
  std::string path;  // in the repository
  Digest digest;
  uint64_t size = 0;
};

// A verified release. Its bytes and signatures are kept beside the record, so that `hostctl verify`
// can prove a slot later.
struct Target : SignedCommit {
  uint64_t index = 0;             // its place in the order of releases, which only grows
  uint32_t valid_signatures = 0;  // by distinct trusted keys, of the algorithm with the fewest
  uint32_t required_signatures = 1;
  // Absent from a commit that was kept.
  std::vector<DeltaPack> packs;
  std::optional<ChangesFile> changes;
};

// What a pull of a target would move and store. Sizes come from the signed "ostree.sizes".
struct FetchPlan {
  uint64_t objects = 0;         // missing objects
  uint64_t download_bytes = 0;  // their size in the archive repository
  uint64_t unpacked_bytes = 0;  // their size in the staging repository
  uint64_t reused_bytes = 0;    // unpacked size of the objects that this machine already has
  Space removed;        // objects of other releases, removed from the staging repository first
  bool packed = false;  // the objects come in a delta pack, which is what is downloaded
};

struct FetchStats {
  uint64_t objects = 0;  // objects fetched in this run
  uint64_t bytes = 0;    // bytes of their bodies as transferred
  std::string
      problem;  // why a delta pack did not bring all of them; "" if it did, or none was used
};

// An opened release: its sealed image, as a stream that can be read once, and the signed UKI for
// the ESP.
struct Checkout {
  // Ready once the image is read to its end or closed; says why the image ended early. It is the
  // first member so that the image is closed before its writer is waited for.
  std::future<Result<>> sent;
  UniqueFd image;
  UniqueFd uki;
};

class Source {
 public:
  virtual ~Source() = default;

  // The channel's newest release, or the one called `version`, by the published metadata that is
  // valid at `now` (seconds since the epoch). Errors: kNetwork, kNotTrusted, kNotSupported (another
  // product, architecture, channel or seal format), kNotFound (no such version).
  virtual Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) = 0;
  // What was trusted before, or by the last Resolve(); no network. At least the root.
  virtual Result<std::vector<tuf::TrustedRole>> Trusted() = 0;
  virtual Result<FetchPlan> Plan(const Target& target) = 0;
  // As signed with the target, which has to name them. Asks once and briefly: nothing depends on
  // it.
  virtual Result<ReleaseChanges> Changes(const Target& target) = 0;
  // Pulls what is missing into the staging repository. After any interruption it resumes by object.
  virtual Result<FetchStats> Fetch(const Target& target, Progress& progress) = 0;
  // What the last Fetch(), whether it ended well or not, and every call since the one before it
  // moved over the network.
  virtual Traffic Moved() const = 0;
  virtual Result<Checkout> Open(const Target& target) = 0;  // one at a time
  // The free space where the staging repository is.
  virtual Result<Space> StagingFree() = 0;
  // Empties the staging repository: after a commit the running slot has every object itself.
  virtual Result<> Discard() = 0;

  // Verifies a commit that was kept earlier as Resolve does; no network.
  virtual Result<Target> Verify(const std::string& commit, const std::string& signatures) = 0;
};

}  // namespace hostos
