#include "tests/fakes/fake_boot_control.h"

#include <algorithm>
#include <array>

#include "bootctl/entry_name.h"
#include "bootctl/loader.h"
#include "bootctl/rules.h"
#include "bootctl/uki.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr char kEmpty[] = "_empty";
constexpr char kSortKey[] = "hostos";
constexpr int kMostStarts = 64;

BootEntry EntryFor(const Release& release, std::optional<Tries> tries) {
  BootEntry entry;
  entry.file = FormatEntryName(ReleaseStem(release.version, release.root_hash), tries);
  entry.version = release.version;
  entry.tries = tries;
  entry.root_hash = release.root_hash;
  entry.size = release.uki_size;
  entry.sort_key = kSortKey;
  return entry;
}

// The version of a real rescue image, or of the text "rescue <version>".
Result<std::string> RescueVersion(int image) {
  if (const std::optional<Uki> uki = TRY(ReadUki(image)))
    return TRY(ReadRescueUki(image, "x86-64")).version;
  std::array<std::byte, 64> text;
  const size_t size = TRY(PreadFull(image, text, 0));
  const std::string_view found(reinterpret_cast<const char*>(text.data()), size);
  if (!found.starts_with("rescue ")) return Fail(Code::kNotTrusted, "this is no rescue");
  return std::string(found.substr(found.find(' ') + 1));
}

BootEntry* FindEntry(std::vector<BootEntry>& entries, const std::string& file) {
  auto it = std::ranges::find(entries, file, &BootEntry::file);
  return it == entries.end() ? nullptr : &*it;
}

}  // namespace

FakeBootControl::FakeBootControl(const Release& release) {
  for (Slot slot : {Slot::A, Slot::B}) {
    SlotState& state = slots[static_cast<int>(slot)];
    state.label = kEmpty;
    state.data_device = slot == Slot::A ? "/dev/vda2" : "/dev/vda4";
    state.verity_device = slot == Slot::A ? "/dev/vda3" : "/dev/vda5";
    state.data_capacity = uint64_t{1} << 30;
    state.verity_capacity = uint64_t{16} << 20;
  }
  slots[0].label = "hostos_" + release.version;
  slots[0].root_hash = release.root_hash;
  entries.push_back(EntryFor(release, std::nullopt));
  images[release.root_hash] = release.uki_digest;
  esp.path = "/efi";
  esp.size = uint64_t{512} << 20;
  running_root_hash_ = release.root_hash;
  booted_id_ = LoaderId(entries.front());
}

Result<BootState> FakeBootControl::Look() const {
  if (!powered_) return Fail(Code::kFailed, "the power is off");
  BootState state;
  std::ranges::copy(slots, state.slots);
  state.entries = entries;
  state.preferences = preferences;
  state.twins = twins;
  OrderAsLoader(state.entries, preferences);
  state.esp = esp;
  uint64_t used = temporary_bytes_;
  for (const BootEntry& entry : entries) used += entry.size;
  for (const auto& [file, size] : esp.unknown) used += size;
  state.esp.free = esp.size - std::min(esp.size, used);
  if (rescued)
    state.running = RunningRescue{*rescued};
  else
    state.running =
        RunningRelease{running_, running_root_hash_, OnTrial(state, running_root_hash_)};
  state.booted_entry = PresentName(state, booted_id_);
  for (const BootEntry& entry : entries)
    if (IsSelfTestFile(entry.file)) state.selftest.push_back(entry.file);
  return state;
}

Result<BootState> FakeBootControl::Read() {
  return Look();
}

Result<> FakeBootControl::Durably(const char* name, const Change& change) {
  if (!powered_) return Fail(Code::kFailed, "the power is off");
  step(name);
  if (++steps_ != cut_at_) {
    change.all();
    return {};
  }
  powered_ = false;
  if (cut_ == Cut::kDone) change.all();
  if (cut_ == Cut::kBothNames) change.both_names();
  if (cut_ == Cut::kNeitherName) change.neither_name();
  return Fail(Code::kFailed, "power was cut: {}", name);
}

Result<> FakeBootControl::Remove(const std::vector<std::string>& files) {
  for (const std::string& file : files)
    TRY(Durably("remove a boot entry", {[&] {
                  std::erase_if(entries, [&](const BootEntry& e) { return e.file == file; });
                }}));
  return {};
}

Result<> FakeBootControl::Rename(const std::string& from, BootEntry to) {
  auto remove = [&] { std::erase_if(entries, [&](const BootEntry& e) { return e.file == from; }); };
  auto add = [&] { entries.push_back(to); };
  return Durably("rename a boot entry", {[&] {
                                           remove();
                                           add();
                                         },
                                         add, remove});
}

