// The rescue on the ESP. Each release brings one in its sealed root. The gate installs that of the
// release kept last, because it trusts the newest keys and reads the newest formats. What is due
// follows only from the ESP, the history and the kept commits, so if a gate is cut short or fails,
// the next one simply does it.
#pragma once

#include <optional>
#include <string>

#include "updater/engine/world.h"

namespace hostos {

// True if this release was the last one to be kept. Before the first update is kept, true for any:
// nothing is newer than what the disk was made with.
bool KeptLast(const Record& record, const Digest& root_hash);

// True if it is the one rescue on the ESP, by its name and size.
bool HasRescue(const BootState& boot, const RescueImage& rescue);

// True if it fits beside what is on an ESP with this many bytes free.
bool RescueFits(const RescueImage& rescue, uint64_t free);

// If the running release was kept last, makes its rescue the one on the ESP, compared byte for
// byte. Returns whether there was something to do.
Result<bool> RenewRescue(World& world, const Record& record);

struct RescueStatus {
  std::string file;     // on the ESP; "" when there is none
  std::string version;  // of the release that it was made from
  std::string problem;  // "" unless another one is due
};
RescueStatus DescribeRescue(const Record& record, const BootState& boot,
                            const std::optional<Release>& running);

// Whether the rescue on the ESP is one that a release in a slot signed.
struct RescueProof {
  std::string file, version;
  std::string release;  // version that signed it; "" when no release kept here names it
  std::string problem;  // "" unless it is damaged
};
// Absent when there is no rescue.
Result<std::optional<RescueProof>> VerifyRescue(World& world);

}  // namespace hostos
