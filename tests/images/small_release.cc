#include "tests/images/small_release.h"

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "images/publish/secret_key.h"
#include "images/rescue.h"
#include "images/tuf_repository.h"
#include "images/uki.h"

namespace hostos {

namespace fs = std::filesystem;

// Bytes that do not compress, always the same.
static std::string Noise(size_t size) {
  std::minstd_rand random;
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() >> 16);
  return bytes;
}

// A root of a repository that nobody publishes in.
static const std::string& FirstRoot() {
  static const std::string root = [] {
    const TempDir directory;
    const std::vector<SecretKey> key = *SecretKey::GenerateHybrid();
    const RoleChange mine = {.keys = {*key.front().Public()}, .threshold = {}, .days = {}};
    TufRepository repository = TufRepository::Create(directory.path(), kReleaseTime).value();
    REQUIRE(repository.StageRoot(
        {{"root", mine}, {"targets", mine}, {"snapshot", mine}, {"timestamp", mine}}));
    REQUIRE(repository.Sign(key));
    return ReadText(directory / "metadata/1.root.json");
  }();
  return root;
}

SmallRelease::SmallRelease(const std::string& version) : version_(version) {
  const std::string root = directory_ / "root";
  WriteText(
      root + "/usr/lib/os-release",
      "ID=debian\nVERSION_ID=\"13\"\nNAME=\"HostOS\"\nPRETTY_NAME=\"HostOS\"\nIMAGE_ID=hostos\n"
      "IMAGE_VERSION=\"" +
          version + "\"\n");
  WriteText(root + "/usr/lib/sysimage/dpkg/status",
            "Package: zeta\nStatus: install ok installed\nArchitecture: all\nVersion: 2-1\n\n"
            "Package: alpha\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.0\n\n"
            "Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n");
  for (const char* package : {"zeta", "alpha"})
    WriteText(root + "/usr/lib/sysimage/dpkg/info/" + package + ".list", "/.\n");
  // ukify wants a PE program for a kernel.
  fs::create_directories(root + "/usr/lib/modules/6.12.0-small");
  fs::copy_file(std::string(kEfiPrograms) + "systemd-bootx64.efi",
                root + "/usr/lib/modules/6.12.0-small/vmlinuz");
  WriteText(root + "/usr/bin/tool", "#!/bin/sh\n", 04755);
  WriteText(root + "/usr/share/large", Noise(3 << 20));
  WriteText(root + "/usr/share/twin", Noise(3 << 20));
  WriteText(root + "/etc/empty", "");
  fs::create_symlink("tool", root + "/usr/bin/alias");
  for (const char* directory : {"/boot", "/proc", "/var"}) fs::create_directory(root + directory);
  WriteText(directory_ / "initrd", std::string(70000, 'i'));
  AddKey("ci");
  fs::create_directories(root + "/usr/lib/hostos/keys.d");
  fs::copy_file(directory_ / "keys/ci.pub", root + "/usr/lib/hostos/keys.d/ci.pub");
  WriteText(root + "/usr/lib/hostos/tuf/root.json", FirstRoot());
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
  return directory_ / "root" + std::string(kRescuePath);
}

std::string SmallRelease::MakeRescue(const std::string& output) const {
  REQUIRE(hostos::MakeRescue({.tree = directory_ / "root",
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
  const std::vector<SecretKey> secret = *SecretKey::GenerateHybrid();
  REQUIRE(SecretKey::Save(secret, path));
  WriteText(directory_ / ("keys/" + name + ".pub"), *PublicText(secret));
  return path;
}

bool SameFiles(const std::string& a, const std::string& b) {
  return ReadText(a) == ReadText(b);
}

void ChangeByte(const std::string& path, long offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(offset, offset < 0 ? std::ios::end : std::ios::beg);
  const auto position = file.tellg();
  const char byte = static_cast<char>(file.get() + 1);
  file.seekp(position);
  file.put(byte);
  file.close();
  REQUIRE(file);
}

std::vector<std::string> FilesEndingIn(const std::string& directory, const std::string& suffix) {
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file() && entry.path().string().ends_with(suffix))
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

}  // namespace hostos
