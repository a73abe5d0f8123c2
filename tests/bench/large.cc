#include "tests/bench/large.h"

#include <filesystem>

#include "tests/announce.h"
#include "tests/bench/measure.h"
#include "tests/images/small_release.h"

namespace hostos {
namespace {

using nlohmann::json;

constexpr int kLargeFiles = 120, kChangedFiles = 6;
constexpr uint64_t kLargeBytes = 16 << 20;
constexpr int kSmallFiles = 20'000;

// Numbered lines: different in every file, and quick to compress.
void WriteLargeFiles(const std::string& root, int files, int generation) {
  for (int file = 0; file < files; file++) {
    std::string text;
    text.reserve(kLargeBytes);
    for (int line = 0; text.size() < kLargeBytes; line++)
      text += std::format("file {} of generation {}, line {}\n", file, generation, line);
    text.resize(kLargeBytes);
    WriteText(std::format("{}/usr/lib/large/{}", root, file), text);
  }
}

// Makes the two commits.
Result<json> Make(const std::string& directory, const std::string& image) {
  SmallRelease release("1.0.0", directory);
  const std::string root = release / "root";
  for (int file = 0; file < kSmallFiles; file++)
    WriteText(std::format("{}/usr/lib/small/{}/{}", root, file / 1000, file),
              std::format("{:04096}", file));
  WriteLargeFiles(root, kLargeFiles, 1);
  CommitOptions options = release.Options();
  options.image_out = image;
  const Release from = TRY(release.Commit(options));
  WriteLargeFiles(root, kChangedFiles, 2);
  release.SetVersion("1.1.0");
  options = release.Options();
  options.timestamp++;
  const Release to = TRY(release.Commit(options));
  const std::vector<SecretKey> key = TRY(SecretKey::Load(release / "ci.pem"));
  TRY(Announce(release / "repo", to.version, key));
  std::filesystem::remove_all(root);  // only frees disk space
  return json{{"from", from.commit.Hex()}, {"to", to.commit.Hex()}};
}

}  // namespace

Result<Releases> MakeLargeReleases(const std::string& directory, const std::string& image) {
  Releases releases{.repo = directory + "/repo",
                    .keys = directory + "/keys",
                    .parent = "",
                    .from = {},
                    .to = {},
                    .slot = {4096, 64}};
  // A process that is forked later starts with this one's memory, so this one must stay small.
  const Cost made = TRY(Measure([&] { return Make(directory, image); }));
  releases.from = TRY(Digest::FromHex(made.said["from"].get<std::string>()));
  releases.to = TRY(Digest::FromHex(made.said["to"].get<std::string>()));
  return releases;
}

}  // namespace hostos
