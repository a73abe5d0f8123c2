// What a BootControl verb may do and what it removes. Decided on the state alone, before anything
// changes. SystemdBoot and the fake in tests follow the same rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bootctl/boot_control.h"

namespace hostos {

// The files in EFI/Linux to remove so that no entry boots `slot`: entries that boot it (unless the
// other slot holds the same root hash), and HostOS entries whose root hash is in no slot, which
// could not boot. With `release`, also the entries that already boot that release.
std::vector<std::string> ObsoleteEntries(const BootState& state, Slot slot,
                                         const Release* release = nullptr);

// Refused for the slot that is not to be written.
Result<> MayInvalidate(const BootState& state, Slot slot);

// `entry` is what Arm would add. Refused for the running slot, for a release that the other slot
// holds, for a version that does not fit into a name, and for no tries. kNotSupported, naming both
// entries, when the loader would take another one first.
Result<> MayArm(const BootState& state, Slot slot, const Release& release, const BootEntry& entry);

// NameOf() for a slot that must have an entry; kNotFound otherwise.
Result<BootEntry> ExistingNameOf(const BootState& state, Slot slot);

// Refused when the slot would still boot next, or when only the rescue system would.
Result<> MayMarkBad(const BootState& state, Slot slot);

// HostOS's entries with a root hash: one, or the two names that an interrupted rename left. The one
// that counts comes first: counted before uncounted, then fewer tries left, then more done. So a
// crash never gives a release an extra try and never blesses it.
std::vector<BootEntry> NamesOf(const BootState& state, const Digest& root_hash);

// The first of NamesOf() for a slot.
std::optional<BootEntry> NameOf(const BootState& state, Slot slot);

// Whether the running entry is still counted. An entry with no tries left and none done is not:
// that is what MarkBad makes of a blessed release, and this boot has nothing left to decide.
bool OnTrial(const BootState& state, const Digest& running);

// The present file name of the entry the loader calls `id`, even if it was renamed since. Of two
// names that a crash left, the one that counts. "" when there is none.
std::string PresentName(const BootState& state, const std::string& id);

// The entry that AddSelfTest would add, and the `image` it boots. Refused when the test would prove
// nothing: kNotSupported says what the loader would take instead of it, or after it, and why.
struct SelfTestEntry {
  BootEntry entry;
  std::string image;
};
Result<SelfTestEntry> MaySelfTest(const BootState& state);

// `entry` is what SetRescue would add. kNotSupported when the loader would take it instead of a
// release that has tries left.
Result<> MaySetRescue(const BootState& state, const BootEntry& entry);

// The rescues on the ESP except the one with this name.
std::vector<std::string> OtherRescues(const BootState& state, std::string_view file);

// The counter that marks this entry bad.
Tries Exhausted(const BootEntry& entry);

// kNoSpace when an image of `size` bytes does not fit; the message says what is needed, what is
// free, where, and which files HostOS does not know. `reclaimable` bytes will be freed before the
// write.
Result<> CheckEspSpace(const EspSpace& esp, std::string_view what, uint64_t size,
                       uint64_t reclaimable = 0);

}  // namespace hostos
