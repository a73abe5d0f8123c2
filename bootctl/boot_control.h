// Controls what boots: the two slots in the partition table and the boot entries that name them.
// BootControl is the interface. SystemdBoot implements it; in tests a fake stands in for it, which
// counts tries and falls back as the loader does.
//
// Every verb is idempotent and reads the disk each time, never a cache. A verb that changes
// something returns only when the change is on stable storage and has been read back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "updater/base/release.h"
#include "updater/base/result.h"

namespace hostos {

// Boot counting in an entry's file name: "name+LEFT-DONE.efi" (systemd, Automatic Boot Assessment).
struct Tries {
  uint32_t left = 0;
  uint32_t done = 0;
  auto operator<=>(const Tries&) const = default;
};

// One entry the loader would offer: a unified kernel image (UKI) in EFI/Linux on the ESP, or a Type
// #1 entry, a text file that names an image. Entries of other systems are listed too, because they
// can boot first.
struct BootEntry {
  std::string file;            // "hostos_1.1.0_94cf66c6+3.efi"; Type #1: "loader/entries/x.conf"
  std::string version;         // IMAGE_VERSION of .osrel, else VERSION, VERSION_ID, BUILD_ID
  std::optional<Tries> tries;  // absent: not counted, because it is blessed
  // The roothash= in the .cmdline section of its image, which tells the slot it boots. All zero if
  // the entry boots no slot: no roothash=, an image that is cut short, or one that is not in
  // EFI/Linux.
  Digest root_hash;
  uint64_t size = 0;
  std::optional<std::string> sort_key;  // IMAGE_ID of .osrel, else ID

  bool exhausted() const { return tries && tries->left == 0; }
  bool untried() const { return tries && tries->left > 0 && tries->done == 0; }
  bool is_type1() const { return file.contains('/'); }
};

// The self-test's entry with this counter, as in BootEntry::file: a Type #1 entry that boots the
// image of the running release.
std::string SelfTestFile(Tries tries);
bool IsSelfTestFile(std::string_view file);  // any counter; also an unfinished file

// A setting that makes the loader take the first entry whose id matches, regardless of the order.
struct LoaderPreference {
  std::string source;   // "EFI variable LoaderEntryDefault", "loader/loader.conf"
  std::string pattern;  // fnmatch(3), lower case
};

struct SlotState {
  std::string label;        // GPT partition name
  std::string data_device;  // "/dev/vda2"
  std::string verity_device;
  uint64_t data_capacity = 0;    // bytes
  uint64_t verity_capacity = 0;  // bytes
  // The root hash that the two partition UUIDs spell; absent when the slot is labelled "_empty".
  std::optional<Digest> root_hash;
};

struct EspSpace {
  std::string path;                                       // "/efi"
  uint64_t size = 0;                                      // bytes
  uint64_t free = 0;                                      // bytes
  std::vector<std::pair<std::string, uint64_t>> unknown;  // files HostOS does not know, with sizes
};

// A release that runs from its slot.
struct RunningRelease {
  Slot slot = Slot::A;    // by the device under "/", not by its hash
  Digest root_hash;       // of the kernel command line
  bool on_trial = false;  // its entry is still counted
};

// The rescue system runs from the ESP. It makes one slot boot again, and leaves the other alone.
struct RunningRescue {
  Slot target = Slot::A;
};

struct BootState {
  std::variant<RunningRelease, RunningRescue> running;
  std::string booted_entry;        // its present file name; empty when the loader did not say
  SlotState slots[2];              // [0] is A
  std::vector<BootEntry> entries;  // in the loader's order: [0] boots next
  std::vector<LoaderPreference> preferences;  // strongest first; already applied to `entries`
  std::vector<std::string> selftest;          // all files of a self-test, entries or not
  EspSpace esp;
  // Other disks, by kernel name, that have partitions with this node's UUIDs: written from the same
  // image, or a copy of this disk. They are neither read nor written.
  std::vector<std::string> twins;

