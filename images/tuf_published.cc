// What of the repository is published, as nodes see it.
#include <algorithm>
#include <charconv>

#include "images/metadata_files.h"
#include "images/role_file.h"
#include "images/tuf_repository.h"
#include "updater/tuf/trust.h"

namespace hostos {

Result<std::vector<PublishedRole>> TufRepository::Published() const {
  const tuf::Root root = TRY(Root());
  const std::optional<Json> body = TRY(NewestBody("root"));
  std::vector<PublishedRole> published;
  int64_t version = root.version;
  // Each role's version is named by the role after it, so this goes from the last to the first.
  for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
    const std::optional<RoleFile> file = TRY(ReadRoleFile(Metadata(role, version)));
    if (!file) break;
    const tuf::Header header = TRY(ParseRole(role, file->bytes));
    PublishedRole each{tuf::Summary(header), 0};
    const uint64_t quarter = DaysOf(*body, role) * kSecondsOfDay / 4;
    each.due = each.expires - std::min(each.expires, quarter);
    published.push_back(std::move(each));
    if (const std::string next = NamedBy(role); !next.empty()) {
      const Json& meta = file->json["signed"]["meta"];
      if (!meta.contains(next + ".json")) break;
      version = meta[next + ".json"]["version"];
    }
  }
  const auto place = [](const PublishedRole& each) {
    return std::ranges::find(kTufRoles, each.role) - kTufRoles.begin();
  };
  std::ranges::sort(published, {}, place);
  return published;
}

Result<> TufRepository::CheckTimestamp() const {
  const int64_t found = TRY(TimestampVersion()), last = TRY(LastTimestamp());
  if (found >= last) return {};
  return Fail(Code::kNotTrusted,
              "{}: expected version {}, which was published last, found {}: an old copy came over "
              "it; hostimage renew timestamp --repo {} --key FILE",
              Metadata("timestamp", 0), last, found, directory_);
}

// Checks that the published metadata is signed by the keys that nodes trust, from the oldest root
// on. A folder that somebody handed over may contain anything.
Result<> TufRepository::CheckPublished() const {
  const std::vector<int64_t> versions = TRY(VersionsOf(directory_, "root"));
  std::optional<tuf::Root> root;
  for (const int64_t version : versions) {
    const std::string path = Metadata("root", version);
    const std::string bytes = TRY(ReadFile(path, tuf::kRootCap));
    root = TRY_CONTEXT(path, root ? tuf::TrustNextRoot(*root, bytes) : tuf::TrustFirstRoot(bytes));
  }
  const int64_t targets = TRY(Newest("targets"));
  if (!root || targets == 0) return {};
  const std::string bytes = TRY(NewestBytes("targets"));
  const tuf::Targets published = TRY(tuf::Targets::Parse("targets", bytes));
  TRY_CONTEXT(Metadata("targets", targets), tuf::CheckSignatures(published, root->targets));
  return {};
}

std::string TufRepository::Metadata(const std::string& role, int64_t version) const {
  if (role == "timestamp") return directory_ + "/metadata/timestamp.json";
  return std::format("{}/metadata/{}.{}.json", directory_, version, role);
}

// The number of the role's last published version; 0 if none. A mirror does not have all versions.
Result<int64_t> TufRepository::Newest(const std::string& role) const {
  if (role == "timestamp") return std::max(TRY(TimestampVersion()), TRY(LastTimestamp()));
  const std::vector<int64_t> versions = TRY(VersionsOf(directory_, role));
  return versions.empty() ? 0 : versions.back();
}

Result<int64_t> TufRepository::TimestampVersion() const {
  const std::optional<RoleFile> file = TRY(ReadRoleFile(Metadata("timestamp", 0)));
  return file ? file->json["signed"]["version"].get<int64_t>() : 0;
}

// The last version made here. The timestamp's file has no number in its name, so an old copy can
// overwrite it, which nodes refuse. This number then still yields the right next version.
Result<int64_t> TufRepository::LastTimestamp() const {
  const Result<std::string> text = ReadFile(directory_ + kLastTimestampFile, 32);
  if (!text && text.error().code == Code::kNotFound) return 0;
  int64_t version = 0;
  const std::string digits = TRY(text);
  std::from_chars(digits.data(), digits.data() + digits.size(), version);
  return version;
}

Result<std::string> TufRepository::NewestBytes(const std::string& role) const {
  return ReadFile(Metadata(role, TRY(Newest(role))), tuf::kTargetsCap);
}

Result<std::optional<tuf::Json>> TufRepository::NewestBody(const std::string& role) const {
  const int64_t newest = TRY(Newest(role));
  std::optional<RoleFile> file = TRY(ReadRoleFile(Metadata(role, newest)));
  if (!file) return std::nullopt;
  return std::move(file->json["signed"]);
}

// The published root, as nodes see it.
Result<tuf::Root> TufRepository::Root() const {
  if (TRY(Newest("root")) == 0)
    return Fail(Code::kNotFound, "{}: no root was published yet: hostimage root", directory_);
  return tuf::TrustFirstRoot(TRY(NewestBytes("root")));
}

}  // namespace hostos
