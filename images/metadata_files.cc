#include "images/metadata_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <format>

#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"
#include "updater/tuf/metadata.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr char kTimestampFile[] = "timestamp.json";

bool Exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace

Result<std::vector<int64_t>> VersionsOf(const std::string& repo, const std::string& role) {
  std::vector<int64_t> versions;
  std::error_code error;
  for (fs::directory_iterator entry(repo + "/metadata", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    int64_t version = 0;
    std::from_chars(name.data(), name.data() + name.size(), version);
    if (version > 0 && name == std::format("{}.{}.json", version, role))
      versions.push_back(version);
  }
  if (error) return FailErrno(repo + "/metadata", error.value());
  std::ranges::sort(versions);
  return versions;
}

Result<std::string> OldestRoot(const std::string& repo) {
  const std::vector<int64_t> versions = TRY(VersionsOf(repo, "root"));
  if (versions.empty())
    return Fail(Code::kNotFound, "{}: no root was published yet: hostimage root", repo);
  return std::format("metadata/{}.root.json", versions.front());
}

Result<> PublishMetadata(const std::string& repo, const std::map<std::string, std::string>& files) {
  const std::string metadata = repo + "/metadata/", next = repo + "/metadata.next/";
  bool new_root = false;
  for (const auto& [name, bytes] : files) {
    new_root |= name.ends_with(".root.json") && !Exists(metadata + name);
    if (name == kTimestampFile || !Exists(metadata + name)) continue;
    if (TRY(ReadFile(metadata + name, tuf::kTargetsCap)) != bytes)
      return Fail(Code::kRefused,
                  "{}{}: expected no file there, or the same, found another, which nodes may have "
                  "seen",
                  metadata, name);
  }
  const bool exchange =
      new_root && files.contains(kTimestampFile) && Exists(metadata + kTimestampFile);

  std::error_code error;
  fs::remove_all(next, error);  // left by an interrupted run
  TRY(MakeDirectories(metadata));
  if (exchange) fs::copy(repo + "/metadata", repo + "/metadata.next", error);
  if (error) return FailErrno(next, error.value());
  const std::string& directory = exchange ? next : metadata;
  for (const auto& [name, bytes] : files)
    if (name != kTimestampFile) TRY(WriteFileAtomically(directory + name, bytes));
  if (const auto timestamp = files.find(kTimestampFile); timestamp != files.end())
    TRY(WriteFileAtomically(directory + kTimestampFile, timestamp->second));
  if (!exchange) return {};

  const UniqueFd written = TRY(Open(next, O_RDONLY | O_DIRECTORY));
  if (::syncfs(written.get()) < 0) return FailErrno(next);
  if (::renameat2(AT_FDCWD, (repo + "/metadata.next").c_str(), AT_FDCWD,
                  (repo + "/metadata").c_str(), RENAME_EXCHANGE) < 0)
    return FailErrno(metadata + " and metadata.next, which have to change places");
  TRY(SyncDirectory(repo));
  fs::remove_all(next, error);
  return {};
}

}  // namespace hostos