  // Null in the rescue system.
  const RunningRelease* release() const { return std::get_if<RunningRelease>(&running); }
  bool on_trial() const { return release() && release()->on_trial; }
  // The slot that may be written, and the one that may not: what runs is in it, or the rescue
  // system leaves it alone.
  Slot target() const {
    return release() ? Other(release()->slot) : std::get<RunningRescue>(running).target;
  }
  Slot staying() const { return Other(target()); }
  const SlotState& slot(Slot s) const { return slots[static_cast<int>(s)]; }
  // What the slot holds. Of the running release the kernel says it; of others their partitions.
  std::optional<Digest> RootOf(Slot s) const {
    return release() && release()->slot == s ? release()->root_hash : slot(s).root_hash;
  }
  // The first image in the loader's order with the slot's root hash; null when nothing boots that
  // slot.
  const BootEntry* EntryOf(Slot s) const;
  // The rescue that the loader takes once no release has tries left; null when there is none.
  const BootEntry* Rescue() const;
  // The slot that boots next. Absent when that is uncertain: nothing boots, the first entry boots
  // no slot, or both slots hold the release that boots.
  std::optional<Slot> next() const;
};

struct EspFile {
  std::string path;   // from the ESP's root
  uint64_t size = 0;  // as its directory says
};

// Whatever else, besides entries and slots, can change what a boot runs. It decides nothing: it is
// only compared with what was signed, or reported.
struct BootSurface {
  std::vector<EspFile> files;         // every file on the ESP
  std::vector<std::string> settings;  // the lines of loader/loader.conf: "timeout 0"
  std::string command_line;           // as the kernel got it
  // The command line in the running slot's boot image; absent when there is no image, or when it
  // cannot be read.
  std::optional<std::string> image_command_line;
  // EFI variable SystemdOptions: systemd treats it as part of the command line.
  std::optional<std::string> systemd_options;
};

class BootControl {
 public:
  virtual ~BootControl() = default;

  virtual Result<BootState> Read() = 0;

  virtual Result<BootSurface> ReadSurface() = 0;
  // SHA-256 of a file on the ESP, by its path from the ESP's root.
  virtual Result<Digest> HashEspFile(const std::string& path) = 0;

  // Makes the slot unbootable: removes every entry with its root hash, then gives its partitions
  // random UUIDs and the label "_empty". Refused for the running slot.
  virtual Result<> Invalidate(Slot slot) = 0;

  // Makes the slot boot next, for `tries` attempts. In this order: gives the partitions the UUIDs
  // of the root hash and the label "hostos_<version>"; writes the UKI under a name the loader
  // ignores; fsync; checks its hash against `release.uki_digest`; renames it, once, to
  // "hostos_<version>_<hash8>+<tries>.efi". Reads `uki` from its start. Fails unless the entry,
  // read back, boots next.
  virtual Result<> Arm(Slot slot, const Release& release, int uki, uint32_t tries) = 0;

  // As in systemd's Automatic Boot Assessment, an entry without a counter is good, one with tries
  // left is indeterminate, and one without tries left is bad.

  // Ends the trial of the running entry: removes the counter from its name. Succeeds if it has
  // none.
  virtual Result<> MarkGood() = 0;

  // Gives the slot's entry this many tries, as if it had just been armed. kNotFound when no HostOS
  // entry boots the slot.
  virtual Result<> MarkIndeterminate(Slot slot, uint32_t tries) = 0;

  // Removes a counter from which no try was spent. Leaves an entry alone if it was tried or has no
  // tries left.
  virtual Result<> MarkGoodIfUntried(Slot slot) = 0;

  // SHA-256 of the slot's boot image; kNotFound when no HostOS entry boots the slot.
  virtual Result<Digest> HashImage(Slot slot) = 0;

  // Sets the tries of the slot's entry to 0, so that the loader prefers another entry. Fails when
  // the slot would still boot next because there is no other.
  virtual Result<> MarkBad(Slot slot) = 0;

  // Makes this image the only rescue on the ESP. It is written under a name the loader ignores,
  // synced, read back and compared, then renamed to its own name. Only then are other rescues
  // removed, so a whole rescue is there at every moment. Reads `image` from its start. kNotTrusted
  // for other bytes or another kind of image; refused when it would boot before a release. Succeeds
  // if it is there already.
  virtual Result<> SetRescue(const RescueImage& rescue, int image) = 0;

  // SHA-256 of the rescue that the loader would take; kNotFound when there is none.
  virtual Result<Digest> HashRescue() = 0;

  // Makes the running release's image boot next through an entry of its own, for two attempts; then
  // the usual entry boots again. Replaces any earlier self-test. kNotSupported when the usual entry
  // does not boot next, or does so for another reason than the loader's own order.
  virtual Result<> AddSelfTest() = 0;

  // Removes every file of a self-test. Succeeds if there is none.
  virtual Result<> RemoveSelfTest() = 0;

  // If the disk still has the UUIDs of its image, gives it its own, so that it cannot be confused
  // with another disk. Does nothing when a firmware boot entry names the ESP by its UUID.
  virtual Result<> MakeOwn() = 0;

  // Removes what an interrupted Arm or SetRescue left on the ESP: files under a name that the
  // loader ignores, and files that the check of the file system recovered.
  virtual Result<> RemoveTemporaries() = 0;
};

// Sorts in place as systemd-boot 257 orders the entries of one machine: entries with tries left (or
// uncounted) before exhausted ones, then newer versions first, then file names in descending order.
void SortAsLoader(std::vector<BootEntry>& entries);

// Compares versions as systemd-boot does, by the UAPI version format specification (UAPI.10).
std::strong_ordering CompareVersions(std::string_view a, std::string_view b);

}  // namespace hostos
