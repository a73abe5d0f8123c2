#include "updater/engine/state_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "updater/base/atomic_file.h"
#include "updater/base/file_lock.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kObjectCap = 16 << 20;  // of a commit object or its detached metadata
constexpr std::string_view kCommitSuffix = ".commit";
constexpr char kNextFrom[] = "next-from";
constexpr Seconds kUpdateTime = std::chrono::days(1);  // the limit of hostos-fetch@.service
constexpr Seconds kMetricsTime{10};                    // they are read and written in a moment

// The names in a directory, sorted; none when it does not exist.
Result<std::vector<std::string>> Names(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename());
  if (error && error != std::errc::no_such_file_or_directory) return FailErrno(path, error.value());
  std::ranges::sort(names);
  return names;
}

// A separate file that only root can open: flock(2) accepts any descriptor, even one for reading or
// of a directory, so anybody could hold the lock of a file that they can read. For the same reason
// a read-only file system is enough.
Result<UniqueFd> OpenLock(const std::string& file) {
  const Result<> made = MakeDirectories(fs::path(file).parent_path());
  Result<UniqueFd> opened =
      made ? Open(file, O_RDWR | O_CREAT, 0600) : std::unexpected(made.error());
  return opened ? std::move(opened) : Open(file, O_RDONLY);
}

Result<KeptCommit> ReadKept(const std::string& file) {
  std::string commit = TRY(ReadFile(file, kObjectCap));
  std::string signatures = TRY(ReadFile(file + "meta", kObjectCap));
  return KeptCommit{std::move(commit), std::move(signatures), file};
}

// Makes a directory of HostOS. Anything else with its name is removed.
Result<> MakePlace(const std::string& path) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error)) fs::remove(path, error);
  return MakeDirectories(path);
}

Result<> RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return FailErrno(path, error.value());
  return {};
}

// The space that a copy of the tree takes; nothing if there is no tree. Somebody may be changing it
// meanwhile.
Result<Space> SizeOf(const fs::path& tree) {
  Space size;
  const auto add = [&size](const fs::path& path) {
    if (const Result<Space> entry = SizeOnDisk(path)) size += *entry;
  };
  add(tree);
  std::error_code error;
  for (fs::recursive_directory_iterator it(tree, error), end; !error && it != end;
       it.increment(error))
    add(it->path());
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
    return FailErrno(tree.string(), error.value());
  return size;
}

// Writes a file of HostOS. A directory with its name is removed.
Result<> WriteOver(const std::string& path, std::string_view content) {
  std::error_code error;
  if (fs::is_directory(path, error)) TRY(RemoveTree(path));
  return WriteFileAtomically(path, content);
}

}  // namespace

std::string HolderIn(const std::string& lock_file) {
  const std::string who = ReadFile(lock_file, 4096).value_or("");
  return who.empty() ? "a process that has just begun" : who;
}

Result<Lock> StateDir::TryLock(std::string_view holder, uint64_t now) {
  return TakeLock(holder, now, Seconds(0));
}

Result<Lock> StateDir::WaitLock(std::string_view holder, uint64_t now) {
  return TakeLock(holder, now, kUpdateTime);
}

Result<Lock> StateDir::TakeLock(std::string_view holder, uint64_t now, Milliseconds patience) {
  std::string file = path_ + "/lock";
  Result<UniqueFd> opened = OpenLock(file);
  if (!opened) opened = OpenLock(file = run_ + "/lock");
  Lock lock{TRY(std::move(opened))};
  if (!TRY_CONTEXT(file, LockWithin(lock.fd.get(), patience)))
    return Fail(Code::kBusy, "another operation is in progress: {}", HolderIn(file));
  std::string who = std::format("{}, pid {}, since {}", holder, ::getpid(), FormatTime(now));
  // The lock holds even if the holder cannot be written: the state partition may be full.
  if (::ftruncate(lock.fd.get(), 0) == 0) (void)PwriteFull(lock.fd.get(), AsBytes(who), 0);
  return lock;
}

Result<> StateDir::Keep(const Digest& checksum, const KeptCommit& commit) {
  const std::string base = path_ + "/commits/" + checksum.Hex();
  TRY(MakePlace(path_ + "/commits"));
  // The signatures first, so that a commit never lacks them.
  TRY(WriteOver(base + ".commitmeta", commit.signatures));
  return WriteOver(base + std::string(kCommitSuffix), commit.commit);
}

KeptCommits StateDir::Commits() const {
  const std::string directory = path_ + "/commits/";
  const Result<std::vector<std::string>> names = Names(directory);
  if (!names) return {.commits = {}, .problems = {names.error().message}};
  KeptCommits kept;
  for (const std::string& name : *names) {
    if (!name.ends_with(kCommitSuffix)) continue;
    Result<KeptCommit> commit = ReadKept(directory + name);
    if (commit)
      kept.commits.push_back(*std::move(commit));
    else if (::access((directory + name).c_str(), F_OK) == 0)  // else it was removed meanwhile
      kept.problems.push_back(commit.error().message);
  }
  return kept;
}

