// The publisher's side of a TUF repository (specification 1.0, section 4): files beside an OSTree
// archive that any web server serves.
//
//   metadata/N.root.json, N.targets.json, N.snapshot.json, timestamp.json
//   targets/<directory>/<sha256>.<name>
//   last-timestamp                the version of the last timestamp that was made here
//   staged/<role>.json            the next version of a role, while it lacks signatures
//   staged/<role>.<key id>.json   one signature of it: {"keyid", "sig", "payload": its SHA-256}
//
// A change is staged, then signed by one person after another, each on their own machine if they
// like. It is published once everything in it has its signatures. Each signature is its own file,
// so plain copies of the three folders, to a colleague and back, collect signatures in any order.
// What people sign names the bytes it follows ("x-hostos-after", the SHA-256 of the version
// before): it is published as the successor of exactly these, or not at all. Clients see all of a
// change at once, through timestamp.json. That includes new keys: root and timestamp replace the
// old ones in one step.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "images/publish/secret_key.h"
#include "images/staged_change.h"
#include "images/tuf_fields.h"
#include "updater/base/result.h"
#include "updater/base/unique_fd.h"
#include "updater/release/release_target.h"
#include "updater/release/signature.h"
#include "updater/tuf/metadata.h"

namespace hostos {

// Who signs a role, and how many days a version of it is valid. Absent fields stay as they are.
struct RoleChange {
  std::vector<PublicKey> keys;  // ed25519
  std::optional<uint32_t> threshold;
  std::optional<uint32_t> days;
};

// The next version of a role, not public yet, and who has signed it, by the names of their keys.
struct StagedRole {
  std::string role;
  int64_t version = 0;  // 0: not made until what it names is complete
  std::string whose;    // "the role's keys" or "the keys of the root before"
  int64_t threshold = 1;
  std::vector<std::string> signed_by, others;

  bool complete() const { return !std::cmp_less(signed_by.size(), threshold); }
};

// Everything that is staged, for people to look at before they sign.
struct Staging {
  std::string digest;  // SHA-256 of it, without signatures; "": nothing is staged
  std::map<std::string, std::vector<Change>> changes;  // by role, against what is published
  std::pair<int64_t, std::string> root;  // where trust begins: the oldest root, its SHA-256
};

struct SignResult {
  std::vector<StagedRole> missing;     // lacking signatures; empty: nodes see all
  std::vector<std::string> published;  // roles
};

// A role as nodes see it. It is due when a quarter of its days is left.
struct PublishedRole : tuf::TrustedRole {
  uint64_t due = 0;  // seconds since the epoch
};

class TufRepository {
 public:
  // Opens the repository beside the archive in `directory`; waits while another process changes it.
  // `now`, in seconds since the epoch, is when staged versions begin. kNotFound when there is no
  // metadata.
  static Result<TufRepository> Open(const std::string& directory, uint64_t now);
  // For the first root, where there is no repository yet.
  static Result<TufRepository> Create(const std::string& directory, uint64_t now);

  uint64_t now() const { return now_; }

  // What is staged stays in memory until Sign() writes it.

  // Stages the first root, or the next. kUsage when a role would have fewer keys than its
  // threshold.
  Result<> StageRoot(const std::map<std::string, RoleChange>& changes);

  // Makes the release the newest of its channel. Returns it with its index: the next one, or the
  // channel's minimum index if that is larger; the minimum never shrinks. kRefused when the channel
  // has this version or a newer one, or when the index is too large for this version of targets,
  // which nodes would refuse.
  Result<ReleaseTarget> StageRelease(ReleaseTarget release);
  // Takes a version out of a channel. The one before becomes the channel's newest if its index is
  // still allowed. Returns the channel's newest, if there is one. kNotFound when the channel lacks
  // the version.
  Result<std::optional<ReleaseTarget>> StageWithdrawal(const std::string& product,
                                                       const std::string& architecture,
                                                       const std::string& channel,
                                                       const std::string& version);

