#include "bootctl/rules.h"

#include <strings.h>

#include <algorithm>

#include "bootctl/entry_name.h"
#include "bootctl/loader.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

// Two of the largest FAT clusters, 64 KiB each: one the image fills only in part, one for the
// directory.
constexpr uint64_t kEspSlack = 128 << 10;

// For messages: why `first` would boot, a setting or the loader's order.
std::string Reason(const BootEntry& first, const LoaderPreference* preference) {
  if (preference) return std::format("{} asks for \"{}\"", preference->source, preference->pattern);
  return std::format("it sorts first with version \"{}\"", first.version);
}

std::string UnknownFiles(const EspSpace& esp) {
  constexpr size_t kMost = 5;
  if (esp.unknown.empty()) return "Every file there is HostOS's.";
  std::string text = "Files there that HostOS does not know:";
  for (size_t i = 0; i < std::min(esp.unknown.size(), kMost); i++)
    text += std::format("{} {} ({})", i ? "," : "", esp.unknown[i].first,
                        Megabytes(esp.unknown[i].second));
  if (esp.unknown.size() > kMost) text += std::format(" and {} more", esp.unknown.size() - kMost);
  return text + ".";
}

Result<> MayWrite(const BootState& state, Slot slot, const char* what) {
  if (slot == state.target()) return {};
  return Fail(Code::kNotSupported, "slot {} is {} and cannot be {}", Name(slot),
              state.release() ? "running" : "left alone by the rescue system", what);
}

}  // namespace

std::vector<std::string> ObsoleteEntries(const BootState& state, Slot slot,
                                         const Release* release) {
  const std::optional<Digest>& mine = state.slot(slot).root_hash;
  const std::optional<Digest>& others = state.slot(Other(slot)).root_hash;
  std::vector<std::string> files;
  for (const BootEntry& entry : state.entries) {
    if (others == entry.root_hash) continue;
    const bool boots_slot = mine == entry.root_hash;
    const bool boots_release = release && entry.root_hash == release->root_hash;
    if (boots_slot || boots_release || IsReleaseFile(entry.file)) files.push_back(entry.file);
  }
  return files;
}

Result<> MayInvalidate(const BootState& state, Slot slot) {
  return MayWrite(state, slot, "invalidated");
}

Result<> MayArm(const BootState& state, Slot slot, const Release& release, const BootEntry& entry) {
  TRY(MayWrite(state, slot, "armed"));
  if (!entry.tries || entry.tries->left == 0)
    return Fail(Code::kUsage, "{} needs at least one try", release.version);
  if (!IsReleaseVersion(release.version))
    return Fail(Code::kNotSupported,
                "version \"{}\" cannot be in a boot entry's name: expected 1 to 29 of "
                "letters, digits and . ~ ^ -",
                release.version);
  const std::optional<Digest>& other = state.slot(Other(slot)).root_hash;
  if (other == release.root_hash)
    return Fail(Code::kNotSupported,
                "slot {} holds {} already (root hash {}); two slots with one root hash cannot be "
                "told apart at boot",
                Name(Other(slot)), release.version, release.root_hash.Short());

  const std::vector<std::string> obsolete = ObsoleteEntries(state, slot, &release);
  std::vector<BootEntry> entries = state.entries;
  std::erase_if(entries,
                [&](const BootEntry& e) { return std::ranges::contains(obsolete, e.file); });
  entries.push_back(entry);  // last, so that it loses ties
  const LoaderPreference* preference = OrderAsLoader(entries, state.preferences);
  const BootEntry& first = entries.front();
  if (first.file == entry.file) return {};
  return Fail(Code::kNotSupported,
              "{} would not boot next: the loader takes {} ({}) before {}. Nothing was changed. "
              "The loader boots the newest version; take the other entry or setting away first.",
              release.version, first.version.empty() ? first.file : first.version,
              first.file + ": " + Reason(first, preference), entry.file);
}

Result<> MayMarkBad(const BootState& state, Slot slot) {
  BootState after = state;
  for (BootEntry& entry : after.entries)
    if (state.slot(slot).root_hash == entry.root_hash && IsReleaseFile(entry.file))
      entry.tries = Exhausted(entry);
  const LoaderPreference* preference = OrderAsLoader(after.entries, after.preferences);
  if (after.entries.empty()) return {};
  const BootEntry& first = after.entries.front();
  if (state.slot(slot).root_hash != first.root_hash && !IsRescue(first)) return {};
  return Fail(Code::kFailed, "slot {} cannot be marked bad: {} would boot next all the same ({})",
              Name(slot), first.file,
              preference ? Reason(first, preference) : "no other entry has tries left");
}

