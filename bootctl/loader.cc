#include "bootctl/loader.h"

#include <fnmatch.h>

#include <algorithm>
#include <limits>

#include "bootctl/entry_name.h"

namespace hostos {
namespace {

std::string_view BaseName(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string_view SuffixOf(std::string_view file) {
  return file.substr(file.rfind('.'));
}

// Less than zero when `a` is offered before `b`. Not a strict weak order: an uncounted entry ties
// with every counted one of the same name, while the counted ones do not tie with each other.
int Compare(const BootEntry& a, const BootEntry& b) {
  if (a.exhausted() != b.exhausted()) return a.exhausted() ? 1 : -1;
  if (a.sort_key.has_value() != b.sort_key.has_value()) return a.sort_key ? -1 : 1;
  if (a.sort_key) {
    if (int order = a.sort_key->compare(*b.sort_key)) return order;
    if (auto order = CompareVersions(b.version, a.version); order != 0) return order < 0 ? -1 : 1;
  }
  if (auto order = CompareVersions(LoaderId(b), LoaderId(a)); order != 0) return order < 0 ? -1 : 1;
  if (!a.tries || !b.tries) return 0;
  if (a.tries->left != b.tries->left) return a.tries->left > b.tries->left ? -1 : 1;
  if (a.tries->done != b.tries->done) return a.tries->done < b.tries->done ? -1 : 1;
  return 0;
}

}  // namespace

std::string LoaderId(const BootEntry& entry) {
  std::string id(BaseName(entry.file));
  if (entry.tries) return id.substr(0, id.rfind('+')) + std::string(SuffixOf(id));
  for (char& c : id)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return id;
}

// The loader's own insertion sort. Ties are not transitive here, so another algorithm could produce
// another order. Entries that tie stay in the order of the directory.
void SortAsLoader(std::vector<BootEntry>& entries) {
  for (auto it = entries.begin(); it != entries.end(); ++it) {
    auto place = it;
    while (place != entries.begin() && Compare(*(place - 1), *it) > 0) --place;
    std::rotate(place, it, it + 1);
  }
}

const LoaderPreference* OrderAsLoader(std::vector<BootEntry>& entries,
                                      std::span<const LoaderPreference> preferences) {
  SortAsLoader(entries);
  for (const LoaderPreference& preference : preferences) {
    auto chosen = std::ranges::find_if(entries, [&](const BootEntry& entry) {
      return ::fnmatch(preference.pattern.c_str(), LoaderId(entry).c_str(), 0) == 0;
    });
    if (chosen == entries.end()) continue;
    std::rotate(entries.begin(), chosen, chosen + 1);
    return &preference;
  }
  return nullptr;
}

void SpendTry(BootEntry& entry) {
  if (!entry.tries) return;
  constexpr uint32_t kMost = std::numeric_limits<int32_t>::max();
  if (entry.tries->left > 0) entry.tries->left--;
  entry.tries->done = std::min(entry.tries->done + 1, kMost);
  const std::string_view file = entry.file;
  entry.file = std::string(file.substr(0, file.rfind('+') + 1)) +
               std::format("{}-{}", entry.tries->left, entry.tries->done) +
               std::string(SuffixOf(file));
}

}  // namespace hostos
