#include "tests/scenario/machine.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "tests/text_file.h"
#include "updater/engine/releases.h"

namespace hostos {

namespace fs = std::filesystem;

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
      world{source, disk, boot, *this, *this, clock, black_box, floor, state, dir / "rescue.efi"} {
  boot.step = [this](const char* name) { Step(name); };
  boot.initrd = [this] { StartEtc(); };
  const Target factory = source.Resolve("1.0.0", 0).value();
  disk.content[0] = factory.release.root_hash;
  REQUIRE(state.Keep(factory.release.commit, {factory.bytes, factory.signatures}));
  last_etc_ = Etc("1.0.0");
  WriteText(last_etc_ + "/machine-id", "this node");
  WriteText(world.rescue_file, "rescue 1.0.0");  // the one inside its root
  etc_ = Open(dir / "state/etc", O_RDONLY | O_DIRECTORY).value();
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
  return hostos::IdentifySlot(world, now, now.staying()).value_or(ReleaseId()).version;
}

static std::string UpperIn(const StateDir& state, const std::string& id) {
  return state.path() + "/etc/" + id + "/upper";
}

std::string Machine::Etc(const std::string& version) {
  return UpperIn(state, source.Find(version).root_hash.Hex().substr(0, 16));
}

bool Machine::EtcIsDamaged() const {
  struct stat made, found;
  return ::fstat(etc_.get(), &made) < 0 || ::stat((dir / "state/etc").c_str(), &found) < 0 ||
         made.st_ino != found.st_ino;
}

void Machine::StartEtc() {
  std::error_code error;  // what a test damaged blocks no boot
  const std::string id = boot.Read()->release()->root_hash.Hex().substr(0, 16);
  const std::string own = UpperIn(state, id), next = state.path() + "/etc/next-from";
  std::string from, anew;
  std::ifstream(next) >> from >> anew;
  const bool known = !from.empty() && fs::exists(UpperIn(state, from), error);
  const bool again = anew == id && from != id && known;
  if (again || !fs::exists(own, error)) {
    const std::string copied = known ? UpperIn(state, from) : last_etc_;
    fs::remove_all(fs::path(own).parent_path(), error);
    if (no_room_for_etc) {
      last_etc_ = copied;  // mounted below an empty upper in memory
      return;
    }
    fs::create_directories(own, error);
    fs::copy(copied, own, fs::copy_options::recursive, error);
    if (again) fs::remove(next, error);
  }
  last_etc_ = own;
}

std::string Machine::Boot() {
  for (int rounds = 0; rounds < 10; rounds++) {
    const Slot slot = boot.Boot().value();
    boots_++;
    reboot_asked_ = false;
    const BootState now = boot.Read().value();
    REQUIRE(disk.content[static_cast<int>(slot)] == now.release()->root_hash);
    REQUIRE((EtcIsDamaged() || fs::exists(last_etc_ + "/machine-id")));
    const std::string version = running();
    source.SetRunning(version);
    if (const std::string rescue = "rescue " + version; ReadText(world.rescue_file) != rescue)
      WriteText(world.rescue_file, rescue);
    const GateResult gate = RunGate(world, config).value();
    REQUIRE(gate.rebooting == reboot_asked_);
    rescue_problem = gate.rescue_problem;
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
