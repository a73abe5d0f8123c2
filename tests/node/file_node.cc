#include "tests/node/file_node.h"

#include "updater/engine/state_dir.h"
#include "updater/source/commit.h"

namespace hostos {

FileNode::FileNode(const Releases& releases) : releases_(releases) {
  const std::string hex = releases.from.Hex();
  const std::string object = releases.repo + "/objects/" + hex.substr(0, 2) + "/" + hex.substr(2);
  const KeptCommit commit{ReadText(object + ".commit"), ReadText(object + ".commitmeta")};
  const TempDir directory;
  const std::string uki = directory / "hostos.efi";
  Run(std::format("ostree --repo={} cat {} /boot/hostos.efi >{}", releases.repo, hex, uki));
  machine_ = std::make_unique<DiskMachine>(
      TestImage(uki, ParseCommit(commit.commit).value().release), releases.slot);
  const std::string disk = machine_->disk();
  Run(std::format("truncate -s {}M {}4 && truncate -s {}M {}5", releases.slot.data, disk,
                  releases.slot.verity, disk));
  if (!StateDir(*this / "state", *this / "run").Keep(releases.from, commit))
    throw std::runtime_error("keep the commit");
}

std::vector<std::string> FileNode::UpdateFrom(const std::string& url) const {
  return {UPDATE_ON_FILES, machine_->directory(), url, releases_.keys, releases_.parent};
}

}  // namespace hostos
