#include "bootctl/systemd_boot.h"

#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ranges>

#include "bootctl/efivars.h"
#include "bootctl/entry_name.h"
#include "bootctl/esp.h"
#include "bootctl/gpt.h"
#include "bootctl/loader.h"
#include "bootctl/rules.h"
#include "bootctl/running_root.h"
#include "bootctl/uki.h"
#include "updater/base/atomic_file.h"
#include "updater/base/text.h"

namespace hostos {

// One look at the machine, on which a verb decides. Never kept from one verb to the next.
struct SystemdBoot::View {
  std::string disk_name;               // the kernel's name of the disk
  std::string disk;                    // its path
  std::optional<VerityNodes> running;  // under "/"; absent in the rescue system
  PartitionTable table;
  Esp esp;
  EspContents contents;
  BootState state;
};

namespace {

// In the run directory: says that the ESP got another UUID in this boot.
constexpr char kRenamed[] = "/own-uuids";

bool HasWord(std::string_view line, std::string_view word) {
  return std::ranges::any_of(std::views::split(line, ' '), [&](auto part) {
    std::string_view found(part);
    if (found.ends_with('\n')) found.remove_suffix(1);
    return found == word;
  });
}

uint16_t MachineOf(const PartitionTable& table) {
  return table.architecture == "arm64" ? kMachineArm64 : kMachineX64;
}

SlotState StateOf(const SlotPartitions& slot) {
  SlotState state;
  state.label = slot.data.label;
  state.data_device = slot.data.device;
  state.verity_device = slot.verity.device;
  state.data_capacity = slot.data.size;
  state.verity_capacity = slot.verity.size;
  state.root_hash = RootHashOf(slot);
  return state;
}

// The slot whose two partitions are under "/".
Result<Slot> RunningSlot(const PartitionTable& table, const VerityNodes& nodes) {
  auto is = [&](const SlotPartitions& slot, size_t data, size_t verity) {
    return slot.data.number == data && slot.verity.number == verity;
  };
  for (Slot slot : {Slot::A, Slot::B})
    if (is(table.slot(slot), nodes.first.number, nodes.second.number) ||
        is(table.slot(slot), nodes.second.number, nodes.first.number))
      return slot;
  const SlotPartitions &a = table.slot(Slot::A), &b = table.slot(Slot::B);
  return Fail(
      Code::kFailed,
      "the running system is on partitions {} and {} of {}, expected {} and {} (slot A) or {} "
      "and {} (slot B)",
      nodes.first.number, nodes.second.number, nodes.first.disk, a.data.number, a.verity.number,
      b.data.number, b.verity.number);
}

// Finds twins through udev's links, which name each partition by its disk and its UUID (rootfs:
// 61-hostos.rules).
std::vector<std::string> TwinsOf(const std::string& dev, const std::string& disk,
                                 const PartitionTable& table) {
  namespace fs = std::filesystem;
  std::vector<std::string> twins;
  std::error_code error;  // a missing directory means no twins
  const fs::path by_disk = dev + "/hostos/by-disk";
  for (fs::directory_iterator it(by_disk, error), end; !error && it != end; it.increment(error)) {
    const auto has = [&](const Partition& partition) {
      std::error_code ignored;
      return fs::is_symlink(it->path() / ToString(partition.uuid), ignored);
    };
    const auto has_slot = [&](const SlotPartitions& slot) {
      return has(slot.data) || has(slot.verity);
    };
    if (it->path().filename() != disk &&
        (has(table.esp) || std::ranges::any_of(table.slots, has_slot)))
      twins.push_back(it->path().filename());
  }
  std::ranges::sort(twins);
  return twins;
}

// A UUID as a GPT and a device path of the firmware store it: the first three groups of the text
// form are reversed (UEFI specification, "GUID and Time Formats").
Uuid MixedEndian(Uuid uuid) {
  std::reverse(uuid.begin(), uuid.begin() + 4);
  std::reverse(uuid.begin() + 4, uuid.begin() + 6);
  std::reverse(uuid.begin() + 6, uuid.begin() + 8);
  return uuid;
}

// Refuses, before anything changes, an image that is not the release's.
Result<Uki> CheckUki(int fd, const Release& release, const PartitionTable& table) {
  if (release.architecture != table.architecture)
    return Fail(Code::kNotSupported, "{} is for {}, this machine's slots are for {}",
                release.version, release.architecture, table.architecture);
  const Digest digest = TRY_CONTEXT("boot image", HashFile(fd, release.uki_size));
  if (digest != release.uki_digest)
    return Fail(Code::kNotTrusted, "boot image of {}: expected SHA-256 {}, found {}",
                release.version, release.uki_digest.Hex(), digest.Hex());
  return ReadUkiOf(fd, release);
}

}  // namespace

Result<SystemdBoot::View> SystemdBoot::Look() const {
  const std::string command_line = TRY(ReadFile(options_.command_line));
  if (options_.rescues && !HasWord(command_line, kRescueWord))
    return Fail(Code::kNotSupported, "this is not the rescue system: {} has no \"{}\"",
                options_.command_line, kRescueWord);
  std::optional<VerityNodes> running;
  if (!options_.rescues) running = TRY(FindRunningRoot(options_.root, options_.sys));
  Esp esp = TRY(Esp::Open(options_.esp));
  const std::string name = TRY(DiskName(running, esp));
  const std::string disk = options_.disk.empty() ? options_.dev + "/" + name : options_.disk;
  PartitionTable table = TRY(ReadPartitionTable(disk));
  EspContents contents = TRY(esp.Read(MachineOf(table)));
  View view{name, disk, running, std::move(table), std::move(esp), std::move(contents), {}};
  TRY(CheckMounted(view));

  BootState& state = view.state;
  for (Slot slot : {Slot::A, Slot::B})
    state.slots[static_cast<int>(slot)] = StateOf(view.table.slot(slot));
  state.entries = view.contents.entries;
  state.selftest = view.contents.selftest;
  state.esp = view.contents.space;
  state.twins = TwinsOf(options_.dev, view.disk_name, view.table);

  if (options_.rescues) {
    state.running = RunningRescue{*options_.rescues};
  } else {
    const std::optional<Digest> root_hash = RootHashOf(command_line);
    if (!root_hash)
      return Fail(Code::kFailed,
                  "{}: expected one roothash= of 64 hexadecimal digits, found \"{}\"",
                  options_.command_line, command_line.substr(0, command_line.find('\n')));
    state.running = RunningRelease{TRY(RunningSlot(view.table, *running)), *root_hash};
  }
  TRY(ReadLoader(view));
  TRY(CheckRunning(view));
  return view;
}

// The disk that "/" is on; in the rescue system, the disk whose ESP is mounted.
Result<std::string> SystemdBoot::DiskName(const std::optional<VerityNodes>& running,
                                          const Esp& esp) const {
  if (running) return running->first.disk;
  if (!options_.disk.empty()) return "";
  const dev_t device = TRY(esp.Device());
  return TRY_CONTEXT(options_.esp + ": expected the ESP to be mounted",
                     FindPartition(device, options_.sys))
      .disk;
}

// Reads the loader's settings, strongest first (config_select_default_entry), and the entry it
// started.
Result<> SystemdBoot::ReadLoader(View& view) const {
  auto variable = [&](const std::string& name) {
    return ReadLoaderVariable(options_.efivars, name);
  };
  BootState& state = view.state;
  auto prefer = [&](const std::string& source, const std::optional<std::string>& pattern) {
    if (pattern) state.preferences.push_back({source, *pattern});
  };
  const std::optional<std::string> once = TRY(variable("LoaderEntryOneShot"));
  const std::optional<std::string> saved = TRY(variable("LoaderEntryLastBooted"));
  std::optional<std::string> chosen = TRY(variable("LoaderEntryDefault"));
  std::optional<std::string> configured = view.contents.default_entry;
  if (chosen == "@saved") chosen = saved;
  if (configured == "@saved") configured = saved;
  prefer("EFI variable LoaderEntryOneShot", once);
  prefer("EFI variable LoaderEntryDefault", chosen);
  prefer("\"default\" in loader/loader.conf", configured);
  for (LoaderPreference& preference : state.preferences)
    preference.pattern = Lower(preference.pattern);
  OrderAsLoader(state.entries, state.preferences);

  // LoaderBootCountPath would be wrong here: when a counted image does not load, the firmware may
  // start the loader again, and that variable still names the image that failed.
  if (std::optional<std::string> id = TRY(variable("LoaderEntrySelected")))
    state.booted_entry = PresentName(state, *id);
  if (auto* running = std::get_if<RunningRelease>(&state.running))
    running->on_trial = OnTrial(state, running->root_hash);
  return {};
}

Result<> SystemdBoot::CheckRunning(const View& view) const {
  const BootState& state = view.state;
  if (const RunningRelease* running = state.release()) {
    const SlotState& slot = state.slot(running->slot);
    if (slot.root_hash != running->root_hash)
      return Fail(Code::kFailed,
                  "slot {} is running with root hash {}, but its partitions {} and {} say {}",
                  Name(running->slot), running->root_hash.Hex(), slot.data_device,
                  slot.verity_device, slot.root_hash ? slot.root_hash->Hex() : slot.label);
    for (const BootEntry& entry : state.entries)
      if (entry.file == state.booted_entry && entry.root_hash != running->root_hash)
        return Fail(Code::kFailed,
                    "the loader started {}, whose root hash is {}, but {} is running", entry.file,
                    entry.root_hash.Hex(), running->root_hash.Hex());
  }
  const std::optional<std::string> partition =
      TRY(ReadLoaderVariable(options_.efivars, "LoaderDevicePartUUID"));
  const auto loaders = [&](const Uuid& uuid) {
    return !partition || ::strcasecmp(partition->c_str(), ToString(uuid).c_str()) == 0;
  };
  // MakeOwn() may have changed the UUID since the loader started.
  const bool renamed = loaders(kImageEsp) && ::access((options_.run + kRenamed).c_str(), F_OK) == 0;
  if (!loaders(view.table.esp.uuid) && !renamed)
    return Fail(Code::kFailed, "the loader was started from partition {}, but the ESP of {} is {}",
                *partition, view.disk, ToString(view.table.esp.uuid));
  return {};
}

// A write to an unmounted ESP would land in the directory below and look like a success.
Result<> SystemdBoot::CheckMounted(const View& view) const {
  if (!options_.disk.empty()) return {};
  const dev_t device = TRY(view.esp.Device());
  const PartitionNode found = TRY_CONTEXT(options_.esp + ": expected the ESP to be mounted",
                                          FindPartition(device, options_.sys));
  const PartitionNode expected{view.disk_name, view.table.esp.number};
  if (found != expected)
    return Fail(Code::kFailed, "{}: expected partition {} of {} to be mounted, found {} of {}",
                options_.esp, expected.number, expected.disk, found.number, found.disk);
  return {};
}

Result<BootState> SystemdBoot::Read() {
  return std::move(TRY(Look()).state);
}

Result<BootSurface> SystemdBoot::ReadSurface() {
  View view = TRY(Look());
  BootSurface surface;
  surface.files = std::move(view.contents.files);
  surface.settings = std::move(view.contents.settings);
  surface.command_line = TRY(ReadFile(options_.command_line));
  if (const auto name = NameOf(view.state, view.state.staying()))
    surface.image_command_line = view.esp.CommandLine(name->file);
  auto options = ReadLoaderVariable(options_.efivars, "SystemdOptions", kSystemdVendor);
  // Anyone may write this variable, so it need not be text.
  surface.systemd_options = options ? *std::move(options) : options.error().message;
  return surface;
}

Result<Digest> SystemdBoot::HashEspFile(const std::string& path) {
  return TRY(Esp::Open(options_.esp)).Hash(path.contains('/') ? path : "./" + path);
}

Result<> SystemdBoot::SetIdentity(const View& view, Slot slot, const SlotIdentity& identity) const {
  TRY(SetSlotIdentity(view.disk, slot, identity));
  // udev renews /dev/disk/by-partuuid when it sees the write. It is asked once more, because a
  // worker that was probing at that moment may have seen the old table. Nothing needs the links
  // before the next boot, so errors are ignored.
  const SlotPartitions& partitions = view.table.slot(slot);
  for (const Partition* partition : {&partitions.data, &partitions.verity}) {
    const std::string name = partition->device.substr(partition->device.rfind('/') + 1);
    const std::string path = std::format("{}/class/block/{}/uevent", options_.sys, name);
    if (Result<UniqueFd> uevent = Open(path, O_WRONLY); uevent)
      (void)WriteFull(uevent->get(), AsBytes("change"));  // see above
  }
  return {};
}

// Removes the entries first, durably, then the partitions' identity: at no time is there an entry
// whose slot is gone.
Result<> SystemdBoot::Invalidate(Slot slot) {
  View view = TRY(Look());
  TRY(MayInvalidate(view.state, slot));
  std::vector<std::string> files = ObsoleteEntries(view.state, slot);
  std::ranges::copy(view.contents.leftovers, std::back_inserter(files));
  TRY(view.esp.Remove(files));
  if (!IdentityOf(view.table.slot(slot)).empty())
    TRY(SetIdentity(view, slot, SlotIdentity::Empty()));

  const BootState after = TRY(Read());
  if (after.slot(slot).root_hash || !ObsoleteEntries(after, slot).empty())
    return Fail(Code::kFailed, "slot {} is still marked valid after invalidating it", Name(slot));
  return {};
}

Result<> SystemdBoot::Arm(Slot slot, const Release& release, int uki, uint32_t tries) {
  View view = TRY(Look());
  BootState& state = view.state;
  const Uki image = TRY(CheckUki(uki, release, view.table));
  const std::string stem = ReleaseStem(release.version, release.root_hash);
  BootEntry entry;
  entry.tries = Tries{tries, 0};
  entry.file = FormatEntryName(stem, entry.tries);
  entry.version = image.version;
  entry.root_hash = release.root_hash;
  entry.size = release.uki_size;
  entry.sort_key = image.sort_key;
  TRY(MayArm(state, slot, release, entry));

  const SlotIdentity identity = SlotIdentity::OfRelease(release);
  std::vector<std::string> obsolete = ObsoleteEntries(state, slot, &release);
  const bool identified = IdentityOf(view.table.slot(slot)) == identity;
  const bool armed = identified && obsolete == std::vector{entry.file} &&
                     TRY(view.esp.Hash(entry.file)) == release.uki_digest;
  if (!armed) {
    uint64_t reclaimable = 0;
    for (const BootEntry& old : state.entries)
      if (std::ranges::contains(obsolete, old.file)) reclaimable += old.size;
    TRY(CheckEspSpace(state.esp, release.version, release.uki_size, reclaimable));
    TRY(view.esp.CheckWritable());

    std::ranges::copy(view.contents.leftovers, std::back_inserter(obsolete));
    TRY(view.esp.Remove(obsolete));
    if (!identified) TRY(SetIdentity(view, slot, identity));
    TRY(view.esp.Install(entry.file, TemporaryName(stem), uki, release.uki_size,
                         release.uki_digest));
  }

  const BootState after = TRY(Read());
  if (after.next() != slot || after.entries.front().file != entry.file)
    return Fail(Code::kFailed, "{} was armed in slot {}, but read back the loader would take {}",
                release.version, Name(slot),
                after.entries.empty() ? "nothing" : after.entries.front().file);
  return {};
}

// Leaves the image with this root hash exactly one name, with this counter. Its other names are
// removed first: a crash then leaves at least one name, and never one with a better counter.
Result<> SystemdBoot::RenameTo(const View& view, const Digest& root_hash,
                               std::optional<Tries> tries) const {
  const std::vector<BootEntry> names = NamesOf(view.state, root_hash);
  const std::string& from = names.front().file;
  std::string file = FormatEntryName(ParseEntryName(from)->stem, tries);
  if (names.front().tries == tries) file = from;
  std::vector<std::string> others;
  for (const BootEntry& name : std::span(names).subspan(1)) others.push_back(name.file);
  if (file != from) others.push_back(file);
  TRY(view.esp.Remove(others));
  if (file != from) TRY(view.esp.Rename(from, file));

  const std::vector<BootEntry> after = NamesOf(TRY(Look()).state, root_hash);
  if (after.size() != 1 || after.front().tries != tries)
    return Fail(Code::kFailed, "{} was renamed to {}, but read back it is {}", from, file,
                after.empty() ? "gone" : after.front().file);
  return {};
}

Result<> SystemdBoot::MarkGood() {
  const View view = TRY(Look());
  const RunningRelease* running = view.state.release();
  if (!running) return Fail(Code::kNotSupported, "the rescue system runs: nothing to bless");
  if (NamesOf(view.state, running->root_hash).empty())
    return Fail(Code::kNotFound,
                "{}/EFI/Linux has no entry with the running root hash {}: nothing to bless, and "
                "slot {} will not boot again",
                options_.esp, running->root_hash.Hex(), Name(running->slot));
  return RenameTo(view, running->root_hash, std::nullopt);
}

Result<> SystemdBoot::MarkIndeterminate(Slot slot, uint32_t tries) {
  const View view = TRY(Look());
  const BootEntry name = TRY(ExistingNameOf(view.state, slot));
  return RenameTo(view, name.root_hash, Tries{tries, 0});
}

Result<> SystemdBoot::MarkGoodIfUntried(Slot slot) {
  const View view = TRY(Look());
  const std::optional<BootEntry> name = NameOf(view.state, slot);
  if (!name || !name->untried()) return {};
  return RenameTo(view, name->root_hash, std::nullopt);
}

Result<Digest> SystemdBoot::HashImage(Slot slot) {
  const View view = TRY(Look());
  const BootEntry name = TRY(ExistingNameOf(view.state, slot));
  return view.esp.Hash(name.file);
}

Result<> SystemdBoot::MarkBad(Slot slot) {
  const View view = TRY(Look());
  TRY(MayMarkBad(view.state, slot));
  const std::optional<Digest>& root_hash = view.state.slot(slot).root_hash;
  if (!root_hash) return {};
  const std::vector<BootEntry> names = NamesOf(view.state, *root_hash);
  if (names.empty()) return {};  // nothing boots it
  TRY(RenameTo(view, *root_hash, Exhausted(names.front())));
  if (TRY(Read()).next() == slot)
    return Fail(Code::kFailed, "slot {} was marked bad, but read back it boots next", Name(slot));
  return {};
}

Result<> SystemdBoot::SetRescue(const RescueImage& rescue, int image) {
  View view = TRY(Look());
  const std::string stem = RescueStem(rescue.digest), file = RescueFile(rescue.digest);
  const Digest found = TRY_CONTEXT("rescue", HashFile(image, rescue.size));
  if (found != rescue.digest)
    return Fail(Code::kNotTrusted, "rescue: expected SHA-256 {}, found {}", rescue.digest.Hex(),
                found.Hex());
  const Uki uki = TRY(ReadRescueUki(image, view.table.architecture));
  BootEntry entry;
  entry.file = file;
  entry.version = uki.version;
  entry.sort_key = uki.sort_key;
  TRY(MaySetRescue(view.state, entry));

  const auto present = std::ranges::find(view.state.entries, file, &BootEntry::file);
  const bool listed = present != view.state.entries.end();
  const Result<Digest> there = view.esp.Hash(file);  // unreadable: not whole
  if (!listed || !there || *there != rescue.digest) {
    TRY(CheckEspSpace(view.state.esp, std::format("the rescue {}", uki.version), rescue.size,
                      listed ? present->size : 0));
    TRY(view.esp.CheckWritable());
    // Files of this very image that a crash left or the medium damaged: none of them is whole.
    std::vector<std::string> spoiled = view.contents.leftovers;
    std::erase_if(spoiled, [](const std::string& name) { return !IsRescueFile(name); });
    if (listed) spoiled.push_back(file);
    TRY(view.esp.Remove(spoiled));
    TRY(view.esp.Install(file, TemporaryName(stem), image, rescue.size, rescue.digest));
  }
  TRY(view.esp.Remove(OtherRescues(view.state, file)));

  const BootState after = TRY(Read());
  if (!after.Rescue() || after.Rescue()->file != file || !OtherRescues(after, file).empty())
    return Fail(Code::kFailed, "{} was written, but read back the rescue is {}", file,
                after.Rescue() ? after.Rescue()->file : "none");
  return {};
}

Result<Digest> SystemdBoot::HashRescue() {
  const View view = TRY(Look());
  const BootEntry* rescue = view.state.Rescue();
  if (!rescue) return Fail(Code::kNotFound, "{}/EFI/Linux has no rescue", options_.esp);
  return view.esp.Hash(rescue->file);
}

// Uses a Type #1 entry (UAPI.1), so that the image itself is not touched.
Result<> SystemdBoot::AddSelfTest() {
  const View view = TRY(Look());
  const auto [entry, image] = TRY(MaySelfTest(view.state));
  TRY(view.esp.CheckWritable());
  TRY(view.esp.Remove(view.contents.selftest));
  std::string text = std::format("title HostOS {0} (self-test)\nversion {0}\n", entry.version);
  if (entry.sort_key) text += std::format("sort-key {}\n", *entry.sort_key);
  TRY(view.esp.InstallType1(entry.file, text + std::format("efi /EFI/Linux/{}\n", image)));

  const BootState after = TRY(Read());
  if (after.selftest != std::vector{entry.file} || after.entries.front().file != entry.file)
    return Fail(Code::kFailed, "{} was written, but read back the loader would take {}", entry.file,
                after.entries.empty() ? "nothing" : after.entries.front().file);
  return {};
}

Result<> SystemdBoot::RemoveSelfTest() {
  const View view = TRY(Look());
  TRY(view.esp.Remove(view.contents.selftest));
  const std::vector<std::string> after = TRY(Read()).selftest;
  if (!after.empty()) return Fail(Code::kFailed, "{} is still there", after.front());
  return {};
}

Result<> SystemdBoot::MakeOwn() {
  const View view = TRY(Look());
  if (view.table.esp.uuid != kImageEsp) return {};
  const Uuid named = MixedEndian(kImageEsp);
  if (TRY(FirmwareNames(options_.efivars, std::as_bytes(std::span(named))))) return {};
  // The loader's variables keep the old UUID for the rest of this boot; this file says why.
  TRY(MakeDirectories(options_.run));
  TRY(WriteFileAtomically(options_.run + kRenamed, ""));
  return SetOwnUuids(view.disk);
}

// Keeps an unreadable image under an entry's name: it may belong to the running release.
Result<> SystemdBoot::RemoveTemporaries() {
  const View view = TRY(Look());
  std::vector<std::string> files = view.contents.leftovers;
  std::erase_if(files, [](const std::string& file) { return ParseEntryName(file).has_value(); });
  TRY(view.esp.Remove(files));
  return view.esp.Remove(view.contents.salvaged);
}

}  // namespace hostos
