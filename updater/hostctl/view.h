// What the printing of a verb gets: plain values, gathered before the first byte is printed. The
// same value becomes text (text.h) or JSON (json.h), so that neither knows more than the other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/engine/boot_proof.h"
#include "updater/engine/config.h"
#include "updater/engine/post_mortem.h"
#include "updater/engine/status.h"
#include "updater/engine/update.h"
#include "updater/hostctl/exit_code.h"

namespace hostos {

// The post-mortem of a fallback in the history; null when there is none.
const PostMortem* PostMortemOf(const std::vector<PostMortem>& post_mortems, const Digest& commit,
                               uint64_t time);

struct StatusView {
  Status status;
  std::vector<HistoryEntry> history;  // oldest first; the outputs of failed checks are in it
  std::vector<PostMortem> post_mortems;
  std::vector<std::string> problems;  // parts of the status that could not be read, and why
  std::string lock_holder;            // who is changing something now; "" for nobody
  uint64_t now = 0;

  const SlotStatus* Running() const;
  const SlotStatus* BootsNext() const;
  // Another release than the running one boots next. Not so while a release is on trial: with its
  // last try spent the loader would take the other one, but its gate decides before that.
  bool RebootNeeded() const;
  // The last self-test of the boot loader did not pass.
  bool LoaderFailed() const;
  // The last `hostctl verify` of a slot did not find what was signed.
  bool NotProven() const;
  // The rescue on the ESP should be another one.
  bool OldRescue() const { return !status.rescue.problem.empty(); }
  // The output of the check for which a release was given up; "" when not known.
  std::string OutputOf(const Denied& denied) const;
};
ExitCode ExitOf(const StatusView& view);

// What comes after a trial that fails: a release, or, with no version, the rescue system. One that
// is counted again, and has no release behind it, is recorded as standing behind itself.
ReleaseId Behind(const UpdateRecord& update);

// `update --check`, `update --plan`.
enum class Finding { kAvailable, kStaged, kNothingToDo, kRefused };
const char* Name(Finding finding);
ExitCode ExitOf(Finding finding);

struct CheckView {
  Finding finding = Finding::kAvailable;
  std::string message;           // of kNothingToDo and kRefused: which release, and why
  std::string running;           // version
  std::optional<Target> target;  // of kAvailable and kStaged
};

struct PlanView {
  CheckView check;
  std::optional<UpdatePlan> plan;  // of kAvailable and kStaged
  uint32_t tries = 0;
  HealthPolicy health;
  bool ignore_health = false;

  // `hostctl update` with these options would refuse, as this machine is not healthy.
  bool Refused() const { return plan && !ignore_health && !FailsAlready(plan->failing).empty(); }
};

struct HistoryView {
  std::vector<HistoryEntry> history;  // oldest first
  std::vector<PostMortem> post_mortems;
};

struct HealthView {
  std::vector<CheckResult> checks;

  bool Healthy() const;
};

struct VerifyView {
  struct Item {
    SlotProof proof;
    bool running = false;
    bool empty = false;  // nothing to prove
  };
  std::vector<Item> slots;
  std::optional<RescueProof> rescue;  // absent when there is none, or only a slot was asked for
  std::optional<BootProof> boot;      // absent when only a slot was asked for
};
ExitCode ExitOf(const VerifyView& view);

}  // namespace hostos
