// Can this system do its job? Checks that must all hold over one continuous window inside one
// overall deadline, on the monotonic clock. The verdict says which check failed, and its output.
#pragma once

#include <string>
#include <vector>

#include "updater/base/clock.h"
#include "updater/base/result.h"

namespace hostos {

struct HealthPolicy {
  std::string containerd_socket = "/run/containerd/containerd.sock";
  std::string containerd_unit = "containerd.service";  // whose containerd listens there
  // Plugins that must be loaded without error, as "type" or "type.id" of `ctr plugins ls`.
  std::vector<std::string> plugins = {"io.containerd.grpc.v1.cri"};
  bool containerd_settings = true;                // they must be those that HostOS sets for CRI
  std::string canary = "/usr/lib/hostos/canary";  // root file system of the canary container
  std::string runtime = "io.containerd.runc.v2";
  std::string checks = "/etc/hostctl/health.d";   // with required/ and wanted/ below
  std::vector<std::string> allowed_failed_units;  // unit names or globs; they may hang, too
  Seconds window{60};
  Seconds deadline{300};
  Seconds interval{5};        // between two rounds of checks inside the window
  Seconds check_timeout{30};  // of one check
};

struct CheckResult {
  std::string name;      // "containerd-serving", "canary", "units", "required/10-dns"
  bool required = true;  // a wanted check is reported and never decides
  bool ok = false;
  std::string detail;  // one line: what was expected and found
  std::string output;  // of an operator check: the last 4 KiB
  Milliseconds took{0};
  bool environment = false;  // it says that the cause lies outside this machine
  bool before = false;       // it failed before the update too (Baseline)
  // What of it does not hold, where it looks at many things: "units/a.service".
  std::vector<std::string> parts;
  uint32_t restarts = 0;  // of what it watches, since the round before

  // What the release before could not do either, for reasons outside this machine or in the same
  // parts, is not held against a release.
  bool Excused() const { return before && (environment || !parts.empty()); }
  // Does this keep a release from passing?
  bool Decides() const { return required && !ok && !Excused(); }
};

// The first that decides; null when all is well.
const CheckResult* FirstFailing(const std::vector<CheckResult>& checks);

struct Verdict {
  bool healthy = false;
  std::string reason;               // "" when healthy; else one line: what kept it from being
                                    // steady, the failing check
  std::vector<CheckResult> checks;  // of the last round
  Milliseconds steady{0};           // how long the checks held at the end
};

// The output of the check that decided, else what it found; "" when none did.
std::string FailingOutput(const Verdict& verdict);

class Health {
 public:
  virtual ~Health() = default;
  // One round of all checks, now. It is over within `limit` and the few seconds that cleaning up
  // behind a check that hung may take; what did not get its turn by then is reported as failed.
  virtual std::vector<CheckResult> Round(Milliseconds limit) = 0;
};

// What to hold the checks of a release against.
struct Baseline {
  std::vector<std::string> failed;  // FailedIn() the release before it
  bool known_good = false;          // it was healthy here before: what fails for reasons outside
                                    // this machine is none of its fault
};

// The names of the checks that failed, and of their parts.
std::vector<std::string> FailedIn(const std::vector<CheckResult>& checks);

// One round, held against a baseline.
std::vector<CheckResult> RoundAgainst(const Baseline& baseline, Health& health, Milliseconds limit);

// Rounds until no check decided against the release for `policy.window` without a break, or the
// deadline.
Verdict WaitHealthy(Health& health, Clock& clock, const HealthPolicy& policy,
                    const Baseline& baseline = {});

}  // namespace hostos
