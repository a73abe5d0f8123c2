// The rules of TUF's client workflow (specification 5.3 to 5.6). Each is a pure function from what
// is trusted already, and bytes, to what is trusted next: no files, no network, no clock. What it
// refuses is kNotTrusted and says which role broke which rule, what was expected and what was
// found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/tuf/metadata.h"

namespace hostos::tuf {

// How many of the role's keys signed it; a key with several ids is one key.
size_t ValidSignatures(const Header& metadata, const Role& role);

// By as many as its threshold asks for.
Result<> CheckSignatures(const Header& metadata, const Role& role);

// The root this machine was given: signed by its own keys, of any age.
Result<Root> TrustFirstRoot(std::string_view bytes);
// The one after `trusted`: signed by the keys of both, its version the next one. It may have
// expired if yet another follows, so that is for CheckExpiry() at the end of the chain.
Result<Root> TrustNextRoot(const Root& trusted, std::string_view bytes);

// `now` (seconds since the epoch) is before the time of expiry.
Result<> CheckExpiry(const Header& metadata, uint64_t now);

// What this machine trusted before this run. It may have expired and may not fit together: it is
// the floor for the versions of what comes next.
struct Remembered {
  std::optional<Timestamp> timestamp;
  std::optional<Snapshot> snapshot;
};

// The floor as the files kept by the last run say. When the current root's keys did not sign one of
// them, neither counts: so a repository that was forwarded to absurd versions by a thief recovers
// with new keys (5.3.11). No file needs to be deleted for that, at no risk of losing power between.
Remembered Remember(const Root& root, const std::optional<std::string>& timestamp,
                    const std::optional<std::string>& snapshot);

// Nothing when its version is the remembered one's: then that one goes on to count, not these
// bytes.
Result<std::optional<Timestamp>> TrustTimestamp(const Root& root, const Remembered& before,
                                                std::string_view bytes, uint64_t now);
Result<Snapshot> TrustSnapshot(const Root& root, const Timestamp& timestamp,
                               const Remembered& before, std::string_view bytes, uint64_t now);
// Metadata of the top-level role "targets" or of a delegated role, as whoever delegates to it says.
Result<Targets> TrustTargets(const std::string& name, const Role& role, const Snapshot& snapshot,
                             std::string_view bytes, uint64_t now);

}  // namespace hostos::tuf
