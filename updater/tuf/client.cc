#include "updater/tuf/client.h"

#include <algorithm>
#include <filesystem>
#include <ranges>
#include <set>

#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"
#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

constexpr int kMostRoots = 256;        // new roots in one run
constexpr size_t kMostDelegated = 32;  // roles to ask for one target

std::string PathOf(const std::string& directory, const std::string& role) {
  return directory + "/" + EncodeName(role) + ".json";
}

Result<std::optional<std::string>> ReadKeptFile(const std::string& path, size_t cap) {
  Result<std::string> content = ReadFile(path, cap);
  if (content) return *std::move(content);
  if (content.error().code == Code::kNotFound) return std::nullopt;
  return std::unexpected(std::move(content.error()));
}

bool SignedAs(const Header& metadata, const Role& role) {
  return std::cmp_greater_equal(ValidSignatures(metadata, role), role.threshold);
}

// The path of a target below the repository's targets: with consistent snapshots, one of its hashes
// is in front of its file name.
std::string RemotePath(const TargetFile& target, bool consistent) {
  const size_t name = target.path.rfind('/') + 1;  // 0 without a '/'
  std::string path = EncodePath(target.path.substr(0, name));
  if (consistent) path += EncodeName(target.hashes.begin()->second) + ".";
  return path + EncodeName(target.path.substr(name));
}

}  // namespace

Result<> Client::Init(const std::string& directory, std::string_view root) {
  TRY(TrustFirstRoot(root));
  return WriteFileAtomically(PathOf(directory, "root"), root);
}

Result<> Client::Adopt(const std::string& directory, std::string_view root) {
  const Root given = TRY(TrustFirstRoot(root));
  if (const Result<std::string> bytes = ReadFile(PathOf(directory, "root"), kRootCap))
    if (const Result<Root> kept = TrustFirstRoot(*bytes); kept && kept->version >= given.version)
      if (kept->version - given.version > 1 || SignedAs(*kept, given.root)) return {};
  return Init(directory, root);
}

std::vector<std::string> Client::DropUnreadable(const std::string& directory) {
  std::vector<std::string> dropped;
  std::error_code error;
  const auto drop = [&](const std::filesystem::path& path, const std::string& why) {
    std::filesystem::remove_all(path, error);
    dropped.push_back(why);
  };
  const auto kind = std::filesystem::status(directory, error).type();
  if (kind != std::filesystem::file_type::directory &&
      kind != std::filesystem::file_type::not_found)
    drop(directory, directory + ": expected a directory");
  std::vector<std::string> files;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error))
    files.push_back(it->path());
  for (const std::string& file : files)
    if (const Result<std::string> read = ReadFile(file, kTargetsCap); !read)
      drop(file, read.error().message);
  return dropped;
}

Result<std::vector<TrustedRole>> Client::Trusted(const std::string& directory) {
  const std::string path = PathOf(directory, "root");
  const std::string root_bytes = TRY(ReadFile(path, kRootCap));
  const Root root = TRY_CONTEXT(path, TrustFirstRoot(root_bytes));
  std::vector<TrustedRole> trusted = {Summary(root)};
  const auto add = [&](const char* name, size_t cap, const Role& role, auto parse) -> Result<> {
    const auto file = TRY(ReadKeptFile(PathOf(directory, name), cap));
    if (!file) return {};
    const auto kept = parse(*file);
    if (kept && CheckSignatures(*kept, role)) trusted.push_back(Summary(*kept));
    return {};
  };
  TRY(add("targets", kTargetsCap, root.targets,
          [](std::string_view bytes) { return Targets::Parse("targets", bytes); }));
  TRY(add("snapshot", kSnapshotCap, root.snapshot, &Snapshot::Parse));
  TRY(add("timestamp", kTimestampCap, root.timestamp, &Timestamp::Parse));
  return trusted;
}

Result<Client> Client::Refresh(std::string directory, Fetcher& fetcher, uint64_t now) {
  const std::string path = PathOf(directory, "root");
  const std::string kept = TRY(ReadFile(path, kRootCap));
  Client client(std::move(directory), fetcher, now, TRY_CONTEXT(path, TrustFirstRoot(kept)));
  TRY(client.UpdateRoot());
  const Remembered before = Remember(
      client.root_, TRY(ReadKeptFile(PathOf(client.directory_, "timestamp"), kTimestampCap)),
      TRY(ReadKeptFile(PathOf(client.directory_, "snapshot"), kSnapshotCap)));
  const Timestamp timestamp = TRY(client.UpdateTimestamp(before));
  client.snapshot_ = TRY(client.UpdateSnapshot(before, timestamp));
  TRY(client.UpdateTargets("targets", client.root_.targets));
  return client;
}

Result<> Client::UpdateRoot() {
  for (int i = 0; i < kMostRoots; ++i) {
    const std::string file = std::format("{}.root.json", root_.version + 1);
    Result<std::string> bytes = fetcher_->Fetch(file, kRootCap);
    if (!bytes && bytes.error().code == Code::kNotFound) break;  // there is no newer one
    if (!bytes) return std::unexpected(std::move(bytes.error()).Wrap("root"));
    root_ = TRY(TrustNextRoot(root_, *bytes));
    TRY(Keep("root", file, *bytes));
  }
  return CheckExpiry(root_, now_);
}

