// The self-test of the boot loader: does it count down and fall back, on this machine? What runs is
// booted by a second entry with two tries. The loader has to spend one, then the other, and then to
// take the release's usual entry again: three boots, each of which is compared by its health gate
// with what it has to be. The first difference ends the test. Which release boots never changes.
#pragma once

#include "updater/engine/world.h"

namespace hostos {

constexpr uint32_t kSelfTestBoots = 3;

// The next boot is the first of a self-test. One that is running begins again.
Result<> BeginSelfTest(World& world);

// Ends a self-test that is running, as if it had never begun.
Result<> CancelSelfTest(World& world);
// The same, for a verb that holds the lock.
Result<> EndSelfTest(World& world, Record& record);

// In every boot, by the gate: looks at this boot of a self-test that is running, and asks for the
// next one, or ends it; absent when there was nothing to look at. While `state` of what it returns
// is kRunning the reboot has begun. It has not when the record of this boot could not be saved, so
// that a test ends after three boots whatever fails.
Result<std::optional<SelfTest>> ContinueSelfTest(World& world, Record& record,
                                                 const BootState& boot, const std::string& boot_id);

}  // namespace hostos
