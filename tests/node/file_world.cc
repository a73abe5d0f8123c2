#include "tests/node/file_world.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/bootctl/disk_machine.h"
#include "updater/base/atomic_file.h"
#include "updater/seal/seal.h"

namespace hostos {

static OstreeSourceOptions SourceIn(const std::string& directory) {
  const auto origin = nlohmann::json::parse(ReadText(directory + "/origin.json"));
  return {.url = origin["url"],
          .channel = "stable",
          .architecture = "x86-64",
          .root = origin["root"],
          .metadata = directory + "/state/tuf",
          .staging = directory + "/repo",
          .parent = origin["parent"],
          .key_directories = {origin["keys"].get<std::string>()},
          .seal_formats = {kSealFormat},
          .http = {}};
}

FileWorld::FileWorld(const std::string& directory)
    : directory_(directory),
      source_(SourceIn(directory)),
      boot_(DiskMachine::OptionsIn(directory)),
      floor_(directory + "/state/floor"),
      state_(directory + "/state", directory + "/run") {}

std::vector<CheckResult> FileWorld::Round(Milliseconds) {
  const Result<std::string> why = ReadFile(directory_ + "/unhealthy", 4096);
  return {{.name = "canary", .ok = !why, .detail = why.value_or("")}};
}

Result<> FileWorld::Reboot() {
  return WriteFileAtomically(directory_ + "/reboot", "");
}

Result<std::string> FileWorld::BootId() {
  return ReadFile(directory_ + "/boot-id", 64);
}

}  // namespace hostos