Result<Timestamp> Client::UpdateTimestamp(const Remembered& before) {
  const std::string file = "timestamp.json";
  const std::string bytes = TRY(FetchRole(file, kTimestampCap));
  const std::optional<Timestamp> newer = TRY(TrustTimestamp(root_, before, bytes, now_));
  if (newer) TRY(Keep("timestamp", file, bytes));
  if (newer) return *newer;
  fetcher_->Accepted(file, bytes);
  return *before.timestamp;
}

Result<Snapshot> Client::UpdateSnapshot(const Remembered& before, const Timestamp& timestamp) {
  return KeptOrFetched("snapshot", timestamp.snapshot, kSnapshotCap, [&](std::string_view bytes) {
    return TrustSnapshot(root_, timestamp, before, bytes, now_);
  });
}

Result<Targets> Client::UpdateTargets(const std::string& name, const Role& role) {
  const MetaFile meta = TRY(snapshot_.Find(name));
  return KeptOrFetched(name, meta, kTargetsCap, [&](std::string_view bytes) {
    return TrustTargets(name, role, snapshot_, bytes, now_);
  });
}

template <class Trust>
auto Client::KeptOrFetched(const std::string& name, const MetaFile& meta, size_t cap, Trust trust)
    -> decltype(trust(std::string_view())) {
  const std::string path = PathOf(directory_, name);
  if (const std::optional<std::string> kept = TRY(ReadKeptFile(path, cap))) {
    if (auto trusted = trust(*kept)) return trusted;  // else the kept one is just old: no error
  }
  const std::string version = root_.consistent_snapshot ? std::format("{}.", meta.version) : "";
  const std::string file = version + EncodeName(name) + ".json";
  const std::string bytes =
      TRY(FetchRole(file, std::min<uint64_t>(cap, meta.length.value_or(cap))));
  auto trusted = TRY(trust(bytes));
  TRY(Keep(name, file, bytes));
  return trusted;
}

Result<> Client::Keep(const std::string& name, const std::string& file, const std::string& bytes) {
  fetcher_->Accepted(file, bytes);
  return WriteFileAtomically(PathOf(directory_, name), bytes);
}

// Fetches a file that must exist: if it is missing, the server is at fault.
Result<std::string> Client::FetchRole(const std::string& file, size_t cap) {
  Result<std::string> bytes = fetcher_->Fetch(file, cap);
  if (!bytes) {
    return Fail(Code::kNetwork, "expected {} of the repository: {}", file, bytes.error().message);
  }
  return bytes;
}

Result<TargetFile> Client::Find(const std::string& path) {
  std::vector<DelegatedRole> to_ask = {{"targets", root_.targets}};  // asked from the end
  std::set<std::string> asked;
  while (!to_ask.empty()) {
    const DelegatedRole next = std::move(to_ask.back());
    to_ask.pop_back();
    if (asked.contains(next.name)) continue;
    if (asked.size() > kMostDelegated) {
      return Fail(Code::kNotTrusted, "{}: expected at most {} delegated roles to ask, found more",
                  EncodePath(path), kMostDelegated);
    }
    asked.insert(next.name);
    const Targets targets = TRY(UpdateTargets(next.name, next.role));
    if (const auto found = targets.targets.find(path); found != targets.targets.end()) {
      return found->second;
    }
    std::vector<DelegatedRole> delegated = targets.delegations.For(path);
    const auto last = std::ranges::find_if(delegated, &DelegatedRole::terminating);
    if (last != delegated.end()) {  // only the roles it delegates to are asked after it
      delegated.erase(last + 1, delegated.end());
      to_ask.clear();
    }
    std::ranges::move(delegated | std::views::reverse, std::back_inserter(to_ask));
  }
  return Fail(Code::kNotFound, "{}: no role of the repository signed such a target",
              EncodePath(path));
}

Result<std::string> Client::Fetch(const TargetFile& target, Fetcher& fetcher) const {
  const std::string remote = RemotePath(target, root_.consistent_snapshot);
  std::string bytes = TRY_CONTEXT(remote, fetcher.Fetch(remote, *target.length));
  TRY_CONTEXT(EncodePath(target.path), CheckFile(target, bytes));
  fetcher.Accepted(remote, bytes);
  return bytes;
}

Result<std::string> Client::Download(const TargetFile& target, Fetcher& fetcher,
                                     const std::string& directory) const {
  const std::string path = directory + "/" + EncodeName(target.path);
  const Result<std::string> kept = ReadFile(path, *target.length);
  if (kept && CheckFile(target, *kept)) return path;
  const std::string bytes = TRY(Fetch(target, fetcher));
  TRY(WriteFileAtomically(path, bytes));
  return path;
}

}  // namespace hostos::tuf
