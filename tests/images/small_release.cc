#include "tests/images/small_release.h"

#include <filesystem>

#include "images/rescue.h"
#include "images/uki.h"
#include "tests/announce.h"
#include "tests/held.h"
#include "tests/noise.h"

namespace hostos {

namespace fs = std::filesystem;

// A root of a repository that nobody publishes in.
static const std::string& FirstRoot() {
  static const std::string root = [] {
    const TempDir directory;
    TufRepository repository = Held(TufRepository::Create(directory.path(), kReleaseTime));
    Held(MakeFirstRoot(repository, directory.path(), Held(SecretKey::GenerateHybrid())));
    return ReadText(directory / "metadata/1.root.json");
  }();
  return root;
}

SmallRelease::SmallRelease(const std::string& version, const std::string& directory)
    : directory_(directory.empty() ? own_.emplace().path() : directory) {
  const std::string root = directory_ / "root";
  SetVersion(version);
  SetVersionOfAlpha("1:1.0");
  for (const char* package : {"zeta", "alpha"})
    WriteText(root + "/usr/lib/sysimage/dpkg/info/" + package + ".list", "/.\n");
  // ukify wants a PE program for a kernel.
  fs::create_directories(root + "/usr/lib/modules/6.12.0-small");
  fs::copy_file(std::string(kEfiPrograms) + "systemd-bootx64.efi",
                root + "/usr/lib/modules/6.12.0-small/vmlinuz");
  WriteText(root + "/usr/bin/tool", "#!/bin/sh\n", 04755);
  WriteText(root + "/usr/share/large", Noise(3 << 20, 1));
  WriteText(root + "/usr/share/twin", Noise(3 << 20, 1));
  WriteText(root + "/etc/empty", "");
  fs::create_symlink("tool", root + "/usr/bin/alias");
  for (const char* empty : {"/boot", "/proc", "/var"}) fs::create_directory(root + empty);
  WriteText(directory_ / "initrd", std::string(70000, 'i'));
  AddKey("ci");
  fs::create_directories(root + "/usr/lib/hostos/keys.d");
  fs::copy_file(directory_ / "keys/ci.pub", root + "/usr/lib/hostos/keys.d/ci.pub");
  WriteText(root + "/usr/lib/hostos/tuf/root.json", FirstRoot());
}

void SmallRelease::SetVersion(const std::string& version) {
  version_ = version;
  WriteText(directory_ / "root/usr/lib/os-release",
            std::format("ID=debian\nVERSION_ID=\"13\"\nNAME=\"HostOS\"\nPRETTY_NAME=\"HostOS\"\n"
                        "IMAGE_ID=hostos\nIMAGE_VERSION=\"{}\"\n",
                        version));
}

void SmallRelease::SetVersionOfAlpha(const std::string& version) const {
  WriteText(directory_ / "root/usr/lib/sysimage/dpkg/status",
            "Package: zeta\nStatus: install ok installed\nArchitecture: all\nVersion: 2-1\n\n"
            "Package: alpha\nStatus: install ok installed\nArchitecture: amd64\nVersion: " +
                version + "\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 3\n");
}

void SmallRelease::AddChangelogs() const {
  WriteText(
      directory_ / "changelogs/alpha",
      "alpha (1:1.0) stable-security; urgency=high\n\n  * Fix CVE-2026-12345, CVE-2026-1234.\n\n"
      " -- Somebody <some@example.org>  Sat, 19 Sep 2026 18:00:50 +0200\n\n"
      "alpha (1:0.9) stable; urgency=medium\n\n  * Import.\n\n"
      " -- Somebody <some@example.org>  Sat, 05 Sep 2026 18:00:50 +0200\n");
}

CommitOptions SmallRelease::Options() const {
  return {.tree = directory_ / "root",
          .initrd = directory_ / "initrd",
          .repo = directory_ / "repo",
          .version = version_,
          .channel = "stable",
          .architecture = "x86-64",
          .keys = {directory_ / "ci.pem"},
          .timestamp = kReleaseTime,
          .stub = "",
          .cmdline_append = "",
          .image_out = "",
          .verity_out = "",
          .uki_out = ""};
}

Result<Release> SmallRelease::Commit(const CommitOptions& options) const {
  NoProgress progress;
  return CommitRelease(options, progress);
}

std::string SmallRelease::MakeRescue() const {
  return MakeRescue(directory_ / "rescue.efi");
}

std::string SmallRelease::BringRescue() const {
  MakeRescue("");
  return *this / "root" + std::string(kRescuePath);
}

std::string SmallRelease::MakeRescue(const std::string& output) const {
  Held(hostos::MakeRescue({.tree = directory_ / "root",
                           .initrd = directory_ / "initrd",
                           .output = output,
                           .architecture = "x86-64",
                           .stub = ""}));
  return output;
}

ReleaseQuery SmallRelease::Query() const {
  return {.repo = directory_ / "repo",
          .name = ReleaseRef("x86-64", version_),
          .keys = {directory_ / "keys"},
          .signatures = {}};
}

std::string SmallRelease::AddKey(const std::string& name) const {
  const std::string path = directory_ / (name + ".pem");
  const std::vector<SecretKey> secret = Held(SecretKey::GenerateHybrid());
  Held(SecretKey::Save(secret, path));
  WriteText(directory_ / ("keys/" + name + ".pub"), Held(PublicText(secret)));
  return path;
}

}  // namespace hostos
