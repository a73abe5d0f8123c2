// A model of systemd-boot 257: which entry it takes, and what it does to the counter in its name
// (src/boot/boot.c: boot_entry_compare, config_select_default_entry, boot_entry_bump_counters).
// Pure functions, so that tests, fakes and proofs run the same model that decides on a machine.
//
// Left out, because it cannot put an entry before ours that this model puts after: the machine id
// of Type #1 entries with our own sort key, and further profiles of one image. What a person picks
// in the menu, and the firmware's own BootOrder, are outside the model.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bootctl/boot_control.h"

namespace hostos {

// What the loader calls an entry, and what preferences are matched against: the file name without
// the counter, in lower case where it has none.
std::string LoaderId(const BootEntry& entry);

// Sorts as the loader does, then moves to the front the entry that it takes when nobody presses a
// key. Returns the preference that decided, null when the order did.
const LoaderPreference* OrderAsLoader(std::vector<BootEntry>& entries,
                                      std::span<const LoaderPreference> preferences);

// The entry after the loader has started it: one try left less, one done more. Unchanged when it is
// not counted. With none left it is counted on and boots all the same.
void SpendTry(BootEntry& entry);

}  // namespace hostos
