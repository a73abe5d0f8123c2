// What a verb of BootControl may do and what it removes, decided on the state alone and before
// anything changes. systemd-boot's backend and the fake in tests follow the same rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bootctl/boot_control.h"

namespace hostos {

// The files in EFI/Linux that keep `slot` from being cleanly without an entry: entries that boot it
// (unless the other slot holds the same root hash), and entries of ours whose root hash is in no
// slot, which would boot into nothing. Arming `release` also takes away what boots it already.
std::vector<std::string> ObsoleteEntries(const BootState& state, Slot slot,
                                         const Release* release = nullptr);

// Refused for the running slot.
Result<> MayInvalidate(const BootState& state, Slot slot);

// `entry` is what Arm would add. Refused for the running slot, for a release that is in the other
// slot, for a version that does not fit into a name, for no tries, and, with kNotSupported naming
// both, when the loader would take something else before it.
Result<> MayArm(const BootState& state, Slot slot, const Release& release, const BootEntry& entry);

// The same where there must be one: else kNotFound.
Result<BootEntry> ExistingNameOf(const BootState& state, Slot slot);

// Refused when the slot would boot next all the same, or only the rescue system would.
Result<> MayMarkBad(const BootState& state, Slot slot);

// The entries of ours with a root hash: one, or the two names that a rename cut short left beside
// each other. The one that counts comes first: counted before uncounted, then fewer tries left,
// then more done, so that a crash never gives a release a try more and never blesses it.
std::vector<BootEntry> NamesOf(const BootState& state, const Digest& root_hash);

// The first of them for a slot.
std::optional<BootEntry> NameOf(const BootState& state, Slot slot);

// Is the running entry still counted? Not when it has no tries left of which none was spent: so
// MarkBad leaves a blessed release that is given up, and there is nothing left to decide about it
// in this boot.
bool OnTrial(const BootState& state);

// The present name of the entry the loader calls `id`, renamed since or not; of two names that a
// crash left, the one that counts. "" when there is none.
std::string PresentName(const BootState& state, const std::string& id);

// The entry that AddSelfTest would add, which boots `image`. Refused when it would prove nothing:
// kNotSupported says what the loader would take in place of it, or after it, and why.
struct SelfTestEntry {
  BootEntry entry;
  std::string image;
};
Result<SelfTestEntry> MaySelfTest(const BootState& state);

// `entry` is what SetRescue would add. kNotSupported when the loader would take it where now it
// takes a release that has tries left.
Result<> MaySetRescue(const BootState& state, const BootEntry& entry);

// The rescues on the ESP but the one with this name.
std::vector<std::string> OtherRescues(const BootState& state, std::string_view file);

// The counter of an entry that is marked bad.
Tries Exhausted(const BootEntry& entry);

// kNoSpace, with what is needed, what is free, where, and the files HostOS does not know, when an
// image of `size` bytes does not fit. `reclaimable` bytes will be freed before it is written.
Result<> CheckEspSpace(const EspSpace& esp, std::string_view what, uint64_t size,
                       uint64_t reclaimable = 0);

}  // namespace hostos
