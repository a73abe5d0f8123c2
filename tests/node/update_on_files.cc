// `hostctl update` on the files of a FileNode, as a program of its own, to be killed and measured:
//   update_on_files DIRECTORY URL KEYS PARENT [PHASE COUNT]
// Prints, as JSON, what it cost and what it did. With a phase it kills itself at the COUNT-th sign
// of that phase's progress, where the first is its beginning.
#include <signal.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>

#include "bootctl/systemd_boot.h"
#include "tests/bootctl/disk_machine.h"
#include "updater/engine/update.h"
#include "updater/seal/seal.h"
#include "updater/slot/partition_slot_disk.h"
#include "updater/source/ostree_source.h"

namespace hostos {
namespace {

using nlohmann::json;

// Wall and processor time of each phase, until it is the moment to die.
class Phases : public Progress {
 public:
  Phases(std::string deadly, int count) : deadly_(std::move(deadly)), left_(count) {}

  void Begin(std::string_view phase, std::string_view) override {
    End();
    phase_ = phase;
    Tick();
  }
  void Bytes(uint64_t, uint64_t) override { Tick(); }

  json Take() {
    End();
    return std::move(phases_);
  }

 private:
  void Tick() {
    if (phase_ == deadly_ && --left_ == 0) ::raise(SIGKILL);
  }
  void End() {
    const auto now = std::chrono::steady_clock::now();
    const double cpu = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    if (!phase_.empty()) {
      json& of = *phases_.emplace(phase_, json{{"wall", 0.0}, {"cpu", 0.0}}).first;
      of["wall"] = of["wall"].get<double>() + std::chrono::duration<double>(now - begin_).count();
      of["cpu"] = of["cpu"].get<double>() + cpu - cpu_;
    }
    begin_ = now;
    cpu_ = cpu;
  }

  const std::string deadly_;
  int left_;
  json phases_ = json::object();
  std::string phase_;
  std::chrono::steady_clock::time_point begin_;
  double cpu_ = 0;
};

// Neither has a part in an update that ends before the reboot.
class NoHealth : public Health {
  std::vector<CheckResult> Round(Milliseconds) override { return {}; }
};
class NoPower : public Power {
  Result<> Reboot() override { return Fail(Code::kFailed, "not on a machine"); }
  Result<std::string> BootId() override { return "a boot"; }
};

Result<json> UpdateFiles(const std::string& directory, std::span<char* const> arguments,
                         Phases& phases) {
  OstreeSource source({.url = arguments[0],
                       .channel = "stable",
                       .architecture = "x86-64",
                       .staging = directory + "/repo",
                       .parent = arguments[2],
                       .key_directories = {arguments[1]},
                       .seal_formats = {kSealFormat},
                       .http = {}});
  SystemdBoot boot(DiskMachine::OptionsIn(directory));
  PartitionSlotDisk disk(boot);
  NoHealth health;
  NoPower power;
  SystemClock clock;
  StateDir state(directory + "/state", directory + "/run");
  World world{source, disk, boot, health, power, clock, state};

  const UpdatePlan plan = TRY(Update(world, Config{}, {}, phases));
  return json{{"phases", phases.Take()},
              {"commit", plan.target.release.commit.Hex()},
              {"image_bytes", plan.target.release.image_size},
              {"uki_bytes", plan.target.release.uki_size}};
}

}  // namespace
}  // namespace hostos

int main(int count, char** arguments) {
  if (count != 5 && count != 7) return 2;
  hostos::Phases phases(count == 7 ? arguments[5] : "", count == 7 ? std::stoi(arguments[6]) : 0);
  auto done = hostos::UpdateFiles(arguments[1], {arguments + 2, 3}, phases);
  if (!done) {
    std::cerr << done.error().message << "\n";
    return 1;
  }
  std::cout << *done << "\n";
  return 0;
}
