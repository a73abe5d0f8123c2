// The names of boot entries: counters as systemd's Automatic Boot Assessment writes them, and the
// names of HostOS's own entries. Those are unique to a release: a FAT rename that is cut short can
// leave both names or neither, and the name alone must tell what was found.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bootctl/boot_control.h"

namespace hostos {

struct EntryName {
  std::string stem;            // the name without counter and suffix
  std::optional<Tries> tries;  // absent: not counted
};

// Parses "name[+LEFT[-DONE]]SUFFIX" as the loader does: the last '+' begins the counter, both
// numbers are at most 2^31-1, and anything that does not parse as a counter belongs to the name.
// `suffix` is compared without case, as on FAT. Absent for a name the loader does not list: another
// suffix, a leading dot, or a leading "auto-".
std::optional<EntryName> ParseEntryName(std::string_view file, std::string_view suffix = ".efi");

// "stem.efi", "stem+3.efi" while no try is spent, else "stem+2-1.efi".
std::string FormatEntryName(std::string_view stem, std::optional<Tries> tries,
                            std::string_view suffix = ".efi");

// "hostos_<version>_<first 8 hex digits of the root hash>".
std::string ReleaseStem(std::string_view version, const Digest& root_hash);
bool IsReleaseStem(std::string_view stem);

// Whether a version fits into a file name on FAT and into a GPT partition name (36 characters,
// "hostos_" included): 1 to 29 of [0-9A-Za-z.~^-].
bool IsReleaseVersion(std::string_view version);

// The name of an image until it becomes an entry. The loader lists only *.efi.
std::string TemporaryName(std::string_view stem);
// Whether HostOS writes files of this name: a temporary or an entry. A crash can leave either.
bool IsReleaseFile(std::string_view file);

// The rescue system: an image without a root, never counted. Its sort key begins with the releases'
// own, so it sorts after every release that has tries left and before those that have none. Its
// name is unique to its bytes, so a new rescue is written whole while the old one stays.
// kRescueFile is the name on disks made before releases brought a rescue.
inline constexpr std::string_view kReleaseId = "hostos";  // IMAGE_ID of every release, the sort key
inline constexpr std::string_view kRescueId = "hostos-rescue";    // its IMAGE_ID, the sort key
inline constexpr std::string_view kRescueWord = "hostos.rescue";  // on its kernel command line
inline constexpr std::string_view kRescueFile = "hostos-rescue.efi";
// "hostos-rescue_<first 16 hex digits of the SHA-256>".
std::string RescueStem(const Digest& digest);
std::string RescueFile(const Digest& digest);
// Under either name, or under the temporary name that a crash can leave.
bool IsRescueFile(std::string_view file);
inline bool IsRescue(const BootEntry& entry) {
  return IsRescueFile(entry.file);
}

}  // namespace hostos
