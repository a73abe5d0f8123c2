// A model of systemd-boot 257: which entry it takes, and how it changes the counter in the entry's
// name (src/boot/boot.c: boot_entry_compare, config_select_default_entry,
// boot_entry_bump_counters). Pure functions, so that tests, fakes and proofs run the model that
// decides on a machine.
//
// The model leaves out the machine id of Type #1 entries with HostOS's sort key and further
// profiles of one image: neither can move an entry ahead of HostOS's that the model puts behind.
// What a person picks in the menu, and the firmware's own BootOrder, are outside the model.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bootctl/boot_control.h"

namespace hostos {

// The loader's id of an entry, which preferences are matched against: the file name without the
// counter; in lower case if it has no counter.
std::string LoaderId(const BootEntry& entry);

// Sorts as the loader does, then moves the entry to the front that boots when nobody presses a key.
// Returns the preference that decided, or null when the order did.
const LoaderPreference* OrderAsLoader(std::vector<BootEntry>& entries,
                                      std::span<const LoaderPreference> preferences);

// Changes the entry as the loader does when it starts it: one try fewer left, one more done. An
// uncounted entry stays unchanged. One with none left still counts up, and still boots.
void SpendTry(BootEntry& entry);

}  // namespace hostos
