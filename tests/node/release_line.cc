#include "tests/node/release_line.h"

#include <random>

#include "images/pack_release.h"
#include "images/publish/secret_key.h"
#include "tests/announce.h"

namespace hostos {

ReleaseLine::ReleaseLine(uint64_t time) {
  CommitOptions options = small_.Options();
  options.timestamp = time;
  const Release from = small_.Commit(options).value();
  newest_ = from.version;
  if (time == kReleaseTime) Announce(from.version);
  const std::string parent = small_ / "parent";
  Run(std::format("ostree init --repo={0} --mode=bare && ostree pull-local --repo={0} {1} {2}",
                  parent, small_ / "repo", from.commit.Hex()));
  releases_ = {small_ / "repo", small_ / "keys", parent, from.commit, from.commit, {16, 1}};
}

void ReleaseLine::Announce(const std::string& version) const {
  const std::vector<SecretKey> keys = SecretKey::Load(small_ / "ci.pem").value();
  hostos::Announce(small_ / "repo", version, keys).value();
}

Release ReleaseLine::Publish(const std::string& version, int files, const ReleaseFormat& format) {
  std::minstd_rand random(static_cast<unsigned>(++time_));
  for (int file = 0; file < files; file++) {
    std::string bytes(20'000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() >> 16);
    WriteText(std::format("{}/{}", small_ / "root/usr/share/new", file), bytes);
  }
  WriteText(small_ / "root/usr/lib/os-release",
            std::format("ID=hostos\nIMAGE_ID=hostos\nIMAGE_VERSION=\"{}\"\n", version));
  CommitOptions options = small_.Options();
  options.version = version;
  options.timestamp = time_;
  if (format.laid_out) options.after = newest_;
  const Release release = small_.Commit(options).value();
  newest_ = version;
  if (!format.pack_from.empty()) {
    NoProgress progress;
    PackRelease({.repo = small_ / "repo",
                 .architecture = "x86-64",
                 .version = version,
                 .from = {format.pack_from}},
                progress)
        .value();
  }
  Announce(version);
  releases_.to = release.commit;
  return release;
}

}  // namespace hostos
