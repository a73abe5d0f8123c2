// Opens the repository, and shows what is staged in it.
#include "images/tuf_repository.h"

#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "images/metadata_files.h"
#include "images/role_file.h"
#include "updater/base/atomic_file.h"

namespace hostos {

Result<TufRepository> TufRepository::Open(const std::string& directory, uint64_t now) {
  const std::string metadata = directory + "/metadata";
  if (::access(metadata.c_str(), F_OK) < 0)
    return Fail(Code::kNotFound,
                "{}: expected a repository with metadata, found none: hostimage root", directory);
  UniqueFd lock = TRY(hostos::Open(directory, O_RDONLY | O_DIRECTORY));
  if (::flock(lock.get(), LOCK_EX) < 0) return FailErrno(directory);
  TufRepository repository(directory, now, std::move(lock));
  for (const std::string& role : kTufRoles) TRY(repository.LoadDraft(role));
  return repository;
}

Result<TufRepository> TufRepository::Create(const std::string& directory, uint64_t now) {
  TRY(MakeDirectories(directory + "/metadata"));
  return Open(directory, now);
}

// Ignores a staged file that a colleague's run has published meanwhile, and that a copy brought
// along.
Result<> TufRepository::LoadDraft(const std::string& role) {
  const std::string path = std::format("{}/staged/{}", directory_, role);
  std::optional<RoleFile> file = TRY(ReadRoleFile(path + ".json"));
  if (!file) return {};
  Draft draft{std::move(file->json["signed"]), {}};
  if (TextIn(draft.body, "_type") != role)
    return Fail(Code::kFailed, "{}.json: expected metadata of {}, found some of {}", path, role,
                TextIn(draft.body, "_type"));
  const int64_t version = draft.body["version"];
  const std::optional<RoleFile> public_one = TRY(ReadRoleFile(Metadata(role, version)));
  if (public_one && public_one->json["signed"] == draft.body) return {};
  const std::string payload = PayloadDigest(draft.body);
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_ + "/staged", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(role + ".") || name == role + ".json") continue;
    const std::string text = TRY(ReadFile(entry->path(), tuf::kTimestampCap));
    const Json json = tuf::ParseJson(text, tuf::kTimestampCap).value_or(Json());
    const std::string keyid = TextIn(json, "keyid");  // it becomes part of a file name again
    if (TextIn(json, "payload") == payload && Digest::FromHex(keyid))
      draft.signatures[keyid] = TextIn(json, "sig");
  }
  if (error) return FailErrno(directory_ + "/staged", error.value());
  drafts_[role] = std::move(draft);
  return {};
}

Result<std::vector<StagedRole>> TufRepository::Staged() const {
  std::vector<StagedRole> staged;
  for (const std::string& role : kTufRoles)
    if (drafts_.contains(role)) staged.push_back(TRY(Look(role)));
  return staged;
}

Result<Staging> TufRepository::Difference() const {
  TRY(CheckPublished());
  Staging staging;
  std::string drafts;
  for (const std::string& role : kTufRoles) {
    const auto draft = drafts_.find(role);
    if (draft == drafts_.end()) continue;
    drafts += std::format("{} {}\n", role, PayloadDigest(draft->second.body));
    staging.changes[role] = TRY_CONTEXT("staged " + role, ChangesOf(role, draft->second.body));
  }
  if (drafts.empty()) return staging;
  staging.digest = Sha256::Of(AsBytes(drafts)).Hex();
  const std::vector<int64_t> roots = TRY(VersionsOf(directory_, "root"));
  if (roots.empty()) return staging;
  const std::string first = TRY(ReadFile(Metadata("root", roots.front()), tuf::kRootCap));
  staging.root = {roots.front(), Sha256::Of(AsBytes(first)).Hex()};
  return staging;
}

Result<std::vector<Change>> TufRepository::ChangesOf(const std::string& role, Json body) const {
  Json before = TRY(NewestBody(role)).value_or(Json::object());
  // Unchanged targets need no file.
  const Json published = before.value(role, Json::object());  // only targets has such a member
  for (const auto& [path, target] : published.items())
    if (const auto same = body[role].find(path); same != body[role].end() && *same == target) {
      body[role].erase(path);
      before[role].erase(path);
    }
  const Facts old = TRY(FactsOf(std::move(before), [this](auto& path, auto& target) {
    const Result<ReleaseTarget> release = ReadRelease(path, target);
    return Result<std::optional<ReleaseTarget>>(release ? std::optional(*release) : std::nullopt);
  }));
  const auto carry_it = [](Error error) {
    if (error.code == Code::kNotFound) error.message += "; it is copied along with staged/";
    return error;
  };
  const auto read = [&](auto& path, auto& target) -> Result<std::optional<ReleaseTarget>> {
    return TRY(ReadRelease(path, target).transform_error(carry_it));
  };
  return Compare(old, TRY(FactsOf(std::move(body), read)));
}

Result<> TufRepository::Abandon() {
  drafts_.clear();
  return Forget();
}

}  // namespace hostos
