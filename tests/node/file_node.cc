#include "tests/node/file_node.h"

#include <nlohmann/json.hpp>

#include "updater/base/clock.h"
#include "updater/engine/state_dir.h"
#include "updater/release/commit.h"
#include "updater/source/archive.h"

namespace hostos {

Releases Running(const std::string& repo, const std::string& keys, const Digest& commit) {
  const std::string parent = repo + ".parent";
  Run(std::format("ostree init --repo={0} --mode=bare && ostree pull-local --repo={0} {1} {2}",
                  parent, repo, commit.Hex()));
  return {repo, keys, parent, commit, commit, {16, 1}};
}

FileNode::FileNode(const Releases& releases, const std::string& url) {
  const auto read = [&](const char* extension) {
    return ReadText(releases.repo + "/" + ObjectPath(releases.from, extension));
  };
  const KeptCommit commit{read("commit"), read("commitmeta")};
  const TempDir directory;
  const std::string uki = directory / "hostos.efi";
  Run(std::format("ostree --repo={} cat {} /boot/hostos.efi >{}", releases.repo,
                  releases.from.Hex(), uki));
  machine_ = std::make_unique<DiskMachine>(
      TestImage(uki, ParseCommit(commit.commit).value().release), releases.slot);
  const std::string disk = machine_->disk();
  if (!releases.held.empty()) Run(std::format("cp {} {}4", releases.held, disk));
  Run(std::format("truncate -s {0}M {1}2 {1}4 && truncate -s {2}M {1}3 {1}5", releases.slot.data,
                  disk, releases.slot.verity));
  const nlohmann::json origin = {{"url", url},
                                 {"root", releases.repo + "/metadata/1.root.json"},
                                 {"keys", releases.keys},
                                 {"parent", releases.parent}};
  WriteText(*this / "origin.json", origin.dump());
  WriteText(*this / "boot-id", "1");
  WriteText(*this / "time", std::to_string(SystemClock().Now()));
  std::filesystem::create_directory(*this / "fetch");
  if (!StateDir(*this / "state", *this / "run").Keep(releases.from, commit))
    throw std::runtime_error("keep the commit");
}

Result<Slot> FileNode::Boot() const {
  const Slot slot = TRY(machine_->Boot());
  Restart();
  return slot;
}

void FileNode::BootRescue() const {
  machine_->SetRescue();
  Restart();
}

void FileNode::Restart() const {
  WriteText(*this / "boot-id", std::to_string(std::stoi(ReadText(*this / "boot-id")) + 1));
  std::filesystem::remove(*this / "reboot");
  std::filesystem::remove_all(*this / "run");
}

std::vector<std::string> FileNode::Update() const {
  return {UPDATE_ON_FILES, directory()};
}

std::vector<std::string> FileNode::Hostctl(const std::vector<std::string>& words) const {
  std::vector<std::string> argv = {HOSTCTL_ON_FILES, directory()};
  argv.insert(argv.end(), words.begin(), words.end());
  return argv;
}

}  // namespace hostos
