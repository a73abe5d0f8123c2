// The publisher's side of a TUF repository (specification 1.0, section 4), as files beside an
// OSTree archive that any web server serves:
//
//   metadata/N.root.json, N.targets.json, N.snapshot.json, timestamp.json
//   targets/<directory>/<sha256>.<name>
//   staged/<role>.json   the next version of a role, while it lacks signatures
//
// A change is staged, signed by one person after another, each on a machine of their own if they
// like, and published when its threshold holds. Clients see all of it at once, with timestamp.json:
// every other file has a name of its own and is there before.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/unique_fd.h"
#include "updater/source/release_target.h"
#include "updater/source/sign.h"
#include "updater/tuf/metadata.h"

namespace hostos {

// The roles; a change of an earlier one calls for a new version of those that follow.
inline const std::array<std::string, 4> kTufRoles = {"root", "targets", "snapshot", "timestamp"};

// Who signs a role, and how long a version of it counts. What is absent stays as it is.
struct RoleChange {
  std::vector<PublicKey> keys;  // ed25519
  std::optional<uint32_t> threshold;
  std::optional<uint32_t> days;
};

// A role whose next version waits for signatures.
struct Unsigned {
  std::string role;
  std::string whose;  // "the role's keys" or "the keys of the root before"
  size_t signatures = 0;
  int64_t threshold = 1;
};

// A role as nodes see it. It is due when a quarter of its days is left.
struct PublishedRole : tuf::TrustedRole {
  uint64_t due = 0;  // seconds since the epoch
};

class TufRepository {
 public:
  // Beside the archive repository in `directory`; waits while another process changes it. What is
  // staged counts from `now` on, in seconds since the epoch.
  static Result<TufRepository> Open(const std::string& directory, uint64_t now);

  uint64_t now() const { return now_; }

  // The first root, or the next. kUsage when a role would have fewer keys than its threshold.
  Result<> StageRoot(const std::map<std::string, RoleChange>& changes);

  // The next version of a role that says the same for longer, and what follows from it, signed with
  // `keys` and published; of the online roles over what is published, whatever else is staged. Then
  // the same of every other role whose time is nearly over, where the keys are enough for it.
  Result<std::optional<Unsigned>> Renew(const std::string& role, std::span<const SecretKey> keys);

  // Makes the release the newest of its channel; returns it with its index, which is the next one.
  // The least index that is still allowed never shrinks. kRefused when the channel has this version
  // or a newer one.
  Result<ReleaseTarget> StageRelease(ReleaseTarget release);
  // Takes a version out of a channel; the one before, if it is allowed still, becomes the channel's
  // newest. kNotFound when
  // the channel does not have it.
  Result<> StageWithdrawal(const std::string& product, const std::string& architecture,
                           const std::string& channel, const std::string& version);

  // Signs what is staged with those of the keys that are its role's, publishes what is complete,
  // and goes on with what follows from that (targets, snapshot, timestamp). Returns where it had to
  // stop; nothing when clients see all of it.
  Result<std::optional<Unsigned>> Sign(std::span<const SecretKey> keys);

  // What nodes see of each role, in the order of kTufRoles, as far as there is any.
  Result<std::vector<PublishedRole>> Published() const;

  // The releases of a channel, staged ones included, by index.
  Result<std::vector<ReleaseTarget>> Releases(const std::string& product,
                                              const std::string& architecture,
                                              const std::string& channel) const;

 private:
  using Json = tuf::Json;

  TufRepository(std::string directory, uint64_t now, UniqueFd lock)
      : directory_(std::move(directory)), now_(now), lock_(std::move(lock)) {}

  std::string Staged(const std::string& role) const;
  std::string Metadata(const std::string& role, int64_t version) const;
  Result<int64_t> Newest(const std::string& role) const;
  Result<tuf::Root> Root() const;
  Result<std::optional<Json>> Body(const std::string& path) const;
  Result<std::optional<Json>> Next(const std::string& role) const;
  Result<Json> Targets() const;
  Result<Json> Meta(const std::string& role) const;
  Result<bool> CanSign(const std::string& role, std::span<const SecretKey> keys) const;
  Result<> Follow(const std::string& role);
  Result<std::optional<Unsigned>> SignFrom(const std::string& role,
                                           std::span<const SecretKey> keys);
  Result<> Stage(const std::string& role, Json body);
  Result<std::optional<Unsigned>> SignRole(const std::string& role,
                                           std::span<const SecretKey> keys);
  Result<> Put(Json& targets, const std::string& path, const ReleaseTarget& release);
  Result<ReleaseTarget> ReadRelease(const std::string& path, const Json& target) const;
  Result<std::vector<ReleaseTarget>> ReleasesIn(const Json& targets,
                                                const std::string& channel) const;

  std::string directory_;
  uint64_t now_;
  UniqueFd lock_;
};

}  // namespace hostos
