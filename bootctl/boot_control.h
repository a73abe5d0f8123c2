// What boots: the two slots in the partition table, and the boot entries that name them. One
// interface; the systemd-boot backend is behind it, and a fake that counts and falls back as the
// loader does stands in for it in tests.
//
// Every verb is idempotent and derives what it does from the disk, never from a cache. A verb that
// changes something returns only when the change is on stable storage and was read back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
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

// One entry the loader would offer: a unified kernel image in EFI/Linux on the ESP, or a Type #1
// entry, a text that names one. Entries that are not HostOS's are listed too, because they can boot
// first.
struct BootEntry {
  std::string file;            // "hostos_1.1.0_94cf66c6+3.efi"; Type #1: "loader/entries/x.conf"
  std::string version;         // IMAGE_VERSION, else VERSION, VERSION_ID, BUILD_ID, of .osrel
  std::optional<Tries> tries;  // absent: blessed, not counted
  // roothash= of the .cmdline section of its image: the slot it boots. All zero for an image that
  // has none or that is cut short, or is not in EFI/Linux: it boots no slot.
  Digest root_hash;
  uint64_t size = 0;
  std::optional<std::string> sort_key;  // IMAGE_ID, else ID, of .osrel

  bool exhausted() const { return tries && tries->left == 0; }
  bool untried() const { return tries && tries->left > 0 && tries->done == 0; }
  bool is_type1() const { return file.contains('/'); }
};

// The entry of a self-test with this counter, as BootEntry::file: a Type #1 entry that boots the
// image of the running release.
std::string SelfTestFile(Tries tries);
bool IsSelfTestFile(std::string_view file);  // with any counter, or left of writing it

// A setting that makes the loader take the first entry whose id matches, whatever the order.
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
  // The root hash the two partition UUIDs spell; absent when the slot is labelled "_empty".
  std::optional<Digest> root_hash;
};

struct EspSpace {
  std::string path;                                       // "/efi"
  uint64_t size = 0;                                      // bytes
  uint64_t free = 0;                                      // bytes
  std::vector<std::pair<std::string, uint64_t>> unknown;  // files HostOS does not know, with sizes
};

struct BootState {
  Slot running = Slot::A;    // by the device under "/", not by its hash
  Digest running_root_hash;  // of the kernel command line
  std::string booted_entry;  // file name as it is now; empty when the loader did not say
  bool on_trial = false;     // the running entry is still counted
  // No slot runs, but the rescue system; `running` is the slot that it leaves alone.
  bool rescue = false;
  SlotState slots[2];              // [0] is A
  std::vector<BootEntry> entries;  // in the order the loader would offer them: [0] boots next
  std::vector<LoaderPreference> preferences;  // strongest first; already applied to `entries`
  std::vector<std::string> selftest;          // every file of a self-test, an entry or not
  EspSpace esp;
  // Other disks, by kernel name, with partitions of the same UUIDs as this node's: written from the
  // same image, or a copy. Nothing is read from them, nothing written to them.
  std::vector<std::string> twins;

  const SlotState& slot(Slot s) const { return slots[static_cast<int>(s)]; }
  // The best image with a slot's root hash; null when nothing boots that slot.
  const BootEntry* EntryOf(Slot s) const;
  // The rescue that the loader takes when no release has a try left; null when there is none.
  const BootEntry* Rescue() const;
  // The slot that boots next; absent when that is not certain: nothing boots, something that is not
  // a slot boots first, or both slots hold the release that boots.
  std::optional<Slot> next() const;
};

struct EspFile {
  std::string path;   // from the ESP's root
  uint64_t size = 0;  // as its directory says
};

