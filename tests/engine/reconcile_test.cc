#include "updater/engine/reconcile.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/engine/fill.h"

using namespace hostos;

namespace {

const ReleaseId kOld{"1.0.0", Fill(1), Fill(11)};
const ReleaseId kNew{"1.1.0", Fill(2), Fill(22)};

// Slot A runs the old release; slot B holds the new one with the given tries.
BootState OldRuns(std::optional<Tries> tries) {
  BootState boot;
  boot.running = RunningRelease{Slot::A, kOld.root_hash};
  boot.slots[0].root_hash = kOld.root_hash;
  boot.slots[1].root_hash = kNew.root_hash;
  boot.entries = {{"hostos_1.1.0_16161616.efi", "1.1.0", tries, kNew.root_hash, 1},
                  {"hostos_1.0.0_0b0b0b0b.efi", "1.0.0", std::nullopt, kOld.root_hash, 1}};
  SortAsLoader(boot.entries);
  return boot;
}

BootState NewRuns(std::optional<Tries> tries) {
  BootState boot = OldRuns(tries);
  boot.running = RunningRelease{Slot::B, kNew.root_hash, tries.has_value()};
  return boot;
}

Record InPhase(Phase phase) {
  Record record;
  record.update =
      UpdateRecord{.phase = phase, .target = kNew, .slot = Slot::B, .from = kOld, .timestamp = 500};
  if (phase >= Phase::kArm) record.update->armed_boot_id = "boot-1";
  return record;
}

}  // namespace

TEST_CASE("without an update there is nothing to reconcile") {
  CHECK(Reconcile({}, OldRuns({{3, 0}}), "boot-1") == Situation::kIdle);
}

TEST_CASE("an update that stopped before it was armed is interrupted, whatever the boot") {
  BootState boot = OldRuns({{3, 0}});
  boot.entries.pop_back();
  boot.entries = {boot.entries.back()};
  boot.entries[0].root_hash = kOld.root_hash;
  for (Phase phase : {Phase::kFetch, Phase::kWrite, Phase::kProve, Phase::kArm})
    CHECK(Reconcile(InPhase(phase), boot, "boot-2") == Situation::kInterrupted);
}

TEST_CASE("the entry is the truth when the power went between the arming rename and its record") {
  Record record = InPhase(Phase::kArm);
  CHECK(Reconcile(record, OldRuns({{3, 0}}), "boot-1") == Situation::kStaged);
  CHECK(Settle(record, OldRuns({{3, 0}}), "boot-1", 9).update->phase == Phase::kArmed);
  CHECK(Reconcile(record, NewRuns({{2, 1}}), "boot-2") == Situation::kOnTrial);
}

TEST_CASE("armed and not rebooted is staged; rebooted without a try is said so") {
  CHECK(Reconcile(InPhase(Phase::kArmed), OldRuns({{3, 0}}), "boot-1") == Situation::kStaged);
  CHECK(Reconcile(InPhase(Phase::kArmed), OldRuns({{3, 0}}), "boot-2") == Situation::kNotTried);
}

TEST_CASE("the first boot of the target is an attempt, counted once per boot") {
  Record record = Settle(InPhase(Phase::kArmed), NewRuns({{2, 1}}), "boot-2", 100);
  CHECK(record.update->phase == Phase::kTrial);
  REQUIRE(record.update->attempts.size() == 1);
  record = Settle(record, NewRuns({{2, 1}}), "boot-2", 101);
  CHECK(record.update->attempts.size() == 1);
  record = Settle(record, NewRuns({{1, 2}}), "boot-3", 200);
  CHECK(record.update->attempts.size() == 2);
}

TEST_CASE("a blessed target is committed: floor raised, history written, denial lifted") {
  Record record = InPhase(Phase::kTrial);
  record.denied.push_back({kNew, 1, "earlier", 1});
  record.update->attempts = {{"boot-2", 100}};
  record.checked = 1000;
  Record after = Settle(record, NewRuns(std::nullopt), "boot-2", 160);
  CHECK_FALSE(after.update);
  CHECK(after.time_floor == 500);
  CHECK(after.denied.empty());
  REQUIRE(after.history.size() == 1);
  CHECK(after.history[0].outcome == Outcome::kCommitted);
  CHECK(after.history[0].from == "1.0.0");
}

TEST_CASE("a committed release whose time is still to come raises no floor of times") {
  Record record = InPhase(Phase::kTrial);
  record.checked = 400;
  CHECK(Settle(record, NewRuns(std::nullopt), "boot-2", 160).time_floor == 0);
}

TEST_CASE("a fallback keeps the gate's reason and denies the release") {
  Record record = InPhase(Phase::kTrial);
  record.update->attempts = {{"boot-2", 100}};
  record.update->failure = "containerd: not serving";
  record.update->failure_output = "dial unix: connection refused";
  Record after = Settle(record, OldRuns({{0, 1}}), "boot-3", 160);
  REQUIRE(after.FindDenied(kNew.commit, kNew.root_hash));
  CHECK(after.FindDenied(kNew.commit, kNew.root_hash)->reason == "containerd: not serving");
  CHECK(after.FindDenied(kNew.commit, kNew.root_hash)->boots == 1);
  CHECK(after.history.at(0).output == "dial unix: connection refused");
  CHECK(after.time_floor == 0);
}

TEST_CASE("a release that never reached its gate falls back with the number of boots it took") {
  Record after = Settle(InPhase(Phase::kArmed), OldRuns({{0, 3}}), "boot-5", 160);
  CHECK(after.FindDenied(kNew.commit, kNew.root_hash)->boots == 3);
  CHECK(after.history.at(0).reason.contains("did not reach its health gate in 3 boots"));
}

TEST_CASE("a gate that came to no verdict is told from one that was never reached") {
  Record record = InPhase(Phase::kTrial);
  record.update->attempts = {{"boot-2", 1}, {"boot-3", 2}};
  Record after = Settle(record, OldRuns({{0, 3}}), "boot-5", 160);
  CHECK(after.history.at(0).reason.contains("came to no verdict in 3 boots"));
}

TEST_CASE("an entry that vanished ends the update without denying the release") {
  BootState boot = OldRuns({{3, 0}});
  std::erase_if(boot.entries, [](const BootEntry& e) { return e.version == "1.1.0"; });
  Record after = Settle(InPhase(Phase::kArmed), boot, "boot-2", 160);
  CHECK_FALSE(after.update);
  CHECK(after.denied.empty());
  CHECK(after.history.at(0).reason.contains("gone from the ESP"));
}

TEST_CASE("the slot is told by its device: the same release in the other slot is not the target") {
  BootState boot = OldRuns({{3, 0}});
  boot.running = RunningRelease{Slot::A, kNew.root_hash};  // the slot happens to hold it too
  CHECK(Reconcile(InPhase(Phase::kArmed), boot, "boot-2") != Situation::kPassed);
}

TEST_CASE("settling twice changes nothing more") {
  for (const BootState& boot :
       {OldRuns({{3, 0}}), OldRuns({{0, 3}}), NewRuns({{2, 1}}), NewRuns(std::nullopt)}) {
    Record once = Settle(InPhase(Phase::kArmed), boot, "boot-2", 160);
    CHECK(ToJson(Settle(once, boot, "boot-2", 170)) == ToJson(once));
  }
}
