#include "tests/bench/large.h"

#include <filesystem>

#include "images/commit_release.h"
#include "images/publish/secret_key.h"
#include "images/uki.h"
#include "tests/announce.h"
#include "tests/bench/measure.h"
#include "tests/no_progress.h"
#include "updater/base/atomic_file.h"
#include "updater/release/signature.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kLargeFiles = 120, kChangedFiles = 6;
constexpr uint64_t kLargeBytes = 16 << 20;
constexpr int kSmallFiles = 20'000;

// Numbered lines: different in every file, and quick to compress.
Result<> WriteLarge(const std::string& path, int file, int generation) {
  std::string text;
  text.reserve(kLargeBytes);
  for (int line = 0; text.size() < kLargeBytes; line++)
    text += std::format("file {} of generation {}, line {}\n", file, generation, line);
  text.resize(kLargeBytes);
  return WriteFileAtomically(path, text);
}

Result<> WriteLargeFiles(const std::string& root, int files, int generation) {
  for (int file = 0; file < files; file++)
    TRY(WriteLarge(std::format("{}/usr/lib/large/{}", root, file), file, generation));
  return {};
}

Result<> WriteSmallFiles(const std::string& root) {
  for (int file = 0; file < kSmallFiles; file++) {
    const std::string path = std::format("{}/usr/lib/small/{}/{}", root, file / 1000, file);
    UniqueFd fd = TRY(Open(path, O_WRONLY | O_CREAT, 0644));
    TRY_CONTEXT(path, WriteFull(fd.get(), AsBytes(std::format("{:04096}", file))));
  }
  return {};
}

// Makes the two commits.
Result<json> Make(const Releases& releases, const std::string& directory,
                  const std::string& image) {
  const std::string root = directory + "/root";
  for (const char* path :
       {"/boot", "/proc", "/usr/lib/modules/large", "/usr/lib/large", "/usr/lib/sysimage/dpkg"})
    TRY(MakeDirectories(root + path));
  for (int folder = 0; folder < kSmallFiles / 1000; folder++)
    TRY(MakeDirectories(std::format("{}/usr/lib/small/{}", root, folder)));
  TRY(WriteSmallFiles(root));
  TRY(WriteLargeFiles(root, kLargeFiles, 1));
  TRY(WriteFileAtomically(root + "/usr/lib/sysimage/dpkg/status",
                          "Package: large\nStatus: install ok installed\nVersion: 1\n"));
  // ukify needs a PE program as the kernel.
  std::error_code error;
  fs::copy_file(std::string(kEfiPrograms) + "systemd-bootx64.efi",
                root + "/usr/lib/modules/large/vmlinuz", error);
  if (error) return Fail(Code::kFailed, "{}: {}", kEfiPrograms, error.message());
  TRY(WriteFileAtomically(directory + "/initrd", "none"));
  const std::vector<SecretKey> key = TRY(SecretKey::GenerateHybrid());
  TRY(SecretKey::Save(key, directory + "/key.pem"));
  TRY(MakeDirectories(releases.keys));
  const std::string trusted = TRY(PublicText(key));
  TRY(WriteFileAtomically(releases.keys + "/key.pub", trusted));
  // Nodes of a release that trusts nobody could not update from it.
  for (const char* folder : {"/usr/lib/hostos/keys.d", "/usr/lib/hostos/tuf"})
    TRY(MakeDirectories(root + folder));
  TRY(WriteFileAtomically(root + "/usr/lib/hostos/keys.d/key.pub", trusted));
  TRY(Repo::CreateArchive(releases.repo));
  {
    TufRepository metadata = TRY(TufRepository::Create(releases.repo, SystemClock().Now()));
    TRY(MakeFirstRoot(metadata, releases.repo, key));
  }
  fs::copy_file(releases.repo + "/metadata/1.root.json", root + "/usr/lib/hostos/tuf/root.json",
                error);
  if (error) return Fail(Code::kFailed, "{}: {}", releases.repo, error.message());

  auto commit = [&](const std::string& version, uint64_t time) -> Result<Release> {
    TRY(WriteFileAtomically(
        root + "/usr/lib/os-release",
        std::format("ID=hostos\nIMAGE_ID=hostos\nIMAGE_VERSION={}\n", version)));
    NoProgress progress;
    return CommitRelease({.tree = root,
                          .initrd = directory + "/initrd",
                          .repo = releases.repo,
                          .version = version,
                          .channel = "stable",
                          .architecture = "x86-64",
                          .keys = {directory + "/key.pem"},
                          .timestamp = time,
                          .image_out = version == "1.0.0" ? image : ""},
                         progress);
  };
  const Release from = TRY(commit("1.0.0", 1'790'000'000));
  TRY(WriteLargeFiles(root, kChangedFiles, 2));
  const Release to = TRY(commit("1.1.0", 1'790'000'001));
  TRY(Announce(releases.repo, to.version, key));
  fs::remove_all(root, error);  // only frees disk space
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
  const Cost made = TRY(Measure([&] { return Make(releases, directory, image); }));
  releases.from = TRY(Digest::FromHex(made.said["from"].get<std::string>()));
  releases.to = TRY(Digest::FromHex(made.said["to"].get<std::string>()));
  return releases;
}

}  // namespace hostos