  // Signs with the given keys what is staged for their roles, and what follows from that (targets
  // under new keys, snapshot, timestamp). Publishes if all of it is complete; without the root if
  // only the root is not. Otherwise keeps it with its signatures. kUsage, and nothing is written,
  // when a key is of no role, or when no key is of a role that needs it.
  Result<SignResult> Sign(std::span<const SecretKey> keys);

  // Makes a next version of a role that says the same for longer, and what follows from it; signs
  // it with `keys` and publishes it. Everything else that is staged stays staged. Does the same for
  // every other role that is due and for which the keys suffice. kRefused for a root or targets
  // that are staged.
  Result<SignResult> Renew(const std::string& role, std::span<const SecretKey> keys);

  // What waits for signatures, in the order of kTufRoles.
  Result<std::vector<StagedRole>> Staged() const;
  bool HasStaged() const { return !drafts_.empty(); }
  // What the staged versions would change. kNotTrusted when the published metadata here is not
  // signed, or when a release file is not the staged one; kNotFound when a release file is missing.
  Result<Staging> Difference() const;
  // Discards everything that is staged.
  Result<> Abandon();

  // The published roles as nodes see them, in the order of kTufRoles, as far as they exist.
  Result<std::vector<PublishedRole>> Published() const;

  // kNotTrusted when an old copy has overwritten the newest timestamp, which nodes refuse.
  Result<> CheckTimestamp() const;

  // A channel's releases by index: as staged, or as nodes see them.
  enum class View { kStaged, kPublished };
  Result<std::vector<ReleaseTarget>> Releases(const std::string& product,
                                              const std::string& architecture,
                                              const std::string& channel,
                                              View view = View::kStaged) const;

 private:
  using Json = tuf::Json;

  // The next version of a role: its content, and who has signed it.
  struct Draft {
    Json body;
    std::map<std::string, std::string> signatures;  // key id: hexadecimal
  };
  struct Signers {
    std::string whose;
    tuf::Role role;
  };

  TufRepository(std::string directory, uint64_t now, UniqueFd lock)
      : directory_(std::move(directory)), now_(now), lock_(std::move(lock)) {}

  std::string Metadata(const std::string& role, int64_t version) const;
  Result<int64_t> TimestampVersion() const;
  Result<int64_t> LastTimestamp() const;
  Result<int64_t> Newest(const std::string& role) const;
  Result<std::string> NewestBytes(const std::string& role) const;
  Result<std::optional<Json>> NewestBody(const std::string& role) const;
  Result<Json> RootBody() const;
  Result<tuf::Root> Root() const;
  Result<std::vector<Signers>> SignersOf(const std::string& role) const;

  Result<> LoadDraft(const std::string& role);
  Result<> CheckFollows(const std::string& role, const Draft& draft) const;
  Result<std::optional<Json>> Next(const std::string& role) const;
  Result<Json> Targets() const;
  Result<Json> Meta(const std::string& role) const;
  Result<> DraftNext(const std::string& role, Json body);
  Result<> Follow(const std::string& role);

  Result<bool> CanSign(const std::string& role, std::span<const SecretKey> keys) const;
  Result<> CheckKeys(std::span<const SecretKey> keys) const;
  Result<> SignDraft(const std::string& role, std::span<const SecretKey> keys);
  Result<StagedRole> Look(const std::string& role) const;
  Result<std::string> DocumentOf(const std::string& role) const;
  Result<SignResult> SignAll(std::span<const SecretKey> keys);
  Result<> Keep() const;
  Result<> Forget() const;
  Result<> Publish();

  Result<> CheckPublished() const;
  Result<std::vector<Change>> ChangesOf(const std::string& role, Json body) const;

  Result<> Put(Json& targets, const std::string& path, const ReleaseTarget& release);
  Result<ReleaseTarget> ReadRelease(const std::string& path, const Json& target) const;
  Result<std::vector<ReleaseTarget>> ReleasesIn(const Json& targets,
                                                const std::string& channel) const;

  std::string directory_;
  uint64_t now_;
  UniqueFd lock_;
  std::map<std::string, Draft> drafts_;          // by role
  std::map<std::string, Draft> aside_;           // stay staged, whatever is published
  std::map<std::string, std::string> contents_;  // of files below targets/ that drafts name
};

}  // namespace hostos
