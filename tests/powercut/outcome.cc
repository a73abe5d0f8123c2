#include "tests/powercut/outcome.h"

#include <fcntl.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "bootctl/entry_name.h"
#include "bootctl/gpt.h"
#include "bootctl/loader.h"
#include "tests/bootctl/disk_machine.h"
#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

// What mtools finds in EFI/Linux: the names that a FAT driver shows.
std::vector<std::string> Names(const std::string& esp) {
  std::vector<std::string> names;
  std::istringstream lines(Run("mdir -b -i " + esp + " ::EFI/Linux 2>/dev/null || true"));
  for (std::string line; std::getline(lines, line);)
    if (const size_t slash = line.rfind('/'); slash + 1 < line.size())
      names.push_back(line.substr(slash + 1));
  return names;
}

// The digest of a file on the ESP; absent when the file is empty. Thousands of states share a few
// files, so a file that was hashed before is recognized by a hash that is faster than SHA-256.
std::optional<Digest> DigestOf(const std::string& esp, const std::string& file) {
  static std::unordered_map<size_t, Digest> known;
  static std::string content;  // reuses its memory
  content.clear();
  FILE* pipe =
      ::popen(("mtype -i " + esp + " '::EFI/Linux/" + file + "' 2>/dev/null").c_str(), "re");
  (void)::fcntl(::fileno(pipe), F_SETPIPE_SZ, 1 << 20);
  static char buffer[1 << 20];
  while (const size_t size = ::fread(buffer, 1, sizeof buffer, pipe)) content.append(buffer, size);
  ::pclose(pipe);  // what cannot be read does not exist
  if (content.empty()) return std::nullopt;
  const auto [digest, is_new] = known.try_emplace(std::hash<std::string>{}(content));
  if (is_new) digest->second = Sha256::Of(AsBytes(content));
  return digest->second;
}

}  // namespace

std::string FilesOf(const std::string& esp) {
  return Run(
      std::format("mdir -i {0} ::EFI/Linux 2>/dev/null | grep -v 'bytes free$';"
                  "mshowfat -i {0} '::EFI/Linux/*' 2>/dev/null || true",
                  esp));
}

Result<Outcome> WouldBoot(const std::string& esp, const std::string& table,
                          const std::vector<Release>& releases, const bool (&whole)[2]) {
  std::vector<BootEntry> entries;
  // True from the start if no release brings a rescue. Otherwise a whole rescue must be there, the
  // old one or the new one.
  bool rescue =
      std::ranges::none_of(releases, [](const Release& r) { return r.rescue.has_value(); });
  for (const std::string& name : Names(esp)) {
    const std::optional<EntryName> parsed = ParseEntryName(name);
    if (!parsed) continue;
    // Identified by its content: a torn name may say anything.
    const std::optional<Digest> digest = DigestOf(esp, name);
    if (!digest) continue;  // not an image: the loader skips it
    const bool is_rescue = std::ranges::any_of(
        releases, [&](const Release& r) { return r.rescue && r.rescue->digest == *digest; });
    rescue |= is_rescue;
    const auto release = std::ranges::find(releases, *digest, &Release::uki_digest);
    BootEntry entry{.file = name,
                    .version = "",
                    .tries = parsed->tries,
                    .sort_key = is_rescue ? std::string(kRescueId) : "hostos"};
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
  if (!rescue) {
    outcome.broken = "no rescue is whole";
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
