#include "bootctl/boot_control.h"

#include <algorithm>

#include "bootctl/entry_name.h"

namespace hostos {

static constexpr std::string_view kSelfTest = "loader/entries/hostos-selftest";

std::string SelfTestFile(Tries tries) {
  return FormatEntryName(kSelfTest, tries, ".conf");
}

bool IsSelfTestFile(std::string_view file) {
  return file.starts_with(kSelfTest);
}

const BootEntry* BootState::EntryOf(Slot s) const {
  if (!slot(s).root_hash) return nullptr;
  for (const BootEntry& entry : entries)
    if (entry.root_hash == *slot(s).root_hash && !entry.is_type1()) return &entry;
  return nullptr;
}

const BootEntry* BootState::Rescue() const {
  const auto first = std::ranges::find_if(entries, IsRescue);
  return first == entries.end() ? nullptr : &*first;
}

std::optional<Slot> BootState::next() const {
  if (entries.empty()) return std::nullopt;
  const Digest& root_hash = entries.front().root_hash;
  const bool in_a = slot(Slot::A).root_hash == root_hash;
  const bool in_b = slot(Slot::B).root_hash == root_hash;
  if (in_a == in_b) return std::nullopt;
  return in_a ? Slot::A : Slot::B;
}

}  // namespace hostos
