// The rescue on the ESP. Each release brings one in its sealed root; the gate puts that of the
// release that was kept last in the place of the one before: it trusts the newest keys, and reads
// the newest formats. What it does follows from the ESP, the history and the kept commits, so that
// a gate that was cut short, or failed, is only followed by the next one.
#pragma once

#include <optional>
#include <string>

#include "updater/engine/world.h"

namespace hostos {

// Was it this release that was kept last? Before the first update that was kept there is nothing
// newer than what the disk was made with.
bool KeptLast(const Record& record, const Digest& root_hash);

// Is it the one rescue on the ESP, by its name and size?
bool HasRescue(const BootState& boot, const RescueImage& rescue);

// Would it fit beside what is on an ESP with so many bytes free?
bool RescueFits(const RescueImage& rescue, uint64_t free);

// Has the running release's own rescue on the ESP, every byte of it, if it was this release that
// was kept last. Returns whether there was something to do.
Result<bool> RenewRescue(World& world, const Record& record);

struct RescueStatus {
  std::string file;     // on the ESP; "" when there is none
  std::string version;  // of the release that it was made from
  std::string problem;  // "" unless another one is due
};
RescueStatus DescribeRescue(const Record& record, const BootState& boot,
                            const std::optional<Release>& running);

// Is the rescue on the ESP what a release in one of the slots signed?
struct RescueProof {
  std::string file, version;
  std::string release;  // version that signed it; "" when none that is kept here names it
  std::string problem;  // "" unless it is damaged
};
// Absent when there is no rescue.
Result<std::optional<RescueProof>> VerifyRescue(World& world);

}  // namespace hostos
