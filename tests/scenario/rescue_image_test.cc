// The rescue on the ESP is that of the release kept last, and at every moment a whole one is there.
#include "updater/engine/rescue_image.h"

#include <sys/mman.h>

#include <catch2/catch_test_macros.hpp>

#include "bootctl/entry_name.h"
#include "tests/scenario/machine.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

using namespace hostos;

namespace {

// The disk came with the rescue of 1.0.0; 1.0.0 and 1.1.0 each bring their own.
class Node : public Machine {
 public:
  Node() {
    for (const char* version : {"1.0.0", "1.1.0"}) source.BringRescue(version);
    PutRescue("1.0.0");
  }

  void PutRescue(const std::string& version) {
    const UniqueFd image(::memfd_create("rescue", MFD_CLOEXEC));
    const std::string bytes = "rescue " + version;
    REQUIRE(WriteFull(image.get(), AsBytes(bytes)));
    REQUIRE(boot.SetRescue({Sha256::Of(AsBytes(bytes)), bytes.size()}, image.get()));
  }

  std::vector<std::string> Rescues() {
    std::vector<std::string> versions;
    const BootState now = boot.Read().value();
    for (const BootEntry& entry : now.entries)
      if (IsRescue(entry)) versions.push_back(entry.version);
    return versions;
  }
};

using Versions = std::vector<std::string>;

}  // namespace

TEST_CASE("a release that is kept puts its rescue in the place of the one before, not earlier") {
  Node node;
  CHECK(node.Boot() == "1.0.0");
  CHECK(node.Rescues() == Versions{"1.0.0"});
  const UpdatePlan plan = node.Update().value();
  REQUIRE(plan.rescue);
  CHECK(plan.rescue->from == "1.0.0");
  CHECK(plan.rescue->fits);
  CHECK(node.Rescues() == Versions{"1.0.0"});
  node.before_round = [&] {
    CHECK(node.Rescues() == Versions{"1.0.0"});
    CHECK(node.ReadStatus().rescue.problem == "");  // none is due during a trial
  };
  CHECK(node.Boot() == "1.1.0");
  CHECK(node.Rescues() == Versions{"1.1.0"});
  CHECK(node.rescue_problem == "");
  CHECK(node.ReadStatus().rescue.version == "1.1.0");
  CHECK(node.ReadStatus().rescue.problem == "");
  const std::optional<RescueProof> proof = VerifyRescue(node.world).value();
  REQUIRE(proof);
  CHECK(proof->release == "1.1.0");
  CHECK(proof->problem == "");
}

TEST_CASE("a release that is given up leaves nothing of its rescue") {
  Node node;
  node.unhealthy["1.1.0"] = "not serving";
  REQUIRE(node.Update());
  CHECK(node.Boot() == "1.0.0");
  CHECK(node.Rescues() == Versions{"1.0.0"});
  CHECK(node.ReadStatus().rescue.problem == "");
}

TEST_CASE("the rescue of a disk from before releases brought one is replaced too") {
  Node node;
  std::erase_if(node.boot.entries, IsRescue);
  node.boot.entries.push_back({.file = std::string(kRescueFile), .size = 1 << 20});
  node.boot.entries.back().sort_key = kRescueId;
  REQUIRE(node.Update());
  CHECK(node.Boot() == "1.1.0");
  CHECK(node.Rescues() == Versions{"1.1.0"});
}

TEST_CASE("after a rollback the rescue of the newest release that was kept stays") {
  Node node;
  REQUIRE(node.Update());
  REQUIRE(node.Boot() == "1.1.0");
  REQUIRE(node.Rollback());
  CHECK(node.Boot() == "1.0.0");
  CHECK(node.Rescues() == Versions{"1.1.0"});
  CHECK(node.ReadStatus().rescue.problem == "");
  // The next release that is kept replaces it, whatever its version.
  node.source.Publish("1.0.5", 3000, {"kernel 3"});
  node.source.BringRescue("1.0.5");
  REQUIRE(node.Update());
  CHECK(node.Boot() == "1.0.5");
  CHECK(node.Rescues() == Versions{"1.0.5"});
}

