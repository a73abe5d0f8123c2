#include "tests/vm/release_set.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr const char* kRefs = "refs/heads/hostos/x86-64";

}  // namespace

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

PublishedReleases::PublishedReleases(const ReleaseSet& releases) {
  const std::filesystem::path made = releases.directory() + "/repo", served = directory_.path();
  std::filesystem::create_symlink(made / "objects", served / "objects");
  std::filesystem::copy(made / "config", served / "config");
  std::filesystem::copy(made / "refs", served / "refs", std::filesystem::copy_options::recursive);
  server_ = std::make_unique<HttpServer>(served);
}

Result<> PublishedReleases::Publish(const std::string& version) {
  const std::string refs = directory_ / kRefs;
  return WriteFileAtomically(refs + "/stable", TRY(ReadFile(refs + "/releases/" + version)));
}

}  // namespace hostos