Result<> FakeBootControl::CheckEsp() const {
  if (esp_read_only) return Fail(Code::kFailed, "{} is mounted read-only", esp.path);
  return {};
}

Result<> FakeBootControl::Invalidate(Slot slot) {
  const BootState state = TRY(Look());
  TRY(MayInvalidate(state, slot));
  TRY(CheckEsp());
  TRY(Remove(ObsoleteEntries(state, slot)));
  temporary_bytes_ = 0;
  if (state.slot(slot).label == kEmpty) return {};
  return Durably("empty the slot's partitions", {[&] {
                   slots[static_cast<int>(slot)].label = kEmpty;
                   slots[static_cast<int>(slot)].root_hash.reset();
                 }});
}

Result<> FakeBootControl::Arm(Slot slot, const Release& release, int uki, uint32_t tries) {
  const BootState state = TRY(Look());
  const Digest digest = TRY_CONTEXT("boot image", HashFile(uki, release.uki_size));
  if (digest != release.uki_digest)
    return Fail(Code::kNotTrusted, "boot image of {}: expected SHA-256 {}, found {}",
                release.version, release.uki_digest.Hex(), digest.Hex());
  const BootEntry entry = EntryFor(release, Tries{tries, 0});
  TRY(MayArm(state, slot, release, entry));

  const std::vector<std::string> obsolete = ObsoleteEntries(state, slot, &release);
  const std::string label = "hostos_" + release.version;
  SlotState& target = slots[static_cast<int>(slot)];
  const bool identified = target.label == label && target.root_hash == release.root_hash;
  if (identified && obsolete == std::vector{entry.file}) return {};
  uint64_t reclaimable = temporary_bytes_;
  for (const BootEntry& old : state.entries)
    if (std::ranges::contains(obsolete, old.file)) reclaimable += old.size;
  TRY(CheckEspSpace(state.esp, release.version, release.uki_size, reclaimable));
  TRY(CheckEsp());

  TRY(Remove(obsolete));
  temporary_bytes_ = 0;
  if (!identified)
    TRY(Durably("name the slot's partitions", {[&] {
                  target.label = label;
                  target.root_hash = release.root_hash;
                }}));
  TRY(Durably("write the boot image", {[&] { temporary_bytes_ = release.uki_size; }}));
  // The temporary name is not in `entries`, so there is nothing to remove.
  images[release.root_hash] = release.uki_digest;
  TRY(Rename("", entry));
  temporary_bytes_ = 0;
  return {};
}

Result<> FakeBootControl::RenameTo(const Digest& root_hash, std::optional<Tries> tries) {
  const std::vector<BootEntry> names = NamesOf(TRY(Look()), root_hash);
  TRY(CheckEsp());
  std::vector<std::string> others;
  for (const BootEntry& name : std::span(names).subspan(1)) others.push_back(name.file);
  TRY(Remove(others));
  BootEntry entry = names.front();
  if (entry.tries == tries) return {};
  entry.tries = tries;
  entry.file = FormatEntryName(ParseEntryName(entry.file)->stem, tries);
  return Rename(names.front().file, entry);
}

Result<> FakeBootControl::MarkGood() {
  const BootState state = TRY(Look());
  if (NamesOf(state, running_root_hash_).empty())
    return Fail(Code::kNotFound, "no entry with the running root hash {}",
                running_root_hash_.Hex());
  return RenameTo(running_root_hash_, std::nullopt);
}

Result<> FakeBootControl::MarkIndeterminate(Slot slot, uint32_t tries) {
  const BootState state = TRY(Look());
  return RenameTo(TRY(ExistingNameOf(state, slot)).root_hash, Tries{tries, 0});
}

Result<> FakeBootControl::MarkGoodIfUntried(Slot slot) {
  const BootState state = TRY(Look());
  const std::optional<BootEntry> name = NameOf(state, slot);
  if (!name || !name->untried()) return {};
  return RenameTo(name->root_hash, std::nullopt);
}

Result<Digest> FakeBootControl::HashImage(Slot slot) {
  const BootState state = TRY(Look());
  return images[TRY(ExistingNameOf(state, slot)).root_hash];
}

Result<> FakeBootControl::MarkBad(Slot slot) {
  const BootState state = TRY(Look());
  TRY(MayMarkBad(state, slot));
  const std::optional<Digest>& root_hash = state.slot(slot).root_hash;
  if (!root_hash) return {};
  const std::vector<BootEntry> names = NamesOf(state, *root_hash);
  if (names.empty()) return {};
  return RenameTo(*root_hash, Exhausted(names.front()));
}

