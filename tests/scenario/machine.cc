#include "tests/scenario/machine.h"

#include <catch2/catch_test_macros.hpp>

#include "updater/engine/releases.h"

namespace hostos {

FakeSource Machine::Server(std::function<void(const char*)> step) {
  FakeSource source(std::move(step));
  source.Publish("1.0.0", 1000, {"kernel 1", "containerd 1", "bash"});
  source.Publish("1.1.0", 2000, {"kernel 2", "containerd 2", "bash"});
  source.SetRunning("1.0.0");
  return source;
}

Machine::Machine()
    : source(Server([this](const char* name) { Step(name); })),
      boot(source.Resolve("1.0.0", 0).value().release),
      disk(boot, [this](const char* name) { Step(name); }),
      state(dir / "state", dir / "run"),
      world{source, disk, boot, *this, *this, clock, black_box, floor, state} {
  boot.step = [this](const char* name) { Step(name); };
  const Target factory = source.Resolve("1.0.0", 0).value();
  disk.content[0] = factory.release.root_hash;
  REQUIRE(state.Keep(factory.release.commit, {factory.commit, factory.signatures}));
}

void Machine::Step(const char*) {
  steps_++;
  if (cut_in_ > 0 && --cut_in_ == 0) throw PowerCut{};
}

void Machine::BreakRoot(const std::string& version) {
  boot.broken.insert(source.Resolve(version, 0).value().release.root_hash);
}

Result<UpdatePlan> Machine::Update(const UpdateOptions& options) {
  NoProgress progress;
  return hostos::Update(world, config, options, progress);
}

std::string Machine::running() {
  const BootState now = boot.Read().value();
  return hostos::IdentifySlot(world, now, now.running).value().version;
}

std::string Machine::Boot() {
  for (int rounds = 0; rounds < 10; rounds++) {
    const Slot slot = boot.Boot().value();
    boots_++;
    reboot_asked_ = false;
    const BootState now = boot.Read().value();
    REQUIRE(disk.content[static_cast<int>(slot)] == now.running_root_hash);
    const std::string version = running();
    source.SetRunning(version);
    const GateResult gate = RunGate(world, config).value();
    REQUIRE(gate.rebooting == reboot_asked_);
    gate_problems = gate.problems;
    if (!reboot_asked_) return version;
  }
  FAIL("the machine reboots in circles");
  return "";
}

std::vector<CheckResult> Machine::Round(Milliseconds) {
  before_round();
  auto found = unhealthy.find(running());
  CheckResult check{.name = "canary", .ok = found == unhealthy.end()};
  if (!check.ok) {
    check.detail = found->second;
    check.output = "output of " + found->first;
  }
  std::vector<CheckResult> checks = always;
  checks.push_back(std::move(check));
  return checks;
}

Result<> Machine::Reboot() {
  reboot_asked_ = true;
  return {};
}

}  // namespace hostos