TEST_CASE("a release without a rescue leaves the one that is there") {
  Node node;
  node.source.Publish("1.2.0", 3000, {"kernel 3"});
  const UpdatePlan plan = node.Update().value();
  CHECK_FALSE(plan.rescue);
  CHECK(node.Boot() == "1.2.0");
  CHECK(node.Rescues() == Versions{"1.0.0"});
  CHECK(node.ReadStatus().rescue.problem == "");
  const std::optional<RescueProof> proof = VerifyRescue(node.world).value();
  REQUIRE(proof);
  CHECK(proof->release == "1.0.0");  // still in the other slot
}

TEST_CASE(
    "a rescue that cannot be replaced fails no trial, is told, and the next boot tries again") {
  Node node;
  REQUIRE(node.Update());
  SECTION("no room for two") {
    const BootState now = node.boot.Read().value();
    node.boot.esp.unknown = {{"operator.bin", now.esp.free - 100'000}};
    CHECK(node.Boot() == "1.1.0");
    CHECK(node.rescue_problem.contains("operator.bin"));
    CHECK(node.ReadStatus().rescue.problem.contains("MB are free"));
    node.boot.esp.unknown.clear();
  }
  SECTION("other bytes in its root") {
    node.before_round = [&] {
      REQUIRE(WriteFileAtomically(node.world.rescue_file, "rescue 1.1.1"));
    };
    CHECK(node.Boot() == "1.1.0");
    CHECK(node.rescue_problem.contains("expected SHA-256"));
    CHECK(node.ReadStatus().rescue.problem.contains("the next boot tries again"));
  }
  CHECK(node.Rescues() == Versions{"1.0.0"});
  CHECK(node.ReadStatus().slots[1].condition == SlotCondition::kBlessed);
  CHECK(node.Boot() == "1.1.0");
  CHECK(node.Rescues() == Versions{"1.1.0"});
  CHECK(node.ReadStatus().rescue.problem == "");
}

TEST_CASE("a plan says that the ESP has no room for a second rescue, and the update goes on") {
  Node node;
  const BootState now = node.boot.Read().value();
  node.boot.esp.unknown = {{"operator.bin", now.esp.free - (1 << 20) - 15}};
  const UpdatePlan plan = node.Update().value();
  REQUIRE(plan.rescue);
  CHECK_FALSE(plan.rescue->fits);
}

TEST_CASE("a damaged rescue is found by verify, and replaced at the next boot") {
  Node node;
  REQUIRE(node.Boot() == "1.0.0");
  node.boot.rescues.begin()->second.bytes[0] ^= 1;
  const std::optional<RescueProof> proof = VerifyRescue(node.world).value();
  REQUIRE(proof);
  CHECK(proof->release == "1.0.0");
  CHECK(proof->problem.contains("expected SHA-256"));
  REQUIRE(node.Boot() == "1.0.0");
  CHECK(VerifyRescue(node.world).value()->problem == "");
  node.PutRescue("0.1.0");
  CHECK(VerifyRescue(node.world).value()->release == "");
  CHECK(VerifyRescue(node.world).value()->problem == "");
  std::erase_if(node.boot.entries, IsRescue);
  CHECK_FALSE(VerifyRescue(node.world).value());
}

TEST_CASE("power cut at every durable step of a commit leaves a whole rescue, and it converges") {
  using Cut = FakeBootControl::Cut;
  for (const Cut cut : {Cut::kLost, Cut::kDone, Cut::kBothNames, Cut::kNeitherName}) {
    size_t cuts = 0;
    for (size_t step = 1;; step++) {
      INFO("cut " << static_cast<int>(cut) << " at boot step " << step);
      Node node;
      REQUIRE(node.Update());
      REQUIRE(node.boot.Boot());
      node.source.SetRunning("1.1.0");
      REQUIRE(WriteFileAtomically(node.world.rescue_file, "rescue 1.1.0"));
      node.boot.CutPowerAt(step, cut);
      (void)RunGate(node.world, node.config);
      if (node.boot.powered()) break;
      cuts++;
      node.boot.CutPowerAt(1000, cut);
      const std::string running = node.Boot();
      // Between the two names of the bless the old release boots, and keeps its own rescue.
      CHECK(node.Rescues() == Versions{running});
    }
    CHECK(cuts >= 4);  // the bless; the rescue: written, renamed, the old one removed
  }
}