Result<> FakeBootControl::SetRescue(const RescueImage& rescue, int image) {
  const BootState state = TRY(Look());
  const Digest digest = TRY_CONTEXT("rescue", HashFile(image, rescue.size));
  if (digest != rescue.digest)
    return Fail(Code::kNotTrusted, "rescue: expected SHA-256 {}, found {}", rescue.digest.Hex(),
                digest.Hex());
  BootEntry entry;
  entry.file = RescueFile(rescue.digest);
  entry.version = TRY(RescueVersion(image));
  entry.size = rescue.size;
  entry.sort_key = kRescueId;
  TRY(MaySetRescue(state, entry));

  const BootEntry* present = FindEntry(entries, entry.file);
  if (!present || rescues[entry.file] != rescue.digest) {
    TRY(CheckEspSpace(state.esp, "the rescue " + entry.version, rescue.size,
                      temporary_bytes_ + (present ? present->size : 0)));
    TRY(CheckEsp());
    if (present) TRY(Remove({entry.file}));
    temporary_bytes_ = 0;
    TRY(Durably("write the rescue", {[&] { temporary_bytes_ = rescue.size; }}));
    rescues[entry.file] = rescue.digest;
    TRY(Rename("", entry));
    temporary_bytes_ = 0;
  }
  return Remove(OtherRescues(state, entry.file));
}

Result<Digest> FakeBootControl::HashRescue() {
  const BootState state = TRY(Look());
  if (!state.Rescue()) return Fail(Code::kNotFound, "there is no rescue");
  return rescues[state.Rescue()->file];
}

Result<BootSurface> FakeBootControl::ReadSurface() {
  TRY(Look());
  BootSurface found = surface;
  for (const BootEntry& entry : entries)
    found.files.push_back({entry.is_type1() ? entry.file : "EFI/Linux/" + entry.file, entry.size});
  return found;
}

Result<Digest> FakeBootControl::HashEspFile(const std::string& path) {
  if (other_files.contains(path)) return other_files[path];
  const std::string file = path.substr(path.rfind('/') + 1);
  const auto entry = std::ranges::find(entries, file, &BootEntry::file);
  if (entry == entries.end()) return Digest();
  return rescues.contains(file) ? rescues[file] : images[entry->root_hash];
}

Result<> FakeBootControl::AddSelfTest() {
  const BootState state = TRY(Look());
  const SelfTestEntry test = TRY(MaySelfTest(state));
  TRY(CheckEsp());
  TRY(RemoveSelfTest());
  return Rename("", test.entry);
}

Result<> FakeBootControl::RemoveSelfTest() {
  const std::vector<std::string> files = TRY(Look()).selftest;
  if (!files.empty()) TRY(CheckEsp());
  return Remove(files);
}

Result<> FakeBootControl::MakeOwn() {
  TRY(Look());
  if (own) return {};
  return Durably("give the disk UUIDs of its own", {[&] { own = true; }});
}

Result<> FakeBootControl::RemoveTemporaries() {
  if (temporary_bytes_ == 0) return {};
  TRY(CheckEsp());
  return Durably("remove a temporary file", {[&] { temporary_bytes_ = 0; }});
}

Result<Slot> FakeBootControl::Boot() {
  powered_ = true;
  cut_at_ = 0;
  rescued.reset();
  started_.clear();
  for (int start = 0; start < kMostStarts; start++) {
    const BootState state = TRY(Look());
    if (state.entries.empty()) return Fail(Code::kFailed, "the loader finds no entry");
    BootEntry entry = state.entries.front();
    if (BootEntry* stored = FindEntry(entries, entry.file); !esp_read_only && loader_counts) {
      SpendTry(entry);
      // A rename onto an existing name fails, and the loader boots without having counted.
      if (!FindEntry(entries, entry.file)) *stored = entry;
    }
    started_.push_back(entry.file);
    if (entry.root_hash == Digest())
      return Fail(Code::kFailed, "{} boots, which is not HostOS", entry.file);
    for (Slot slot : {Slot::A, Slot::B}) {
      if (slots[static_cast<int>(slot)].root_hash != entry.root_hash) continue;
      if (!boots(slot, entry.root_hash)) continue;
      running_ = slot;
      running_root_hash_ = entry.root_hash;
      booted_id_ = LoaderId(entry);
      initrd();
      return slot;
    }
  }
  return Fail(Code::kFailed, "{} never reaches userspace, after {} starts", started_.back(),
              kMostStarts);
}

}  // namespace hostos
