// What the release team publishes beside a commit: a TUF target, one small JSON file. It binds a
// version to the exact bytes that boot, in one channel of one product for one architecture, and
// tells its place in the order of releases. docs/trust.md describes it.
//
//   <product>/<architecture>/<channel>.json            the channel's newest release
//   <product>/<architecture>/<channel>/<version>.json  each release that may be installed by name
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/release.h"
#include "updater/base/result.h"
#include "updater/release/delta_pack.h"
#include "updater/tuf/metadata.h"

namespace hostos {

inline constexpr size_t kMaxReleaseTargetBytes = 16'384;
inline constexpr size_t kMaxPacks = 32;  // of one release
inline constexpr size_t kMaxSboms = 8;

// What a release consists of, as a file beside it, which the release also has in its root.
struct SbomFile {
  std::string format;  // "cdx" (CycloneDX) or "spdx"
  Digest digest;
  uint64_t size = 0;
};

struct ReleaseTarget {
  std::string product = "hostos";
  std::string version, channel, architecture;
  Digest commit, root_hash;
  uint64_t image_size = 0;
  Digest uki_digest;
  uint64_t uki_size = 0;
  uint64_t index = 0;          // grows with every release that is published, from 1
  uint64_t minimum_index = 0;  // releases before this one are withdrawn
  std::vector<DeltaPack> packs = {};
  std::vector<SbomFile> sboms = {};
};

// The target that repeats what the commit says.
ReleaseTarget TargetOf(const Release& release);

// kNotTrusted names the field, what was expected and what was found.
Result<ReleaseTarget> ParseReleaseTarget(std::string_view bytes);
std::string WriteReleaseTarget(const ReleaseTarget& target);

// Checks that the release, as its commit describes it, is what the target says, field by field;
// kNotTrusted.
Result<> CheckBinding(const ReleaseTarget& target, const Release& release);

// Path in the repository: "sbom/<root hash>/<product>-<version>.<format>.json". Scanners know a
// file by how its name ends.
std::string SbomPath(const ReleaseTarget& target, const std::string& format);

// What metadata can vouch for. It does not contain the time of signing. But a release that it names
// existed before it was signed, and so before it expires. Each version of the targets may add at
// most this many releases.
inline constexpr uint64_t kMaxReleasesAtOnce = 1000;
struct ReleaseLimits {
  uint64_t time = UINT64_MAX;   // no release was made later
  uint64_t index = UINT64_MAX;  // and none has a higher index
};
ReleaseLimits LimitsOf(std::span<const tuf::TrustedRole> trusted);

// kNotTrusted for a release beyond these limits, so that an impossible release sets nobody's clock
// and nobody's floor.
Result<> CheckLimits(const Release& release, uint64_t index, const ReleaseLimits& limits);

// Paths below targets/: of the channel's newest release, and of one version in the channel.
std::string ChannelTarget(const std::string& product, const std::string& architecture,
                          const std::string& channel);
std::string VersionTarget(const std::string& product, const std::string& architecture,
                          const std::string& channel, const std::string& version);

}  // namespace hostos
