#include "tests/powercut/outcome.h"

#include <algorithm>
#include <sstream>

#include "bootctl/entry_name.h"
#include "bootctl/gpt.h"
#include "bootctl/loader.h"
#include "tests/bootctl/disk_machine.h"

namespace hostos {
namespace {

constexpr std::string_view kEmpty =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// What mtools finds in EFI/Linux: the names a FAT driver shows.
std::vector<std::string> Names(const std::string& esp) {
  std::vector<std::string> names;
  std::istringstream lines(Run("mdir -b -i " + esp + " ::EFI/Linux 2>/dev/null || true"));
  for (std::string line; std::getline(lines, line);)
    if (const size_t slash = line.rfind('/'); slash + 1 < line.size())
      names.push_back(line.substr(slash + 1));
  return names;
}

// SHA-256 of a file on the ESP.
std::string DigestOf(const std::string& esp, const std::string& file) {
  return Run("mtype -i " + esp + " '::EFI/Linux/" + file + "' 2>/dev/null | sha256sum")
      .substr(0, 64);
}

}  // namespace

Result<Outcome> WouldBoot(const std::string& esp, const std::string& table,
                          const std::vector<Release>& releases, const bool (&whole)[2]) {
  std::vector<BootEntry> entries;
  for (const std::string& name : Names(esp)) {
    const std::optional<EntryName> parsed = ParseEntryName(name);
    if (!parsed) continue;
    // By its content: a name that was torn may say anything.
    const std::string digest = DigestOf(esp, name);
    if (digest == kEmpty) continue;  // no image: the loader passes it over
    const auto release = std::ranges::find(
        releases, digest, [](const Release& each) { return each.uki_digest.Hex(); });
    BootEntry entry{.file = name, .version = "", .tries = parsed->tries, .sort_key = "hostos"};
    if (release != releases.end()) {
      entry.version = release->version;
      entry.root_hash = release->root_hash;
    }
    entries.push_back(entry);
  }
  OrderAsLoader(entries, {});
  Outcome outcome;
  if (entries.empty()) {
    outcome.broken = "no entry";
    return outcome;
  }
  const BootEntry& first = entries.front();
  outcome.version = first.version;
  outcome.file = first.file;
  if (first.version.empty()) {
    outcome.broken = "the image is none of a release";
    return outcome;
  }
  const Result<PartitionTable> partitions = ReadPartitionTable(table);
  if (!partitions) {
    outcome.broken = "partition table: " + partitions.error().message;
    return outcome;
  }
  for (Slot slot : {Slot::A, Slot::B}) {
    if (RootHashOf(partitions->slot(slot)) != first.root_hash) continue;
    if (!whole[static_cast<int>(slot)]) outcome.broken = "its slot is not written";
    return outcome;
  }
  outcome.broken = "no slot has its root hash";
  return outcome;
}

}  // namespace hostos