// What can change what a boot runs, beside entries and slots. Nothing is decided by it: it is
// compared with what was signed, or told.
struct BootSurface {
  std::vector<EspFile> files;         // all of the ESP
  std::vector<std::string> settings;  // of loader/loader.conf: "timeout 0"
  std::string command_line;           // that the kernel got
  // That of the running slot's boot image; absent when there is none, or when it cannot be read.
  std::optional<std::string> image_command_line;
  // EFI variable SystemdOptions, which systemd takes for more of the command line.
  std::optional<std::string> systemd_options;
};

class BootControl {
 public:
  virtual ~BootControl() = default;

  virtual Result<BootState> Read() = 0;

  virtual Result<BootSurface> ReadSurface() = 0;
  // SHA-256 of a file on the ESP, by its path from the root.
  virtual Result<Digest> HashEspFile(const std::string& path) = 0;

  // Makes it impossible to choose the slot: removes every entry with its root hash, then gives its
  // partitions random UUIDs and the label "_empty". Refused for the running slot.
  virtual Result<> Invalidate(Slot slot) = 0;

  // Makes the slot the next one to boot, for `tries` attempts: partition UUIDs from the root hash
  // and label "hostos_<version>", then the UKI under a name the loader ignores, fsync, hash checked
  // against `release.uki_digest`, and one rename to "hostos_<version>_<hash8>+<tries>.efi".
  // `uki` is read from its start. Fails unless the entry, read back, is the one that boots next.
  virtual Result<> Arm(Slot slot, const Release& release, int uki, uint32_t tries) = 0;

  // Ends the trial of the running entry: removes the counter from its name. A success when it
  // already has none.
  virtual Result<> Bless() = 0;

  // Gives the slot's entry so many tries, as if it had just been armed. kNotFound when no entry of
  // ours boots the slot.
  virtual Result<> Recount(Slot slot, uint32_t tries) = 0;

  // Takes away a counter of which nothing was spent; leaves an entry alone that was tried, or has
  // no tries.
  virtual Result<> Uncount(Slot slot) = 0;

  // SHA-256 of the slot's boot image; kNotFound when no entry of ours boots the slot.
  virtual Result<Digest> HashImage(Slot slot) = 0;

  // Leaves the slot's entry no tries, so that the loader takes another one first. Fails when the
  // slot would still boot next (there is no other).
  virtual Result<> MarkBad(Slot slot) = 0;

  // Makes this image the one rescue on the ESP: written under a name the loader ignores, fsync,
  // read back and compared, then renamed to a name of its own; only then the others are removed, so
  // that a whole rescue is there at each moment. `image` is read from its start. kNotTrusted for
  // other bytes or another kind of image; refused when it would boot before a release. A success
  // when it is there already.
  virtual Result<> SetRescue(const RescueImage& rescue, int image) = 0;

  // SHA-256 of the rescue that the loader would take; kNotFound when there is none.
  virtual Result<Digest> HashRescue() = 0;

  // Makes the image of the running release boot next by an entry of its own, for two attempts;
  // then its usual one boots again. Replaces what there is of a self-test. kNotSupported when the
  // usual entry is not the one that boots next, or not by the loader's own order.
  virtual Result<> AddSelfTest() = 0;

  // Removes every file of a self-test. A success when there is none.
  virtual Result<> RemoveSelfTest() = 0;

  // Gives a disk that has the UUIDs of its image some of its own, so that no other disk passes for
  // it. Nothing is done where a boot entry of the firmware names the ESP by its UUID.
  virtual Result<> MakeOwn() = 0;

  // Removes what an Arm or a SetRescue that was cut short left on the ESP: under a name that the
  // loader ignores, or under one that the file system's check gave it.
  virtual Result<> RemoveTemporaries() = 0;
};

// The order systemd-boot 257 gives entries of one machine: those with tries left (or uncounted)
// before the exhausted, then newer versions first, then file names downwards. Sorts in place.
void SortAsLoader(std::vector<BootEntry>& entries);

// Compares versions by the UAPI version format specification (UAPI.10), as systemd-boot does.
std::strong_ordering CompareVersions(std::string_view a, std::string_view b);

}  // namespace hostos
