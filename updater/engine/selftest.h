// The self-test of the boot loader: does it count tries and fall back on this machine? A second
// entry with two tries boots the running release. The loader has to spend one try, then the other,
// and then take the release's usual entry again: three boots. The health gate of each compares it
// with what it has to be, and the first difference ends the test. Which release boots never
// changes.
#pragma once

#include "updater/engine/world.h"

namespace hostos {

constexpr uint32_t kSelfTestBoots = 3;

// Makes the next boot the first of a self-test. One that is running starts over.
Result<> BeginSelfTest(World& world);

// Ends a running self-test as if it had never begun.
Result<> CancelSelfTest(World& world);
// The same, for a verb that holds the lock.
Result<> EndSelfTest(World& world, Record& record);

// Called by the gate in every boot: checks this boot of a running self-test, and reboots for the
// next one or ends the test. Absent when there was nothing to check. If `state` in the result is
// kRunning, the reboot has begun. If the record of this boot cannot be saved, there is an error and
// no reboot, so that a test ends after three boots whatever fails.
Result<std::optional<SelfTest>> ContinueSelfTest(World& world, Record& record,
                                                 const BootState& boot, const std::string& boot_id);

}  // namespace hostos