std::vector<BootEntry> NamesOf(const BootState& state, const Digest& root_hash) {
  std::vector<BootEntry> names;
  std::ranges::copy_if(state.entries, std::back_inserter(names), [&](const BootEntry& entry) {
    return entry.root_hash == root_hash && IsReleaseFile(entry.file);
  });
  std::ranges::stable_sort(names, [](const BootEntry& a, const BootEntry& b) {
    if (!a.tries || !b.tries) return a.tries.has_value() && !b.tries.has_value();
    if (a.tries->left != b.tries->left) return a.tries->left < b.tries->left;
    return a.tries->done > b.tries->done;
  });
  return names;
}

std::optional<BootEntry> NameOf(const BootState& state, Slot slot) {
  const std::optional<Digest>& root_hash = state.slot(slot).root_hash;
  if (!root_hash) return std::nullopt;
  const std::vector<BootEntry> names = NamesOf(state, *root_hash);
  if (names.empty()) return std::nullopt;
  return names.front();
}

Result<BootEntry> ExistingNameOf(const BootState& state, Slot slot) {
  if (std::optional<BootEntry> name = NameOf(state, slot)) return *std::move(name);
  return Fail(Code::kNotFound, "slot {} has no boot entry of HostOS", Name(slot));
}

// Of what runs, or is left alone by the rescue system.
static std::vector<BootEntry> NamesThatStay(const BootState& state) {
  return NamesOf(state, state.RootOf(state.staying()).value_or(Digest()));
}

bool OnTrial(const BootState& state, const Digest& running) {
  const std::vector<BootEntry> names = NamesOf(state, running);
  return !names.empty() && names.front().tries && names.front().tries != Tries{0, 0};
}

std::string PresentName(const BootState& state, const std::string& id) {
  auto is_named = [&](const BootEntry& entry) {
    return ::strcasecmp(LoaderId(entry).c_str(), id.c_str()) == 0;
  };
  const std::vector<BootEntry> names = NamesThatStay(state);
  for (const std::vector<BootEntry>& entries : {names, state.entries})
    if (auto it = std::ranges::find_if(entries, is_named); it != entries.end()) return it->file;
  return "";
}

Result<SelfTestEntry> MaySelfTest(const BootState& state) {
  std::vector<BootEntry> entries = state.entries;
  std::erase_if(entries, [](const BootEntry& e) { return IsSelfTestFile(e.file); });
  auto check_first = [&](const std::string& file) -> Result<> {
    const LoaderPreference* preference = OrderAsLoader(entries, state.preferences);
    const BootEntry& first = entries.front();
    if (!preference && first.file == file) return {};
    return Fail(Code::kNotSupported,
                "a self-test would prove nothing: expected the loader to take {} by its own order, "
                "but it takes {} ({})",
                file, first.file, Reason(first, preference));
  };

  const std::vector<BootEntry> names = NamesThatStay(state);
  if (names.size() != 1 || names.front().tries)
    return Fail(Code::kNotSupported,
                "a self-test needs one entry of the running release without a counter, found {}",
                names.empty() ? "none" : names.front().file);
  SelfTestEntry test{.entry = names.front(), .image = names.front().file};
  TRY(check_first(test.image));
  test.entry.tries = Tries{2, 0};
  test.entry.file = SelfTestFile(*test.entry.tries);
  test.entry.version += "^selftest";  // newer than the version itself
  entries.push_back(test.entry);
  TRY(check_first(test.entry.file));
  return test;
}

Result<> MaySetRescue(const BootState& state, const BootEntry& entry) {
  if (state.entries.empty() || state.entries.front().exhausted() || IsRescue(state.entries.front()))
    return {};
  std::vector<BootEntry> entries = state.entries;
  entries.push_back(entry);
  const LoaderPreference* preference = OrderAsLoader(entries, state.preferences);
  if (!IsRescue(entries.front())) return {};
  return Fail(Code::kNotSupported, "{} would boot next, before {} ({}). Nothing was changed.",
              entry.file, state.entries.front().file, Reason(entries.front(), preference));
}

std::vector<std::string> OtherRescues(const BootState& state, std::string_view file) {
  std::vector<std::string> files;
  for (const BootEntry& entry : state.entries)
    if (IsRescue(entry) && entry.file != file) files.push_back(entry.file);
  return files;
}

Tries Exhausted(const BootEntry& entry) {
  return {0, entry.tries ? entry.tries->done : 0};
}

Result<> CheckEspSpace(const EspSpace& esp, std::string_view what, uint64_t size,
                       uint64_t reclaimable) {
  if (size + kEspSlack <= esp.free + reclaimable) return {};
  return Fail(Code::kNoSpace,
              "not enough space on the ESP for {}: needs {}, {} free of {} ({}).\n"
              "Nothing was changed. {}",
              what, Megabytes(size), Megabytes(esp.free + reclaimable), Megabytes(esp.size),
              esp.path, UnknownFiles(esp));
}

}  // namespace hostos
