// A client of one TUF repository. A directory of its own holds what it trusts, as received:
// root.json, timestamp.json, snapshot.json, targets.json, and <name>.json of delegated roles, names
// percent-encoded. A file is replaced, atomically, only after what replaces it was verified; so at
// any moment, through any loss of power, the directory holds metadata that was once trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"
#include "updater/tuf/metadata.h"
#include "updater/tuf/trust.h"

namespace hostos::tuf {

// Where files of the repository come from. Nothing of what it gives is believed.
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // The file at `path`, already percent-encoded, relative to the repository. kNotFound when there
  // is none; more than `cap` bytes are an error.
  virtual Result<std::string> Fetch(const std::string& path, size_t cap) = 0;
  // What was fetched from `path` is signed as it has to be.
  virtual void Accepted(const std::string& /*path*/, const std::string& /*bytes*/) {}
};

class Client {
 public:
  // Makes `root` what the directory trusts: for a person, or an installation, to say. It has to be
  // signed by its own keys.
  static Result<> Init(const std::string& directory, std::string_view root);
  // The same, unless the directory holds a readable root that is as new, and of the same line: what
  // is trusted never goes back, and a directory that was lost or damaged, or is of another
  // repository, strands nobody. Of a root more than one version ahead the line cannot be seen.
  static Result<> Adopt(const std::string& directory, std::string_view root);

  // Removes what the disk does not give of the directory, and says what. For a rescue: to anybody
  // else it is an error, as an older state would get in where a newer one is taken for lost.
  static std::vector<std::string> DropUnreadable(const std::string& directory);
  // What the directory holds, as far as its root's keys signed it; of any age. kNotTrusted when the
  // root is none.
  static Result<std::vector<TrustedRole>> Trusted(const std::string& directory);

  // Brings the directory up to date: every root since the last run, timestamp, snapshot and
  // targets. `now` is the time for the whole life of the client. kNetwork when fetching failed,
  // kNotTrusted when a rule was broken; what had been verified before that stays.
  static Result<Client> Refresh(std::string directory, Fetcher& fetcher, uint64_t now);

  // What the repository signed for a path: the top-level targets, then delegated roles depth first.
  // kNotFound when nobody signed it.
  Result<TargetFile> Find(const std::string& path);

  // The target's bytes, which are the signed ones. Its length is for the caller to bound.
  Result<std::string> Fetch(const TargetFile& target, Fetcher& fetcher) const;

  // The path of the target's file in `directory`, its name percent-encoded. It is fetched only when
  // the file there is not the signed one already, and stored only when it is.
  Result<std::string> Download(const TargetFile& target, Fetcher& fetcher,
                               const std::string& directory) const;

 private:
  Client(std::string directory, Fetcher& fetcher, uint64_t now, Root root)
      : directory_(std::move(directory)), fetcher_(&fetcher), now_(now), root_(std::move(root)) {}

  Result<> UpdateRoot();
  Result<Timestamp> UpdateTimestamp(const Remembered& before);
  Result<Snapshot> UpdateSnapshot(const Remembered& before, const Timestamp& timestamp);
  Result<Targets> UpdateTargets(const std::string& name, const Role& role);

  // The kept file of a role if `trust` accepts it, else the one fetched, which is then kept.
  template <class Trust>
  auto KeptOrFetched(const std::string& name, const MetaFile& meta, size_t cap, Trust trust)
      -> decltype(trust(std::string_view()));
  Result<std::string> FetchRole(const std::string& file, size_t cap);
  // Keeps what was fetched from `file` and is trusted now.
  Result<> Keep(const std::string& name, const std::string& file, const std::string& bytes);

  std::string directory_;
  Fetcher* fetcher_;
  uint64_t now_;
  Root root_;
  Snapshot snapshot_;
};

}  // namespace hostos::tuf
