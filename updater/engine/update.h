// The engine's verbs. Each reconciles the record with the evidence first, holds the lock while it
// changes something, and is safe to interrupt anywhere and run again.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "updater/base/progress.h"
#include "updater/engine/config.h"
#include "updater/engine/world.h"

namespace hostos {

struct UpdateOptions {
  std::optional<std::string> version;  // absent: the channel's newest
  bool retry = false;                  // also a release that fell back here before
  bool ignore_health = false;          // also while a required check fails already
  // What the slot held before: written again whatever its age, and whatever it did here. It is the
  // commit, or, where that is not known, the root.
  std::optional<ReleaseId> again;
};

// What an update would do, and whether there is room for it.
struct UpdatePlan {
  Target target;
  std::optional<Release> running;  // absent when the running slot's commit is not kept here
  Slot slot = Slot::B;             // the slot it goes to
  bool staged = false;             // it is armed already: a reboot is all that is left
  FetchPlan fetch;
  uint64_t esp_free = 0, esp_size = 0;
  // On the state partition: what has to be free there for the objects that are fetched, for the
  // kept commit, and for the copy of /etc with which the release begins.
  Space state_needed, state_free;
  // What takes the place of the rescue on the ESP once the release is kept; absent when that stays.
  struct RescueChange {
    RescueImage image;
    std::string from;  // version of the one that is there; "" for none
    bool fits = true;  // beside that one, on the ESP; else that one stays
  };
  std::optional<RescueChange> rescue;
  struct PackageChange {
    std::string name, from, to;  // "" when added or removed
  };
  std::vector<PackageChange> packages;
  std::vector<std::string> etc_changes;  // paths below /etc, kept as they are
  std::vector<CheckResult> failing;      // checks that do not hold before anything is changed
};

// The required checks among them that fail for a reason in this machine, with what they found, in
// one line: a trial would end with them. "": none.
std::string FailsAlready(const std::vector<CheckResult>& failing);

// Resolve and verify; kNothingToDo when the running release is it, kRefused when it fell back here
// before and `retry` is not set, kNotSupported when it is older than the running release,
// kNotTrusted when it is older than the floor. Changes nothing but the time of the last check.
Result<Target> CheckForUpdate(World& world, const UpdateOptions& options);

// As CheckForUpdate, then what it would move and write, and what fails already; kNoSpace when
// something does not fit.
Result<UpdatePlan> PlanUpdate(World& world, const UpdateOptions& options);

// The whole way to an armed release. Success means: it boots next, with `config.tries` attempts.
// Returns the plan it followed; when exactly this target is armed already, nothing is done again.
// kUnhealthy, and nothing is changed, while a required check fails for a reason in this machine and
// `ignore_health` is not set. What fails already is not held against the release.
Result<UpdatePlan> Update(World& world, const Config& config, const UpdateOptions& options,
                          Progress& progress);

// Makes the other slot's release, if it was once good, the one that boots next; what runs now is
// denied with `reason`. When an update is staged, that one is cancelled and what runs now stays.
// Returns the release that boots next.
Result<ReleaseId> Rollback(World& world, std::string_view reason);

enum class ProbationEnd {
  kNone,       // what runs is not, or no longer, on probation
  kPassed,     // healthy until the end of it
  kDegraded,   // went bad: recorded, and it stays
  kFellBack,   // went bad: given up, the reboot into the other slot has begun
  kOvertaken,  // went bad, when it was already rolled back, or counted for a planned reboot
};

struct ProbationResult {
  ProbationEnd end = ProbationEnd::kNone;
  ReleaseId release;
  Verdict verdict;
};

// Watches the running release until the end of its probation, if it was committed last. Returns at
// once when it was not.
Result<ProbationResult> WatchProbation(World& world, const Config& config);

// Before a planned reboot: counts every good release again, with `config.tries` attempts each, so
// that none of them boots for ever: the one that boots next, and the one it falls back to. Not when
// there is nothing else to boot. Returns whether one was counted.
Result<bool> Recount(World& world, const Config& config);

struct GateResult {
  std::string version;    // that runs, as far as it is known
  bool on_trial = false;  // false: nothing to decide in this boot
  Verdict verdict;
  bool rebooting = false;
  bool given_up = false;             // before this boot, which finished it
  std::optional<SelfTest> selftest;  // what this boot made of it; kRunning: rebooting for it
  // What failed and does not decide: the record, the floor, files that are no longer needed. A unit
  // that failed for it would be held against the next release.
  std::vector<std::string> problems;
  bool rescue_renewed = false;  // the rescue on the ESP is now that of what runs
  std::string rescue_problem;   // why it is not, though it is due; the one before stays
};

// Runs once in every boot, before boot-complete.target: settles what the last boot left, and, when
// the running release is on trial, waits for its health: bless and commit, or mark bad and reboot.
// A release that was good before, with nothing left to fall back to, is kept and recorded as
// degraded. A self-test of the boot loader goes on here. Last, the rescue on the ESP is replaced by
// that of the running release, if that one is kept.
Result<GateResult> RunGate(World& world, const Config& config);

}  // namespace hostos
