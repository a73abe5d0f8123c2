// An update, from the channel's newest release to an armed one. Like every verb of the engine it
// first reconciles the record with the evidence, and holds the lock while it changes something. It
// can be interrupted anywhere and run again.
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
  bool refuse_metered = false;         // nothing is fetched over a metered network ...
  bool allow_metered = false;          // ... but this once
  // What the slot held before: written again however old it is, and whatever it did here.
  // Identified by its commit or, if that is not known, by its root hash.
  std::optional<ReleaseId> reinstall;
};

// What an update would do, and whether there is room for it.
struct UpdatePlan {
  Target target;
  std::optional<Release> running;  // absent when the running slot's commit is not kept
  Slot slot = Slot::B;             // the slot it goes to
  bool staged = false;             // already armed: only a reboot is left
  FetchPlan fetch;
  std::optional<Metering> metering;  // of the network; absent where it decides nothing
  uint64_t esp_free = 0, esp_size = 0;
  // On the state partition: the space needed for the fetched objects, the kept commit, and the copy
  // of /etc with which the release begins.
  Space state_needed, state_free;
  // What replaces the rescue on the ESP once the release is kept; absent when the present one
  // stays.
  struct RescueChange {
    RescueImage image;
    std::string from;  // version of the present one; "" for none
    bool fits = true;  // beside the present one on the ESP; else that one stays
  };
  std::optional<RescueChange> rescue;
  std::vector<PackageChange> packages;
  // By the changelogs of the packages; of a plan that is only looked at.
  Result<CveChanges> cves = Fail(Code::kNotFound, "not asked for");
  std::vector<std::string> etc_changes;  // paths below /etc; all are kept
  std::vector<CheckResult> failing;      // checks that fail before anything is changed
  uint64_t written = 0;                  // after the update: bytes that the slot did not hold

  bool metered() const { return metering && metering->metered.value_or(false); }
};

// The required checks among them that fail for a reason in this machine, with what they found, in
// one line. A trial would fail with them. "" for none.
std::string FailsAlready(const std::vector<CheckResult>& failing);

// Resolves and verifies. kNothingToDo when the running release is the target, kRefused when the
// target fell back here before and `retry` is not set, kNotSupported when it is not newer than the
// running release, kNotTrusted when it is older than the floor. Changes no slot and no boot entry:
// it saves the reconciled record with the time of this check, keeps what metadata it has come to
// trust, and drops a floor that no release can reach.
Result<Target> CheckForUpdate(World& world, const UpdateOptions& options);

// As CheckForUpdate, then works out what would be moved and written, and what fails already.
// kNoSpace when something does not fit.
Result<UpdatePlan> PlanUpdate(World& world, const UpdateOptions& options);

// The whole way to an armed release. On success it boots next, with `config.tries` tries. Returns
// the plan that was followed; if exactly this target is armed already, nothing is done again. While
// a required check fails for a reason in this machine and `ignore_health` is not set, it is
// kUnhealthy and no slot changes. What fails already is not held against the release. kNotNow when
// the network is metered and the options refuse that.
Result<UpdatePlan> Update(World& world, const Config& config, const UpdateOptions& options,
                          Progress& progress);

}  // namespace hostos
