#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "tests/fakes/fake_clock.h"
#include "updater/health/health.h"

namespace hostos {
namespace {

// Rounds as a function of when they begin, counted from the first one; each may take its time.
class ScriptedHealth : public Health {
 public:
  using Script = std::function<CheckResult(Milliseconds at, int round)>;

  ScriptedHealth(FakeClock& clock, Script script) : clock_(clock), script_(std::move(script)) {}

  std::vector<CheckResult> Round(Milliseconds limit) override {
    CheckResult check = script_(clock_.Monotonic() - begin_, rounds++);
    if (check.took > limit) check = {.name = check.name, .detail = "no time left", .took = limit};
    clock_.Sleep(check.took);
    return {{.name = "first", .ok = true}, std::move(check)};
  }

  Milliseconds elapsed() const { return clock_.Monotonic() - begin_; }
  int rounds = 0;

 private:
  FakeClock& clock_;
  Milliseconds begin_ = clock_.Monotonic();
  Script script_;
};

CheckResult Good() {
  return {.name = "canary", .ok = true};
}
CheckResult Bad(const char* why = "broken") {
  return {.name = "canary", .detail = why};
}

struct Waited {
  Verdict verdict;
  Milliseconds elapsed;
  int rounds;
};

Waited Wait(const ScriptedHealth::Script& script, const HealthPolicy& policy = {},
            const Baseline& baseline = {}) {
  FakeClock clock;
  ScriptedHealth health(clock, script);
  Verdict verdict = WaitHealthy(health, clock, policy, baseline);
  return {std::move(verdict), health.elapsed(), health.rounds};
}

TEST_CASE("a cause outside the machine decides unless the release before had it too") {
  const auto outside = [](Milliseconds, int) {
    CheckResult check = Bad("no route");
    check.environment = true;
    return check;
  };
  const Waited excused = Wait(outside, {}, {.failed = {"canary"}});
  CHECK(excused.verdict.healthy);
  CHECK(excused.verdict.checks.back().failed_before);
  CHECK_FALSE(excused.verdict.checks.back().ok);

  const Waited since = Wait(outside, {}, {.failed = {"another"}});
  CHECK_FALSE(since.verdict.healthy);
  CHECK(since.verdict.reason.contains("canary (environment): no route"));

  CHECK(Wait(outside, {}, {.known_good = true}).verdict.healthy);
}

TEST_CASE("a cause in the machine decides, even if the release before had it too") {
  CHECK_FALSE(
      Wait([](Milliseconds, int) { return Bad(); }, {}, {.failed = {"canary"}, .known_good = true})
          .verdict.healthy);
}

TEST_CASE("parts that failed before the update are not held against it, a new one is, by name") {
  const auto units = [](std::vector<std::string> failing) {
    return [failing](Milliseconds, int) {
      CheckResult check = Bad("failed: some");
      check.parts = failing;
      return check;
    };
  };
  const Baseline baseline = {.failed = {"canary", "units/a.service", "units/b.service"}};
  const Waited known = Wait(units({"units/a.service"}), {}, baseline);
  CHECK(known.verdict.healthy);
  CHECK(known.verdict.checks.back().Excused());
  const Waited fresh = Wait(units({"units/a.service", "units/c.service"}), {}, baseline);
  CHECK(fresh.verdict.reason ==
        "canary: failed: some; failed before the update too: units/a.service (waited 300 s)");
  // That a release was healthy here says nothing of what fails in the machine.
  CHECK_FALSE(Wait(units({"units/a.service"}), {}, {.known_good = true}).verdict.healthy);
}

TEST_CASE("what failed is named with its parts") {
  CheckResult units = Bad();
  units.name = "units";
  units.parts = {"units/a.service"};
  CHECK(FailedIn({Good(), units}) == std::vector<std::string>{"units", "units/a.service"});
}

TEST_CASE("a wait that was never steady says first what was restless") {
  SECTION("containerd, which restarted") {
    const Waited waited = Wait([](Milliseconds, int round) {
      CheckResult check = round % 3 == 2 ? Bad() : Good();
      check.restarts = round % 30 == 2 ? 4 : 0;
      return check;
    });
    CHECK(waited.verdict.reason ==
          "not steady for 60 s in 300 s: containerd.service restarted 8 times; at last canary: "
          "broken");
  }
  SECTION("a check that held and failed") {
    const Waited waited =
        Wait([](Milliseconds at, int) { return at == Seconds(100) ? Good() : Bad(); });
    CHECK(waited.verdict.reason ==
          "not steady for 60 s in 300 s: the checks held and failed again 1 time; at last canary: "
          "broken");
  }
  SECTION("and what held at the end") {
    const Waited waited = Wait([](Milliseconds at, int) {
      CheckResult check = at < Seconds(260) ? Bad() : Good();
      check.restarts = at == Seconds(250) ? 1 : 0;
      return check;
    });
    CHECK(waited.verdict.reason ==
          "not steady for 60 s in 300 s: containerd.service restarted 1 time; at last the checks "
          "held for 35 s of the 60 s asked for when the deadline came; before that canary: broken");
  }
}

TEST_CASE("a containerd that restarts once and is steady then is kept") {
  const Waited waited = Wait([](Milliseconds at, int) {
    CheckResult check = at == Seconds(30) ? Bad("Socket closed") : Good();
    check.restarts = at == Seconds(30) ? 1 : 0;
    return check;
  });
  CHECK(waited.verdict.healthy);
  CHECK(waited.elapsed == Seconds(35 + 60));
}

TEST_CASE("passes exactly when the checks have held for the window") {
  const Waited waited = Wait([](Milliseconds, int) { return Good(); });
  CHECK(waited.verdict.healthy);
  CHECK(waited.verdict.reason.empty());
  CHECK(waited.elapsed == Seconds(60));
  CHECK(waited.verdict.steady == Seconds(60));
  CHECK(waited.verdict.checks.size() == 2);
}

TEST_CASE("a window that is no multiple of the interval is not overshot") {
  const Waited waited = Wait([](Milliseconds, int) { return Good(); },
                             {.window = Seconds(12), .interval = Seconds(5)});
  CHECK(waited.verdict.healthy);
  CHECK(waited.elapsed == Seconds(12));
}

TEST_CASE("the window is counted from when the first good round is over") {
  const Waited waited = Wait([](Milliseconds, int) {
    CheckResult check = Good();
    check.took = Seconds(4);
    return check;
  });
  CHECK(waited.verdict.healthy);
  CHECK(waited.verdict.steady >= Seconds(60));
  CHECK(waited.elapsed >= Seconds(64));
}

TEST_CASE("one failing check restarts the window") {
  const Waited waited =
      Wait([](Milliseconds at, int) { return at == Seconds(50) ? Bad() : Good(); });
  CHECK(waited.verdict.healthy);
  CHECK(waited.elapsed == Seconds(55 + 60));
}

TEST_CASE("a check that fails one time in three never passes") {
  const Waited waited =
      Wait([](Milliseconds, int round) { return round % 3 == 2 ? Bad() : Good(); });
  CHECK_FALSE(waited.verdict.healthy);
  CHECK(waited.elapsed == Seconds(300));
  CHECK(waited.verdict.reason.contains("canary: broken"));
}

TEST_CASE("the reason names the failing check and how long it was waited for") {
  const Waited waited =
      Wait([](Milliseconds, int) { return Bad("task start: no answer within 30 s"); });
  CHECK_FALSE(waited.verdict.healthy);
  CHECK(waited.verdict.reason == "canary: task start: no answer within 30 s (waited 300 s)");
  CHECK(waited.elapsed == Seconds(300));
  CHECK(waited.verdict.steady == Milliseconds(0));
}

TEST_CASE("the reason names the last failure, not the first") {
  const Waited waited = Wait(
      [](Milliseconds at, int) { return Bad(at < Seconds(100) ? "not serving" : "exit code 1"); });
  CHECK(waited.verdict.reason.starts_with("canary: exit code 1"));
}

TEST_CASE("says so when the deadline comes while the checks hold but the window is not full") {
  const Waited waited =
      Wait([](Milliseconds at, int) { return at < Seconds(260) ? Bad() : Good(); });
  CHECK_FALSE(waited.verdict.healthy);
  CHECK(
      waited.verdict.reason ==
      "the checks held for 35 s of the 60 s asked for when the deadline came; before that canary: "
      "broken (waited 300 s)");
  CHECK(waited.verdict.steady == Seconds(35));
}

TEST_CASE("the last moment at which the window can still be filled is enough") {
  const Waited waited =
      Wait([](Milliseconds at, int) { return at < Seconds(235) ? Bad() : Good(); });
  CHECK(waited.verdict.healthy);
  CHECK(waited.elapsed == Seconds(295));
}

TEST_CASE("a check that hangs does not outlive the deadline") {
  const Waited waited = Wait([](Milliseconds at, int) {
    CheckResult check = Good();
    if (at > Seconds(40)) check.took = Seconds(1000);
    return check;
  });
  CHECK_FALSE(waited.verdict.healthy);
  CHECK(waited.elapsed == Seconds(300));
}

TEST_CASE("a round that the deadline cuts short does not hide the failure before it") {
  const Waited waited = Wait([](Milliseconds at, int) {
    CheckResult check = Bad("exit code 3");
    if (at > Seconds(290)) check.took = Seconds(20);  // then reports "no time left"
    return check;
  });
  CHECK(waited.verdict.reason == "canary: exit code 3 (waited 300 s)");
  CHECK(waited.verdict.checks.at(1).detail == "exit code 3");
}

TEST_CASE("a wanted check never decides") {
  const Waited waited = Wait([](Milliseconds, int) {
    CheckResult check = Bad();
    check.required = false;
    return check;
  });
  CHECK(waited.verdict.healthy);
}

TEST_CASE("a deadline of nothing is still one round, and its failure is told") {
  const Waited waited = Wait([](Milliseconds, int) { return Bad(); }, {.deadline = Seconds(0)});
  CHECK_FALSE(waited.verdict.healthy);
  CHECK(waited.rounds == 1);
  CHECK(waited.verdict.reason == "canary: broken (waited 0 s)");
}

}  // namespace
}  // namespace hostos
