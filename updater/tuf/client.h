// A client of one TUF repository. Its directory holds the metadata it trusts, as received:
// root.json, timestamp.json, snapshot.json, targets.json, and <name>.json of delegated roles, with
// names percent-encoded. A file is replaced atomically, and only after its successor was verified.
// So at any moment, even after a power cut, the directory holds only metadata that was trusted
// once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"
#include "updater/tuf/metadata.h"
#include "updater/tuf/trust.h"

namespace hostos::tuf {

// Gets files of the repository. Nothing it returns is believed.
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // The file at `path`, already percent-encoded and relative to the repository. kNotFound when
  // there is none; more than `cap` bytes are an error.
  virtual Result<std::string> Fetch(const std::string& path, size_t cap) = 0;
  // Says that what was fetched from `path` proved to be properly signed.
  virtual void Accepted(const std::string& /*path*/, const std::string& /*bytes*/) {}
};

class Client {
 public:
  // Makes the directory trust `root`. The decision to do so is a person's, or an installation's.
  // The root must be signed by its own keys.
  static Result<> Init(const std::string& directory, std::string_view root);
  // Does the same, unless the directory holds a readable root that is at least as new and of the
  // same line. So trust never goes back, while a directory that is lost, damaged or of another
  // repository does not strand the machine. If the kept root is more than one version ahead, its
  // line cannot be told, and it stays.
  static Result<> Adopt(const std::string& directory, std::string_view root);

  // Removes the files that the disk fails to read, and names them. For a rescue only: everywhere
  // else such a failure is an error, because to take newer metadata for lost would let an older
  // state in.
  static std::vector<std::string> DropUnreadable(const std::string& directory);
  // The metadata in the directory that is signed by the keys of its root, expired or not.
  // kNotTrusted when the root itself is not trustworthy.
  static Result<std::vector<TrustedRole>> Trusted(const std::string& directory);

  // Brings the directory up to date: every root since the last run, timestamp, snapshot and
  // targets. `now` is the time for the client's whole life. kNetwork when fetching fails,
  // kNotTrusted when a rule is broken; what was verified before that stays.
  static Result<Client> Refresh(std::string directory, Fetcher& fetcher, uint64_t now);

  // What the repository signed for a path: asks the top-level targets, then delegated roles depth
  // first. kNotFound when nobody signed it.
  Result<TargetFile> Find(const std::string& path);

  // The target's bytes, as signed. The caller must bound its length.
  Result<std::string> Fetch(const TargetFile& target, Fetcher& fetcher) const;

  // Returns the path of the target's file in `directory`, its name percent-encoded. Fetches only if
  // the file there is not the signed one, and stores only the signed one.
  Result<std::string> Download(const TargetFile& target, Fetcher& fetcher,
                               const std::string& directory) const;

 private:
  Client(std::string directory, Fetcher& fetcher, uint64_t now, Root root)
      : directory_(std::move(directory)), fetcher_(&fetcher), now_(now), root_(std::move(root)) {}

  Result<> UpdateRoot();
  Result<Timestamp> UpdateTimestamp(const Remembered& before);
  Result<Snapshot> UpdateSnapshot(const Remembered& before, const Timestamp& timestamp);
  Result<Targets> UpdateTargets(const std::string& name, const Role& role);

  // The role's kept file if `trust` accepts it; else fetches the file, and keeps it once it is
  // trusted.
  template <class Trust>
  auto KeptOrFetched(const std::string& name, const MetaFile& meta, size_t cap, Trust trust)
      -> decltype(trust(std::string_view()));
  Result<std::string> FetchRole(const std::string& file, size_t cap);
  // Keeps what was fetched from `file` and is now trusted.
  Result<> Keep(const std::string& name, const std::string& file, const std::string& bytes);

  std::string directory_;
  Fetcher* fetcher_;
  uint64_t now_;
  Root root_;
  Snapshot snapshot_;
};

}  // namespace hostos::tuf
