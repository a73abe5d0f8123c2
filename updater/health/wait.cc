#include <algorithm>
#include <format>
#include <optional>

#include "updater/health/deadline.h"
#include "updater/health/health.h"

namespace hostos {
namespace {

// "canary: task start: no answer within 30 s", of the first check that decides.
std::optional<std::string> FirstFailure(const std::vector<CheckResult>& checks) {
  const CheckResult* failing = FirstFailing(checks);
  if (!failing) return std::nullopt;
  return std::format("{}{}: {}", failing->name, failing->environment ? " (environment)" : "",
                     failing->detail);
}

}  // namespace

const CheckResult* FirstFailing(const std::vector<CheckResult>& checks) {
  const auto failing = std::ranges::find_if(checks, &CheckResult::Decides);
  return failing == checks.end() ? nullptr : &*failing;
}

std::string FailingOutput(const Verdict& verdict) {
  const CheckResult* failing = FirstFailing(verdict.checks);
  if (!failing) return {};
  return failing->output.empty() ? failing->detail : failing->output;
}

std::vector<CheckResult> RoundAgainst(const Baseline& baseline, Health& health,
                                      Milliseconds limit) {
  std::vector<CheckResult> checks = health.Round(limit);
  for (CheckResult& check : checks)
    check.before = baseline.known_good || std::ranges::contains(baseline.failed, check.name);
  return checks;
}

Verdict WaitHealthy(Health& health, Clock& clock, const HealthPolicy& policy,
                    const Baseline& baseline) {
  const Milliseconds begin = clock.Monotonic();
  const Milliseconds end = begin + policy.deadline;
  Verdict verdict;
  std::optional<Milliseconds> since;  // when the first round of the present good streak was over
  std::string failure;                // the last one

  Milliseconds now = begin;
  bool first = true;
  do {
    const Milliseconds limit = end - now;
    std::vector<CheckResult> checks = RoundAgainst(baseline, health, limit);
    const std::optional<std::string> failed = FirstFailure(checks);
    now = clock.Monotonic();

    // A round that the deadline cut short fails for want of time: the round before it says why.
    const bool cut_short = failed && now >= end && limit < policy.check_timeout;
    if (cut_short && !first) break;
    first = false;

    verdict.checks = std::move(checks);
    if (failed) {
      failure = *failed;
      since.reset();
    } else if (!since) {
      since = now;
    }
    verdict.steady = since ? now - *since : Milliseconds(0);
    if (since && verdict.steady >= policy.window && now <= end) {
      verdict.healthy = true;
      return verdict;
    }
    Milliseconds pause = std::min<Milliseconds>(policy.interval, end - now);
    if (since) pause = std::min(pause, *since + policy.window - now);
    if (pause > Milliseconds(0)) clock.Sleep(pause);
    now = clock.Monotonic();
  } while (now < end);

  const std::string waited = FormatSeconds(now - begin);
  if (!since) {
    verdict.reason = std::format("{} (waited {})", failure, waited);
  } else {
    verdict.reason =
        std::format("the checks held for {} of the {} asked for when the deadline came",
                    FormatSeconds(verdict.steady), FormatSeconds(policy.window));
    if (!failure.empty()) verdict.reason += std::format("; before that {}", failure);
    verdict.reason += std::format(" (waited {})", waited);
  }
  return verdict;
}

}  // namespace hostos
