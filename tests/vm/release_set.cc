#include "tests/vm/release_set.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "bootctl/boot_control.h"
#include "images/publish/secret_key.h"
#include "tests/announce.h"
#include "updater/base/unique_fd.h"

namespace hostos {

constexpr const char* kVersions[] = {"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"};
Result<ReleaseSet> ReleaseSet::Open() {
  std::error_code error;
  std::filesystem::path directory = std::filesystem::canonical(HOSTOS_RELEASES, error);
  if (error)
    return Fail(Code::kNotFound, "{}: {}; make the releases first: tests/vm/releases",
                HOSTOS_RELEASES, error.message());
  return ReleaseSet(directory);
}

Result<MadeRelease> ReleaseSet::Get(const std::string& version) const {
  const std::string path = directory_ + "/" + version + ".json";
  const auto json = nlohmann::json::parse(TRY(ReadFile(path)), nullptr, false);
  if (!json.is_object()) return Fail(Code::kFailed, "{}: not JSON", path);
  return MadeRelease{version, TRY_CONTEXT(path, Digest::FromHex(json.value("commit", ""))),
                     TRY_CONTEXT(path, Digest::FromHex(json.value("root_hash", "")))};
}

PublishedReleases::PublishedReleases(const ReleaseSet& releases, const std::string& packs)
    : key_(releases.directory() + "/secret.pem") {
  const std::filesystem::path made = releases.directory() + "/repo", served = directory_.path();
  std::filesystem::create_symlink(made / "objects", served / "objects");
  std::filesystem::create_symlink(packs.empty() ? made / "packs" : std::filesystem::path(packs),
                                  served / "packs");
  std::filesystem::copy(made / "config", served / "config");
  for (const char* folder : {"refs", "metadata", "targets"})
    std::filesystem::copy(made / folder, served / folder, std::filesystem::copy_options::recursive);
  server_ = std::make_unique<HttpServer>(served);
}

Result<> PublishedReleases::Publish(const std::string& version) {
  const std::vector<SecretKey> keys = TRY(SecretKey::Load(key_));
  for (const char* each : kVersions) {
    if (CompareVersions(each, newest_) > 0 && CompareVersions(each, version) <= 0)
      TRY(Announce(directory_.path(), newest_ = each, keys));
  }
  return {};
}

}  // namespace hostos
