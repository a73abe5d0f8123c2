#include "bootctl/entry_name.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace hostos {
namespace {

constexpr std::string_view kPrefix = "hostos_";
constexpr std::string_view kTemporarySuffix = ".efi.tmp";
constexpr size_t kMostVersion = 36 - kPrefix.size();
constexpr size_t kShortHash = 8, kRescueHash = 16;

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// Takes decimal digits off the front of `text`; absent when there are none or too many.
std::optional<uint32_t> TakeNumber(std::string_view& text) {
  uint32_t value = 0;
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > std::numeric_limits<int32_t>::max()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

std::optional<Tries> ParseCounter(std::string_view text) {
  Tries tries;
  std::optional<uint32_t> left = TakeNumber(text);
  if (!left) return std::nullopt;
  tries.left = *left;
  if (text.starts_with('-')) {
    text.remove_prefix(1);
    std::optional<uint32_t> done = TakeNumber(text);
    if (!done) return std::nullopt;
    tries.done = *done;
  }
  if (!text.empty()) return std::nullopt;
  return tries;
}

}  // namespace

std::optional<EntryName> ParseEntryName(std::string_view file, std::string_view suffix) {
  if (file.starts_with('.') || SameIgnoringCase(file.substr(0, 5), "auto-")) return std::nullopt;
  if (file.size() <= suffix.size() ||
      !SameIgnoringCase(file.substr(file.size() - suffix.size()), suffix))
    return std::nullopt;
  const std::string_view name = file.substr(0, file.size() - suffix.size());
  if (const size_t plus = name.rfind('+'); plus != name.npos)
    if (std::optional<Tries> tries = ParseCounter(name.substr(plus + 1)))
      return EntryName{std::string(name.substr(0, plus)), tries};
  return EntryName{std::string(name), std::nullopt};
}

std::string FormatEntryName(std::string_view stem, std::optional<Tries> tries,
                            std::string_view suffix) {
  if (!tries) return std::format("{}{}", stem, suffix);
  if (tries->done == 0) return std::format("{}+{}{}", stem, tries->left, suffix);
  return std::format("{}+{}-{}{}", stem, tries->left, tries->done, suffix);
}

std::string ReleaseStem(std::string_view version, const Digest& root_hash) {
  return std::format("{}{}_{}", kPrefix, version, root_hash.Short());
}

bool IsReleaseVersion(std::string_view version) {
  return !version.empty() && version.size() <= kMostVersion &&
         std::ranges::all_of(version, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '~' || c == '^' || c == '-';
         });
}

bool IsReleaseStem(std::string_view stem) {
  if (!stem.starts_with(kPrefix) || stem.size() < kPrefix.size() + 1 + kShortHash) return false;
  const std::string_view hash = stem.substr(stem.size() - kShortHash);
  const std::string_view middle =
      stem.substr(kPrefix.size(), stem.size() - kPrefix.size() - kShortHash);
  return middle.ends_with('_') && IsReleaseVersion(middle.substr(0, middle.size() - 1)) &&
         hash.find_first_not_of("0123456789abcdef") == hash.npos;
}

std::string TemporaryName(std::string_view stem) {
  return std::string(stem).append(kTemporarySuffix);
}

bool IsReleaseFile(std::string_view file) {
  if (file.ends_with(kTemporarySuffix))
    return IsReleaseStem(file.substr(0, file.size() - kTemporarySuffix.size()));
  std::optional<EntryName> name = ParseEntryName(file);
  return name && IsReleaseStem(name->stem);
}

std::string RescueStem(const Digest& digest) {
  return std::format("{}_{}", kRescueId, digest.Hex().substr(0, kRescueHash));
}

std::string RescueFile(const Digest& digest) {
  return RescueStem(digest) + ".efi";
}

bool IsRescueFile(std::string_view file) {
  if (file == kRescueFile) return true;
  const std::string_view suffix = file.ends_with(kTemporarySuffix) ? kTemporarySuffix : ".efi";
  if (!file.ends_with(suffix)) return false;
  const std::string_view stem = file.substr(0, file.size() - suffix.size());
  const size_t at = kRescueId.size();
  return stem.size() == at + 1 + kRescueHash && stem.starts_with(kRescueId) && stem[at] == '_' &&
         stem.find_first_not_of("0123456789abcdef", at + 1) == stem.npos;
}

}  // namespace hostos
