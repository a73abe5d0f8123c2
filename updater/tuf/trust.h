// The rules of TUF's client workflow (specification 5.3 to 5.6). Each is a pure function from what
// is already trusted, and new bytes, to what is trusted next: no files, no network, no clock. What
// it refuses is kNotTrusted; the message says which role broke which rule, what was expected and
// what was found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/tuf/metadata.h"

namespace hostos::tuf {

// How many of the role's keys signed the metadata. A key with several ids counts once.
size_t ValidSignatures(const Header& metadata, const Role& role);

// Checks that as many keys signed it as the role's threshold asks for.
Result<> CheckSignatures(const Header& metadata, const Role& role);

// The root this machine was given: signed by its own keys, expired or not.
Result<Root> TrustFirstRoot(std::string_view bytes);
// The root after `trusted`: signed by the keys of both, and exactly one version newer. It may have
// expired, if another follows; CheckExpiry() checks that at the end of the chain.
Result<Root> TrustNextRoot(const Root& trusted, std::string_view bytes);

// Fails unless `now` (seconds since the epoch) is before the expiry.
Result<> CheckExpiry(const Header& metadata, uint64_t now);

// What this machine trusted before this run: the floor for the versions that come next. It may have
// expired, and its parts may not fit together.
struct Remembered {
  std::optional<Timestamp> timestamp;
  std::optional<Snapshot> snapshot;
};

// The floor, from the files that the last run kept. If the current root's keys did not sign one of
// them, neither counts: so a repository that a thief forwarded to absurd versions recovers with new
// keys (5.3.11), and no file needs to be deleted, which a power cut could interrupt.
Remembered Remember(const Root& root, const std::optional<std::string>& timestamp,
                    const std::optional<std::string>& snapshot);

// Absent when the version is the remembered one's: the remembered timestamp then stays in force,
// not these bytes.
Result<std::optional<Timestamp>> TrustTimestamp(const Root& root, const Remembered& before,
                                                std::string_view bytes, uint64_t now);
Result<Snapshot> TrustSnapshot(const Root& root, const Timestamp& timestamp,
                               const Remembered& before, std::string_view bytes, uint64_t now);
// Metadata of the top-level role "targets", or of a delegated role as its delegation describes it.
Result<Targets> TrustTargets(const std::string& name, const Role& role, const Snapshot& snapshot,
                             std::string_view bytes, uint64_t now);

}  // namespace hostos::tuf
