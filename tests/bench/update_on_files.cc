#include "tests/bench/update_on_files.h"

#include <sys/resource.h>

#include <chrono>
#include <filesystem>

#include "bootctl/entry_name.h"
#include "bootctl/esp.h"
#include "tests/fakes/fake_boot_control.h"
#include "updater/base/atomic_file.h"
#include "updater/engine/update.h"
#include "updater/seal/seal.h"
#include "updater/slot/partition_slot_disk.h"
#include "updater/source/ostree_source.h"

namespace hostos {
namespace {

using nlohmann::json;

constexpr uint64_t kVeritySize = 64 << 20;

// Wall and processor time of each phase.
class PhaseTimes : public Progress {
 public:
  void Begin(std::string_view phase, std::string_view) override {
    End();
    phase_ = phase;
  }
  void Bytes(uint64_t, uint64_t) override {}

  json Take() {
    End();
    return std::move(phases_);
  }

 private:
  void End() {
    const double wall =
        std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    const double cpu = static_cast<double>(::clock()) / CLOCKS_PER_SEC;
    if (!phase_.empty()) {
      json& of = *phases_.emplace(phase_, json{{"wall", 0.0}, {"cpu", 0.0}}).first;
      of["wall"] = of["wall"].get<double>() + wall - wall_;
      of["cpu"] = of["cpu"].get<double>() + cpu - cpu_;
    }
    wall_ = wall;
    cpu_ = cpu;
  }

  json phases_ = json::object();
  std::string phase_;
  double wall_ = 0, cpu_ = 0;
};

// The loader's model in memory; slot B and the boot image are files.
class FileBootControl : public FakeBootControl {
 public:
  FileBootControl(const Release& running, Esp installed)
      : FakeBootControl(running), installed_(std::move(installed)) {}

  Result<> Arm(Slot slot, const Release& release, int uki, uint32_t tries) override {
    const std::string stem = ReleaseStem(release.version, release.root_hash);
    TRY(installed_.Install(FormatEntryName(stem, Tries{tries, 0}), TemporaryName(stem), uki,
                           release.uki_size, release.uki_digest));
    return FakeBootControl::Arm(slot, release, uki, tries);
  }

 private:
  Esp installed_;
};

// Neither has a part in an update that ends before the reboot.
class NoHealth : public Health {
  std::vector<CheckResult> Round(Milliseconds) override { return {}; }
};
class NoPower : public Power {
  Result<> Reboot() override { return Fail(Code::kFailed, "not on a machine"); }
  Result<std::string> BootId() override { return "bench"; }
};

Result<KeptCommit> ReadCommit(const std::string& repo, const Digest& commit) {
  const std::string hex = commit.Hex();
  const std::string stem = repo + "/objects/" + hex.substr(0, 2) + "/" + hex.substr(2);
  return KeptCommit{TRY(ReadFile(stem + ".commit")), TRY(ReadFile(stem + ".commitmeta"))};
}

Result<> MakePartition(const std::string& path, uint64_t size) {
  UniqueFd fd = TRY(Open(path, O_RDWR | O_CREAT, 0600));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) < 0) return FailErrno(path);
  return {};
}

Result<json> Run(const Releases& releases, const std::string& url, const std::string& root,
                 const std::string& directory) {
  TRY(MakeDirectories(directory + "/esp/EFI/Linux"));
  TRY(MakePartition(directory + "/slot", releases.slot_size));
  TRY(MakePartition(directory + "/verity", kVeritySize));

  OstreeSource source({.url = url,
                       .channel = "stable",
                       .architecture = "x86-64",
                       .staging = directory + "/repo",
                       .parent = root + "/ostree/repo",
                       .key_directories = {releases.keys},
                       .seal_formats = {kSealFormat}});
  const KeptCommit running = TRY(ReadCommit(releases.repo, releases.from));
  const Target from = TRY(source.Verify(running.commit, running.signatures));
  FileBootControl boot(from.release, TRY(Esp::Open(directory + "/esp")));
  SlotState& slot = boot.slots[static_cast<int>(Slot::B)];
  slot.data_device = directory + "/slot";
  slot.data_capacity = releases.slot_size;
  slot.verity_device = directory + "/verity";
  slot.verity_capacity = kVeritySize;
  PartitionSlotDisk disk(boot);
  NoHealth health;
  NoPower power;
  SystemClock clock;
  StateDir state(directory + "/state", directory + "/run");
  TRY(state.Keep(from.release.commit, running));
  World world{source, disk, boot, health, power, clock, state};

  PhaseTimes times;
  const UpdatePlan plan = TRY(Update(world, Config{}, {}, times));
  if (plan.target.release.commit != releases.to)
    return Fail(Code::kFailed, "expected an update to {}, found {}", releases.to.Hex(),
                plan.target.release.commit.Hex());
  return json{{"phases", times.Take()},
              {"image_bytes", plan.target.release.image_size},
              {"uki_bytes", plan.target.release.uki_size},
              {"root_hash", plan.target.release.root_hash.Hex()}};
}

}  // namespace

Result<Cost> UpdateOnFiles(const Releases& releases, const std::string& url,
                           const std::string& root, const std::string& directory) {
  return Measure([&] { return Run(releases, url, root, directory); });
}

}  // namespace hostos
