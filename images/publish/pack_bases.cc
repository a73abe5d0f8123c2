#include "images/publish/pack_bases.h"

#include <cctype>
#include <ranges>
#include <string_view>

#include "updater/release/objects.h"

namespace hostos {
namespace {

Result<> Walk(const Repo& repo, const Digest& dirtree, const std::string& path,
              std::map<std::string, Digest>& paths) {
  paths[path] = dirtree;
  const std::string bytes = TRY(repo.ReadMetadata(ObjectType::kDirtree, dirtree));
  for (const DirtreeEntry& entry : TRY(ParseDirtree(bytes)))
    if (entry.is_directory)
      TRY(Walk(repo, entry.checksum, path + entry.name + "/", paths));
    else
      paths[path + entry.name] = entry.checksum;
  return {};
}

bool IsDigit(char c) {
  return std::isdigit(static_cast<unsigned char>(c));
}

// A name without versions: "libx.so.1.9" gives "libx.so.", "libx-257.so" gives "libx-.so".
std::string WithoutVersion(std::string_view name) {
  constexpr std::string_view kLibrary = ".so.";
  if (const size_t at = name.find(kLibrary); at != name.npos)
    name = name.substr(0, at + kLibrary.size());
  std::string general;
  for (size_t i = 0; i < name.size(); i++) {
    general += name[i];
    if (name[i] != '-') continue;
    while (i + 1 < name.size() &&
           (IsDigit(name[i + 1]) ||
            (name[i + 1] == '.' && i + 2 < name.size() && IsDigit(name[i + 2]))))
      i++;
  }
  return general;
}

// A path without versions: with 1, names that begin with a digit, as directories of versions do;
// with 2, those in other names too.
std::string General(std::string_view path, size_t how) {
  std::string general;
  for (const auto part : std::views::split(path, '/')) {
    const std::string_view name(part);
    if (!general.empty() || !name.empty()) general += '/';
    general += how == 0                            ? std::string(name)
               : !name.empty() && IsDigit(name[0]) ? "*"
               : how == 1                          ? std::string(name)
                                                   : WithoutVersion(name);
  }
  return general;
}

}  // namespace

Result<std::map<std::string, Digest>> WalkPaths(const Repo& repo, const Commit& commit) {
  std::map<std::string, Digest> paths;
  TRY(Walk(repo, commit.root_dirtree, "/", paths));
  return paths;
}

PathFinder::PathFinder(const std::map<std::string, Digest>& paths) {
  for (const auto& [path, checksum] : paths)
    for (size_t i = 0; i < found_.size(); i++) found_[i].emplace(General(path, i), checksum);
}

std::optional<Digest> PathFinder::Find(const std::string& path) const {
  for (size_t i = 0; i < found_.size(); i++)
    if (const auto found = found_[i].find(General(path, i)); found != found_[i].end())
      return found->second;
  return std::nullopt;
}

}  // namespace hostos
