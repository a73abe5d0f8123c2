#include "bootctl/running_root.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace hostos {
namespace {

// The directory of the device that a path is on, in a sysfs of the test's own.
std::string DeviceDirectory(const std::string& sys, const std::string& path) {
  struct stat status;
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return std::format("{}/dev/block/{}:{}", sys, major(status.st_dev), minor(status.st_dev));
}

TEST_CASE("the running partitions are those under the dm-verity device of the root") {
  const TestImage image("1.0.0");
  DiskMachine machine(image);
  const VerityNodes nodes = Held(FindRunningRoot(machine.options().root, machine.options().sys));
  CHECK(nodes.first.disk == "vda");
  CHECK(nodes.second.disk == "vda");
  CHECK(nodes.first.number + nodes.second.number == 5);
}

TEST_CASE("a root that is not on dm-verity over two partitions of one disk is refused") {
  const TestImage image("1.0.0");
  DiskMachine machine(image);
  const std::string sys = machine.options().sys, root = machine.options().root;
  const std::string device = DeviceDirectory(sys, root);
  auto outcome = [&] { return FindRunningRoot(root, sys); };

  SECTION("no device mapper") {
    std::filesystem::remove_all(device + "/dm");
  }
  SECTION("another target") {
    WriteText(device + "/dm/uuid", "CRYPT-LUKS2-x\n");
  }
  SECTION("one partition") {
    std::filesystem::remove(device + "/slaves/vda2");
  }
  SECTION("two disks") {
    WriteText(sys + "/devices/vdb/vdb2/partition", "2\n");
    std::filesystem::remove(device + "/slaves/vda2");
    std::filesystem::create_directory_symlink("../../../../devices/vdb/vdb2",
                                              device + "/slaves/vdb2");
    CHECK(Outcome(outcome()).contains("2 of vdb"));
    CHECK(Outcome(outcome()).contains("3 of vda"));
  }
  SECTION("a whole disk") {
    std::filesystem::remove(sys + "/devices/vda/vda2/partition");
  }
  CHECK(CodeOf(outcome()) == Code::kNotSupported);
}

}  // namespace
}  // namespace hostos
