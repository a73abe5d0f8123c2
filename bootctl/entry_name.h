// The names of boot entries: counters as systemd's Automatic Boot Assessment writes them, and the
// names HostOS gives its own. They are unique to a release, because a FAT rename that is cut short
// can leave both names or neither: what is found is told apart by the name alone.
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

// "name[+LEFT[-DONE]]SUFFIX", read as the loader reads it: the last '+' counts, both numbers are at
// most 2^31-1, and what does not parse as a counter belongs to the name. `suffix` is compared
// without case, as on FAT. Absent for a name the loader does not list: another suffix, a leading
// dot or "auto-".
std::optional<EntryName> ParseEntryName(std::string_view file, std::string_view suffix = ".efi");

// "stem.efi", "stem+3.efi" while nothing is done, else "stem+2-1.efi".
std::string FormatEntryName(std::string_view stem, std::optional<Tries> tries,
                            std::string_view suffix = ".efi");

// "hostos_<version>_<first 8 hex digits of the root hash>".
std::string ReleaseStem(std::string_view version, const Digest& root_hash);
bool IsReleaseStem(std::string_view stem);

// Whether a version can stand in a file name on FAT and in a GPT partition name (36 characters,
// "hostos_" included): 1 to 29 of [0-9A-Za-z.~^-].
bool IsReleaseVersion(std::string_view version);

// The name under which an image is written before it is an entry. The loader lists *.efi only.
std::string TemporaryName(std::string_view stem);
// Is it a file of ours that a crash can have left: a temporary or an entry?
bool IsReleaseFile(std::string_view file);

// The rescue system, an image without a root: never counted, and by its sort key, which begins with
// the releases' own, after every release that has tries left and before those that have none. Its
// name is unique to its bytes, so that a new one is written whole while the old one stays. The
// other name is that of disks made before releases brought a rescue.
inline constexpr std::string_view kRescueId = "hostos-rescue";    // its IMAGE_ID, the sort key
inline constexpr std::string_view kRescueWord = "hostos.rescue";  // of its kernel command line
inline constexpr std::string_view kRescueFile = "hostos-rescue.efi";
// "hostos-rescue_<first 16 hex digits of the SHA-256>".
std::string RescueStem(const Digest& digest);
std::string RescueFile(const Digest& digest);
// Under either name, or the temporary one that a crash can have left.
bool IsRescueFile(std::string_view file);
inline bool IsRescue(const BootEntry& entry) {
  return IsRescueFile(entry.file);
}

}  // namespace hostos
