// Decides whether this system can do its job: all checks must hold over one continuous window,
// inside one overall deadline, on the monotonic clock. The verdict names the failing check and its
// output.
#pragma once

#include <string>
#include <vector>

#include "updater/base/clock.h"
#include "updater/base/result.h"

namespace hostos {

struct HealthPolicy {
  std::string containerd_socket = "/run/containerd/containerd.sock";
  std::string containerd_unit = "containerd.service";  // the unit whose containerd listens there
  // Plugins that must be loaded without error: "type" or "type.id", as `ctr plugins ls` shows them.
  std::vector<std::string> plugins = {"io.containerd.grpc.v1.cri"};
  bool containerd_settings = true;                // pods must run with what HostOS sets for CRI
  std::string canary = "/usr/lib/hostos/canary";  // root file system of the canary container
  std::string runtime = "io.containerd.runc.v2";
  std::string checks = "/etc/hostctl/health.d";   // holds required/ and wanted/
  std::vector<std::string> allowed_failed_units;  // names or globs; these may also hang
  Seconds window{60};
  Seconds deadline{300};
  Seconds interval{5};        // between two rounds of checks inside the window
  Seconds check_timeout{30};  // of one check
};

struct CheckResult {
  std::string name;      // "containerd-serving", "canary", "units", "required/10-dns"
  bool required = true;  // a wanted check is reported, but never decides
  bool ok = false;
  std::string detail;  // one line: what was expected and found
  std::string output;  // of an operator check: the last 4 KiB
  Milliseconds took{0};
  bool environment = false;    // the check blames a cause outside this machine
  bool failed_before = false;  // it also failed before the update (Baseline)
  // For a check of many things, those that fail: "units/a.service".
  std::vector<std::string> parts;
  uint32_t restarts = 0;  // of the process it watches, since the last round

  // A failure is not held against a release if the release before it failed the same way, and
  // either the cause lies outside this machine or the same parts failed.
  bool Excused() const { return failed_before && (environment || !parts.empty()); }
  // Whether this check keeps a release from passing.
  bool Decides() const { return required && !ok && !Excused(); }
};

// The first check that decides; null if none does.
const CheckResult* FirstFailing(const std::vector<CheckResult>& checks);

struct Verdict {
  bool healthy = false;
  std::string reason;               // "" if healthy; else one line: what kept it from being
                                    // steady, the failing check
  std::vector<CheckResult> checks;  // of the last round
  Milliseconds steady{0};           // how long the checks had held at the end
};

// The output of the deciding check, or its detail if it printed nothing; "" if none decided.
std::string FailingOutput(const Verdict& verdict);

class Health {
 public:
  virtual ~Health() = default;
  // Runs one round of all checks now. Ends within `limit`, plus a few seconds to clean up after a
  // check that hung. Checks that get no turn in that time are reported as failed.
  virtual std::vector<CheckResult> Round(Milliseconds limit) = 0;
};

// What a release's checks are compared with.
struct Baseline {
  std::vector<std::string> failed;  // FailedIn() of the release before it
  bool known_good = false;          // it was healthy here before, so it is not to blame
                                    // for what fails outside this machine
};

// The names of the failed checks and of their failed parts.
std::vector<std::string> FailedIn(const std::vector<CheckResult>& checks);

// Runs one round, and marks what failed before by the baseline.
std::vector<CheckResult> RoundAgainst(const Baseline& baseline, Health& health, Milliseconds limit);

// Repeats rounds until no check has decided against the release for `policy.window` without a
// break, or until the deadline.
Verdict WaitHealthy(Health& health, Clock& clock, const HealthPolicy& policy,
                    const Baseline& baseline = {});

}  // namespace hostos
