#include <algorithm>
#include <format>
#include <optional>

#include "updater/health/deadline.h"
#include "updater/health/health.h"

namespace hostos {
namespace {

// "canary: task start: no answer within 30 s": the first check that decides.
std::optional<std::string> FirstFailure(const std::vector<CheckResult>& checks) {
  const CheckResult* failing = FirstFailing(checks);
  if (!failing) return std::nullopt;
  return std::format("{}{}: {}", failing->name, failing->environment ? " (environment)" : "",
                     failing->detail);
}

// Whether the check, or every one of its parts, failed before. A check without parts also counts as
// failed before if the release is known to be good.
bool FailedBefore(const CheckResult& check, const Baseline& baseline) {
  const auto known = [&](const std::string& name) {
    return std::ranges::contains(baseline.failed, name);
  };
  if (!check.parts.empty()) return std::ranges::all_of(check.parts, known);
  return baseline.known_good || known(check.name);
}

// Names those of the failed parts that are not the release's fault.
void NameKnownParts(CheckResult& check, const Baseline& baseline) {
  std::string known;
  for (const std::string& part : check.parts)
    if (std::ranges::contains(baseline.failed, part)) known += (known.empty() ? "" : ", ") + part;
  if (!known.empty()) check.detail += "; failed before the update too: " + known;
}

std::string Times(uint64_t count) {
  return std::format("{} time{}", count, count == 1 ? "" : "s");
}

// What interrupted the checks during a wait, so that they did not hold for the whole window.
struct Unrest {
  uint64_t restarts = 0;  // of containerd
  uint64_t breaks = 0;    // of good streaks

  void Take(const std::vector<CheckResult>& checks) {
    for (const CheckResult& check : checks) restarts += check.restarts;
  }
  // "" if nothing did.
  std::string Text(const HealthPolicy& policy) const {
    if (restarts > 0)
      return std::format("{} restarted {}", policy.containerd_unit, Times(restarts));
    return breaks > 0 ? std::format("the checks held and failed again {}", Times(breaks)) : "";
  }
};

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
  for (CheckResult& check : checks) {
    check.failed_before = FailedBefore(check, baseline);
    NameKnownParts(check, baseline);
  }
  return checks;
}

std::vector<std::string> FailedIn(const std::vector<CheckResult>& checks) {
  std::vector<std::string> names;
  for (const CheckResult& check : checks) {
    if (!check.ok) names.push_back(check.name);
    names.insert(names.end(), check.parts.begin(), check.parts.end());
  }
  return names;
}

Verdict WaitHealthy(Health& health, Clock& clock, const HealthPolicy& policy,
                    const Baseline& baseline) {
  const Milliseconds begin = clock.Monotonic();
  const Milliseconds end = begin + policy.deadline;
  Verdict verdict;
  std::optional<Milliseconds> since;  // end of the good streak's first round
  std::string failure;                // the last failure
  Unrest unrest;

  Milliseconds now = begin;
  bool first = true;
  do {
    const Milliseconds limit = end - now;
    std::vector<CheckResult> checks = RoundAgainst(baseline, health, limit);
    const std::optional<std::string> failed = FirstFailure(checks);
    unrest.Take(checks);
    now = clock.Monotonic();

    // A round that the deadline cut short fails only for lack of time: the round before it tells
    // why.
    const bool cut_short = failed && now >= end && limit < policy.check_timeout;
    if (cut_short && !first) break;
    first = false;

    verdict.checks = std::move(checks);
    if (failed) {
      failure = *failed;
      unrest.breaks += since.has_value();
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

  std::string last = failure;
  if (since) {
    last = std::format("the checks held for {} of the {} asked for when the deadline came",
                       FormatSeconds(verdict.steady), FormatSeconds(policy.window));
    if (!failure.empty()) last += std::format("; before that {}", failure);
  }
  const std::string waited = FormatSeconds(now - begin), restless = unrest.Text(policy);
  verdict.reason = restless.empty()
                       ? std::format("{} (waited {})", last, waited)
                       : std::format("not steady for {} in {}: {}; at last {}",
                                     FormatSeconds(policy.window), waited, restless, last);
  return verdict;
}

}  // namespace hostos
