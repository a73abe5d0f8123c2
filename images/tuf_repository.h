// The publisher's side of a TUF repository (specification 1.0, section 4), as files beside an
// OSTree archive that any web server serves:
//
//   metadata/N.root.json, N.targets.json, N.snapshot.json, timestamp.json
//   targets/<directory>/<sha256>.<name>
//   last-timestamp                the version of the last timestamp that was made here
//   staged/<role>.json            the next version of a role, while it lacks signatures
//   staged/<role>.<key id>.json   one signature of it: {"keyid", "sig", "payload": its SHA-256}
//
// A change is staged, signed by one person after another, each on a machine of their own if they
// like, and published when all that belongs to it has its signatures. Each signature is a file of
// its own, so plain copies of the three folders, to a colleague and back, bring them together in
// any order. What people sign says which bytes it follows ("x-hostos-after", the SHA-256 of the
// version before): it is published as the successor of exactly these, or not at all. Clients see
// all of a change at once, with timestamp.json; new keys too, as root and timestamp change places
// with the old ones in one step.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "images/staged_change.h"
#include "images/tuf_fields.h"
#include "updater/base/result.h"
#include "updater/base/unique_fd.h"
#include "updater/source/release_target.h"
#include "updater/source/sign.h"
#include "updater/tuf/metadata.h"

namespace hostos {

// Who signs a role, and how long a version of it counts. What is absent stays as it is.
struct RoleChange {
  std::vector<PublicKey> keys;  // ed25519
  std::optional<uint32_t> threshold;
  std::optional<uint32_t> days;
};

// The next version of a role that is not public yet, and who has signed it, by the names of their
// keys.
struct StagedRole {
  std::string role;
  int64_t version = 0;  // 0: it is made when what it names is complete
  std::string whose;    // "the role's keys" or "the keys of the root before"
  int64_t threshold = 1;
  std::vector<std::string> signed_by, others;

  bool complete() const { return !std::cmp_less(signed_by.size(), threshold); }
};

// All that is staged, for people to look at before they sign it.
struct Staging {
  std::string digest;  // SHA-256 of it, whoever signed it meanwhile; "": nothing is staged
  std::map<std::string, std::vector<Change>> changes;  // by role, to what is published
  std::pair<int64_t, std::string> root;  // where trust begins: the oldest root, and its SHA-256
};

struct SignResult {
  std::vector<StagedRole> missing;     // signatures; empty: nodes see all that was staged
  std::vector<std::string> published;  // roles
};

// A role as nodes see it. It is due when a quarter of its days is left.
struct PublishedRole : tuf::TrustedRole {
  uint64_t due = 0;  // seconds since the epoch
};

class TufRepository {
 public:
  // Beside the archive repository in `directory`; waits while another process changes it. What is
  // staged counts from `now` on, in seconds since the epoch. kNotFound when there is no metadata.
  static Result<TufRepository> Open(const std::string& directory, uint64_t now);
  // Where there is none yet: for the first root.
  static Result<TufRepository> Create(const std::string& directory, uint64_t now);

  uint64_t now() const { return now_; }

  // What is staged is in memory until Sign() writes it.

  // The first root, or the next. kUsage when a role would have fewer keys than its threshold.
  Result<> StageRoot(const std::map<std::string, RoleChange>& changes);

  // Makes the release the newest of its channel; returns it with its index, which is the next one,
  // or the least that is still allowed, which never shrinks. kRefused when the channel has this
  // version or a newer one, or when no metadata of that version vouches for such an index.
  Result<ReleaseTarget> StageRelease(ReleaseTarget release);
  // Takes a version out of a channel; the one before, if it is allowed still, becomes the channel's
  // newest. Returns that one, if there is one. kNotFound when the channel does not have it.
  Result<std::optional<ReleaseTarget>> StageWithdrawal(const std::string& product,
                                                       const std::string& architecture,
                                                       const std::string& channel,
                                                       const std::string& version);

  // Signs what is staged with those of the keys that are its role's, and what follows from that
  // (targets under new keys, snapshot, timestamp). Publishes when all of it is complete, without
  // the root if only that is not; else keeps it, with its signatures. kUsage, and nothing is
  // written, when a key is of no role, or none of them is of a role that this needs.
  Result<SignResult> Sign(std::span<const SecretKey> keys);

  // The next version of a role that says the same for longer, and what follows from it, signed with
  // `keys` and published, over what is published: whatever else is staged stays so. Then the same
  // of every other role whose time is nearly over, where the keys are enough for it. kRefused for
  // targets or a root of which a version is staged.
  Result<SignResult> Renew(const std::string& role, std::span<const SecretKey> keys);

  // What waits for signatures, in the order of kTufRoles.
  Result<std::vector<StagedRole>> Staged() const;
  bool HasStaged() const { return !drafts_.empty(); }
  // What it would change. kNotTrusted when what is published, as far as it is here, is not signed,
  // or a release is not what is staged of it; kNotFound when it is not here.
  Result<Staging> Difference() const;
  // Forgets all that is staged.
  Result<> Abandon();

  // What nodes see of each role, in the order of kTufRoles, as far as there is any.
  Result<std::vector<PublishedRole>> Published() const;

  // kNotTrusted when an old copy of the timestamp lies over the newest, which nodes refuse.
  Result<> CheckTimestamp() const;

  // The releases of a channel by index, as staged, or as nodes see them.
  enum class View { kStaged, kPublished };
  Result<std::vector<ReleaseTarget>> Releases(const std::string& product,
                                              const std::string& architecture,
                                              const std::string& channel,
                                              View view = View::kStaged) const;

 private:
  using Json = tuf::Json;

  // The next version of a role: what it says, and who has signed that.
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
  std::map<std::string, Draft> aside_;           // those that stay staged, whatever is published
  std::map<std::string, std::string> contents_;  // of files below targets/ that drafts name
};

}  // namespace hostos
