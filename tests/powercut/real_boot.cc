#include "tests/powercut/real_boot.h"

#include <fcntl.h>

#include <catch2/catch_test_macros.hpp>
#include <span>

#include "tests/bootctl/disk_machine.h"
#include "tests/held.h"
#include "tests/powercut/write_log.h"
#include "tests/temp_dir.h"
#include "tests/vm/node.h"

namespace hostos {
namespace {

void Apply(const WriteLog& log, const LoggedWrite& write, uint64_t length, int disk) {
  if (length == 0) return;
  if (write.discard) {
    REQUIRE(::fallocate(disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        static_cast<off_t>(write.offset), static_cast<off_t>(length)) == 0);
    return;
  }
  std::vector<std::byte> data(length);
  Held(log.Read(write, data));
  Held(PwriteFull(disk, data, write.offset));
}

}  // namespace

void ReallyBoots(const std::string& name, const std::string& log, const DiskState& state,
                 const std::string& version) {
  const TempDir directory;
  const std::string raw = directory / "disk.raw", disk = directory / "disk.qcow2";
  Run(std::format("cp --sparse=always {}.base {}", log, raw));
  {
    const WriteLog logged = Held(WriteLog::Open(log));
    const UniqueFd fd = Held(Open(raw, O_RDWR));
    for (const LoggedWrite& write : std::span(logged.writes()).first(state.writes))
      Apply(logged, write, write.length, fd.get());
    for (const auto& [number, length] : state.also)
      Apply(logged, logged.writes()[number], length, fd.get());
  }
  Run(std::format("qemu-img convert -f raw -O qcow2 {} {}", raw, disk));
  auto node = Held(Node::Start(name, Held(ReleaseSet::Open()), "", {.disk = disk}));
  Held(node->WaitBooted());
  const auto status =
      nlohmann::json::parse(Held(node->Run({"sh", "-c", "hostctl status --json || :"})));
  CAPTURE(name, state.writes, state.also.size());
  CHECK(status["version"] == version);
}

}  // namespace hostos
