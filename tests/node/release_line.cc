#include "tests/node/release_line.h"

#include "images/pack_release.h"
#include "tests/announce.h"
#include "tests/held.h"
#include "tests/noise.h"

namespace hostos {

ReleaseLine::ReleaseLine(uint64_t time) {
  CommitOptions options = small_.Options();
  options.timestamp = time;
  const Release from = Held(small_.Commit(options));
  newest_ = from.version;
  if (time == kReleaseTime) Announce(from.version);
  releases_ = Running(small_ / "repo", small_ / "keys", from.commit);
}

void ReleaseLine::Announce(const std::string& version) const {
  Held(hostos::Announce(small_ / "repo", version, Held(SecretKey::Load(small_ / "ci.pem"))));
}

Release ReleaseLine::Publish(const std::string& version, int files, const ReleaseFormat& format) {
  time_++;
  for (uint64_t file = 0; file < static_cast<uint64_t>(files); file++)
    WriteText(std::format("{}/{}", small_ / "root/usr/share/new", file),
              Noise(20'000, time_ * 1000 + file));
  small_.SetVersion(version);
  CommitOptions options = small_.Options();
  options.timestamp = time_;
  if (format.laid_out) options.after = newest_;
  const Release release = Held(small_.Commit(options));
  newest_ = version;
  if (!format.pack_from.empty()) {
    NoProgress progress;
    Held(PackRelease({.repo = small_ / "repo",
                      .architecture = "x86-64",
                      .version = version,
                      .from = {format.pack_from}},
                     progress));
  }
  Announce(version);
  releases_.to = release.commit;
  return release;
}

}  // namespace hostos
