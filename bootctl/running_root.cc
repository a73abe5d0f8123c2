#include "bootctl/running_root.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <charconv>
#include <filesystem>
#include <vector>

#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

std::string BlockDirectory(dev_t device, const std::string& sys) {
  return std::format("{}/dev/block/{}:{}", sys, ::major(device), ::minor(device));
}

// `directory` is the partition's in sysfs; its parent is the disk's.
Result<PartitionNode> ReadPartitionNode(const std::string& directory) {
  const Result<std::string> text = ReadFile(directory + "/partition");
  PartitionNode node;
  size_t number = 0;
  if (!text ||
      std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc() ||
      number == 0)
    return Fail(Code::kNotSupported, "{}: expected a partition, found none", directory);
  std::error_code error;
  const fs::path real = fs::canonical(directory, error);
  if (error) return FailErrno(directory, error.value());
  return PartitionNode{real.parent_path().filename(), number};
}

}  // namespace

Result<VerityNodes> FindRunningRoot(const std::string& root, const std::string& sys) {
  struct stat status;
  if (::stat(root.c_str(), &status) < 0) return FailErrno(root);
  const std::string device = BlockDirectory(status.st_dev, sys);
  const Result<std::string> uuid = ReadFile(device + "/dm/uuid");
  if (!uuid || !uuid->starts_with("CRYPT-VERITY-"))
    return Fail(
        Code::kNotSupported,
        "{}: expected a dm-verity device under it, found none ({}); this is no running HostOS",
        root, device);
  std::vector<PartitionNode> nodes;
  std::error_code error;
  for (fs::directory_iterator it(device + "/slaves", error), end; !error && it != end;
       it.increment(error))
    nodes.push_back(TRY_CONTEXT("device under " + root, ReadPartitionNode(it->path())));
  if (error) return FailErrno(device + "/slaves", error.value());
  if (nodes.size() != 2)
    return Fail(Code::kNotSupported,
                "{}: expected two partitions under the dm-verity device, found {}", device,
                nodes.size());
  if (nodes[0].disk != nodes[1].disk)
    return Fail(Code::kNotSupported,
                "{}: expected two partitions of one disk under it, found partition {} of {} and {} "
                "of {}: two disks were written from one image. Detach or erase one, and reboot",
                root, nodes[0].number, nodes[0].disk, nodes[1].number, nodes[1].disk);
  return VerityNodes{nodes[0], nodes[1]};
}

Result<PartitionNode> FindPartition(dev_t device, const std::string& sys) {
  return ReadPartitionNode(BlockDirectory(device, sys));
}

}  // namespace hostos