Result<> StateDir::ForgetExcept(const std::vector<Digest>& wanted) {
  const std::string directory = path_ + "/commits/";
  Result<> forgotten;
  std::string stays;
  // In sorted order a commit goes before its signatures, so that a commit never lacks them.
  for (const std::string& name : TRY(Names(directory))) {
    const std::string stem = name.substr(0, name.find('.'));
    Result<Digest> checksum = Digest::FromHex(stem);
    if (stem == stays || (checksum && std::ranges::contains(wanted, *checksum))) continue;
    Result<> removed = RemoveFileDurably(directory + name);
    if (removed) continue;
    stays = stem;
    if (forgotten) forgotten = std::move(removed);
  }
  return forgotten;
}

std::string StateDir::EtcOf(const Digest& root_hash) const {
  return path_ + "/etc/" + root_hash.Hex().substr(0, 16);
}

Result<> StateDir::PrepareEtc(const Digest& from, const Digest& target, bool afresh) {
  const auto name = [this](const Digest& root_hash) {
    return fs::path(EtcOf(root_hash)).filename().string() + "\n";
  };
  TRY(MakePlace(path_ + "/etc"));
  return WriteFileAtomically(path_ + "/etc/" + kNextFrom,
                             name(from) + (afresh ? name(target) : ""));
}

Result<> StateDir::ForgetEtc(const Digest& running, const std::optional<Digest>& other) {
  const std::string directory = path_ + "/etc/";
  if (EtcInMemory(running)) return {};
  for (const std::string& name : TRY(Names(directory))) {
    const std::string path = directory + name;
    if (path != EtcOf(running) && !(other && path == EtcOf(*other)) && name != kNextFrom)
      TRY(RemoveTree(path));
  }
  return {};
}

bool StateDir::EtcInMemory(const Digest& running) const {
  std::error_code error;
  if (fs::is_directory(EtcOf(running) + "/upper", error)) return false;
  const std::vector<std::string> names = Names(path_ + "/etc").value_or(std::vector<std::string>());
  return std::ranges::any_of(names, [&](const std::string& name) {
    return fs::is_directory(path_ + "/etc/" + name + "/upper", error);
  });
}

Result<Space> StateDir::EtcSize(const Digest& running) const {
  if (!EtcInMemory(running)) return SizeOf(EtcOf(running) + "/upper");
  Space largest;
  for (const std::string& name : TRY(Names(path_ + "/etc"))) {
    const Space size = TRY(SizeOf(path_ + "/etc/" + name + "/upper"));
    largest = {std::max(largest.bytes, size.bytes), std::max(largest.inodes, size.inodes)};
  }
  return largest;
}

// What the system itself writes into /etc: not an edit.
constexpr std::string_view kOwnFiles[] = {".pwd.lock", ".updated",   "adjtime", "group-",
                                          "gshadow-",  "machine-id", "passwd-", "shadow-",
                                          "subgid-",   "subuid-"};

Result<std::vector<std::string>> StateDir::EtcChanges(const Digest& root_hash) const {
  const fs::path upper = EtcOf(root_hash) + "/upper";
  std::vector<std::string> changes;
  std::error_code error;
  for (fs::recursive_directory_iterator it(upper, error), end; !error && it != end;
       it.increment(error)) {
    // The entry itself, not its target: a link is a change, even one to a directory or to nothing.
    const std::string path = it->path().lexically_relative(upper);
    if (it->symlink_status(error).type() != fs::file_type::directory &&
        !std::ranges::contains(kOwnFiles, path))
      changes.push_back(path);
  }
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
    return FailErrno(upper.string(), error.value());
  std::ranges::sort(changes);
  return changes;
}

Result<> StateDir::MarkGateFinished() {
  TRY(MakeDirectories(run_));
  return WriteFileAtomically(run_ + "/gate-finished", "");
}

Result<Lock> StateDir::LockMetrics() {
  const std::string file = run_ + "/metrics.lock";
  Lock lock{TRY(OpenLock(file))};
  if (!TRY_CONTEXT(file, LockWithin(lock.fd.get(), kMetricsTime)))
    return Fail(Code::kBusy, "{}: another hostctl is writing the metrics", file);
  return lock;
}

Result<> StateDir::SaveMetrics(const std::string& text) {
  const std::string file = run_ + "/metrics.prom";
  TRY(WriteFileAtomically(file, text));
  // Whatever the caller's umask is.
  if (::chmod(file.c_str(), 0644) < 0) return FailErrno(file);
  return {};
}

}  // namespace hostos
