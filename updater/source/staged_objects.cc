#include "updater/source/staged_objects.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"
#include "updater/release/objects.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStaging = "staging-";  // in tmp/: a directory of objects, and its lock
constexpr const char* kUnnamed = "tmp.";      // in objects/*/: a file about to replace an object

// "xx/yyyy.file", below objects/ or a staging directory.
std::optional<ObjectName> ParseObjectPath(const fs::path& path) {
  std::string extension = path.extension();
  ObjectType type;
  if (extension == ".file") {
    type = ObjectType::kFile;
  } else if (extension == ".dirtree") {
    type = ObjectType::kDirtree;
  } else if (extension == ".dirmeta") {
    type = ObjectType::kDirmeta;
  } else if (extension == ".commit" || extension == ".commitmeta") {
    type = ObjectType::kCommit;
  } else {
    return std::nullopt;
  }
  auto digest = Digest::FromHex(path.parent_path().filename().string() + path.stem().string());
  if (!digest) return std::nullopt;
  return ObjectName(*digest, type);
}

// The entries of a directory; none if it does not exist.
Result<std::vector<fs::path>> List(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return FailErrno(directory.string(), error.value());
  }
  return paths;
}

using Visitor = std::function<Result<>(const fs::path& path, const ObjectName& name)>;

Result<> ForEachObject(const fs::path& store, const Visitor& visit) {
  for (const fs::path& prefix : TRY(List(store))) {
    if (prefix.filename().string().size() != 2) continue;
    for (const fs::path& path : TRY(List(prefix))) {
      if (auto name = ParseObjectPath(path)) TRY(visit(path, *name));
    }
  }
  return {};
}

Result<> ForEachInterrupted(const fs::path& repository, const Visitor& visit) {
  for (const fs::path& directory : TRY(List(repository / "tmp"))) {
    std::error_code error;
    if (directory.filename().string().starts_with(kStaging) && fs::is_directory(directory, error)) {
      TRY(ForEachObject(directory, visit));
    }
  }
  return {};
}

Result<bool> IsWhole(const fs::path& path, const ObjectName& name) {
  const auto& [checksum, type] = name;
  if (type == ObjectType::kFile) {
    return TRY(ReadStoredFile(path)).checksum == checksum;
  }
  return Sha256::Of(AsBytes(TRY(ReadFile(path, kMaxMetadataBytes)))) == checksum;
}

Result<> Remove(const fs::path& path) {
  if (::unlink(path.c_str()) < 0) return FailErrno(path.string());
  return {};
}

}  // namespace

Result<ObjectNames> InterruptedObjects(const std::string& repository) {
  ObjectNames names;
  TRY(ForEachInterrupted(repository, [&](const fs::path&, const ObjectName& name) -> Result<> {
    names.insert(name);
    return {};
  }));
  return names;
}

Result<> AdoptInterruptedObjects(const std::string& repository, const ObjectNames& wanted) {
  std::vector<fs::path> whole;
  TRY(ForEachInterrupted(repository, [&](const fs::path& path, const ObjectName& name) -> Result<> {
    // Commits are never adopted: every pull writes the verified one anew.
    if (name.second != ObjectType::kCommit && wanted.contains(name)) {
      Result<bool> good = IsWhole(path, name);
      if (good && *good) whole.push_back(path);
    }
    return {};
  }));
  if (whole.empty()) return {};
  // First the content, then the names: later on, the repository's own objects are trusted.
  UniqueFd directory = TRY(Open(repository, O_RDONLY | O_DIRECTORY));
  if (::syncfs(directory.get()) < 0) return FailErrno(repository);
  for (const fs::path& path : whole) {
    fs::path prefix = fs::path(repository) / "objects" / path.parent_path().filename();
    TRY(MakeDirectories(prefix));
    if (::rename(path.c_str(), (prefix / path.filename()).c_str()) < 0) {
      return FailErrno(path.string());
    }
  }
  return {};
}

Result<> RemoveLeftovers(const std::string& repository) {
  std::vector<fs::path> leftovers;
  for (const fs::path& path : TRY(List(fs::path(repository) / "tmp")))
    if (path.filename().string().starts_with(kStaging)) leftovers.push_back(path);
  for (const fs::path& prefix : TRY(List(fs::path(repository) / "objects")))
    for (const fs::path& path : TRY(List(prefix)))
      if (path.filename().string().starts_with(kUnnamed)) leftovers.push_back(path);
  std::error_code error;
  for (const fs::path& path : leftovers) {
    fs::remove_all(path, error);
    if (error) return FailErrno(path.string(), error.value());
  }
  return {};
}

Result<Space> SizeOfOtherObjects(const std::string& repository, const ObjectNames& wanted) {
  Space size;
  const auto add = [&](const fs::path& path, const ObjectName& name) -> Result<> {
    if (!wanted.contains(name)) size += TRY(SizeOnDisk(path));
    return {};
  };
  TRY(ForEachObject(fs::path(repository) / "objects", add));
  return size;
}

Result<> RemoveOtherObjects(const std::string& repository, const ObjectNames& wanted) {
  return ForEachObject(fs::path(repository) / "objects",
                       [&](const fs::path& path, const ObjectName& name) -> Result<> {
                         return wanted.contains(name) ? Result<>() : Remove(path);
                       });
}

}  // namespace hostos
