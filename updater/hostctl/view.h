// What the printing of a verb gets: plain values, gathered before the first byte is printed. The
// same value becomes text (text.h) or JSON (json.h), so both show the same facts.
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
  std::vector<HistoryEntry> history;  // oldest first; holds the output of failed checks
  std::vector<PostMortem> post_mortems;
  std::vector<std::string> problems;  // parts of the status that could not be read, and why
  std::string lock_holder;            // who is changing something now; "" if nobody
  uint64_t now = 0;

  const SlotStatus* Running() const;
  const SlotStatus* BootsNext() const;
  // Another release than the running one boots next. False during a trial: once its last try is
  // spent the loader would take the other release, but the gate decides before that.
  bool RebootNeeded() const;
  // The last self-test of the boot loader failed.
  bool LoaderFailed() const;
  // The last `hostctl verify` of a slot found something other than what was signed.
  bool NotProven() const;
  // The ESP should hold another rescue.
  bool OldRescue() const { return !status.rescue.problem.empty(); }
  // Nobody mends the running release any more.
  bool Unsupported() const { return status.support.Over(now); }
  // The output of the check that made a release be given up; "" when it is unknown.
  std::string OutputOf(const Denied& denied) const;
};
ExitCode ExitOf(const StatusView& view);

// What boots after a failed trial: a release, or, when the version is empty, the rescue system. A
// re-counted release without another one behind it is recorded as standing behind itself.
ReleaseId FallbackOf(const UpdateRecord& update);

// `update --check`, `update --plan`.
enum class Finding { kAvailable, kStaged, kNothingToDo, kRefused };
const char* Name(Finding finding);
ExitCode ExitOf(Finding finding);

struct CheckView {
  Finding finding = Finding::kAvailable;
  std::string message;           // for kNothingToDo and kRefused: which release, and why
  std::string running;           // version
  std::optional<Target> target;  // for kAvailable and kStaged
};

struct PlanView {
  CheckView check;
  std::optional<UpdatePlan> plan;  // for kAvailable and kStaged
  uint32_t tries = 0;
  HealthPolicy health;
  bool ignore_health = false, allow_metered = false;
  uint64_t rate_limit = 0;  // bytes per second of the download; 0: none

  // `hostctl update` with these options would refuse, because this machine is not healthy.
  bool Refused() const { return plan && !ignore_health && !FailsAlready(plan->failing).empty(); }
  // It would not download over this network.
  bool NotNow() const { return plan && !allow_metered && plan->metered(); }
};
ExitCode ExitOf(const PlanView& view);

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
  std::optional<RescueProof> rescue;  // absent: there is none, or only a slot was asked for
  std::optional<BootProof> boot;      // absent: only a slot was asked for
};
ExitCode ExitOf(const VerifyView& view);

}  // namespace hostos
