#include "updater/health/system_health.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "tests/containerd/fake_containerd.h"
#include "tests/health/fake_systemd.h"
#include "tests/health/limits.h"
#include "tests/temp_dir.h"
#include "updater/health/containerd_process.h"

namespace hostos {
namespace {

// A machine whose parts can be broken one by one.
struct HealthMachine {
  explicit HealthMachine(FakeContainerd::Script script = {}, FakeSystemd::State state = {},
                         std::vector<std::string> allowed = {})
      : containerd(dir / "containerd.sock", std::move(script)), systemd(std::move(state)) {
    policy.containerd_socket = dir / "containerd.sock";
    policy.checks = dir / "health.d";
    policy.check_timeout = Seconds(5);  // a busy machine answers late
    policy.allowed_failed_units = std::move(allowed);
    health.emplace(policy, CHECK_CONTAINERD, systemd.address());
  }

  std::vector<CheckResult> Round(Milliseconds limit = kAmple) { return health->Round(limit); }

  TempDir dir;
  FakeContainerd containerd;
  FakeSystemd systemd;
  HealthPolicy policy;
  std::optional<SystemHealth> health;
};

CheckResult Find(const std::vector<CheckResult>& checks, const std::string& name) {
  const auto found = std::ranges::find(checks, name, &CheckResult::name);
  REQUIRE(found != checks.end());
  return *found;
}

std::vector<std::string> Failing(const std::vector<CheckResult>& checks) {
  std::vector<std::string> names;
  for (const CheckResult& check : checks)
    if (!check.ok) names.push_back(check.name);
  return names;
}

TEST_CASE("a round lists every check, cheap ones first") {
  HealthMachine machine;
  const std::vector<CheckResult> checks = machine.Round();
  CHECK(Failing(checks).empty());
  std::vector<std::string> names;
  for (const CheckResult& check : checks) names.push_back(check.name);
  CHECK(names == std::vector<std::string>{"containerd-serving", "containerd-version",
                                          "containerd-plugins", "containerd-settings", "canary",
                                          "containerd-restarts", "units"});
  CHECK(Find(checks, "containerd-version").detail == "1.7.24~fake");
  CHECK(Find(checks, "units").detail == "running, no failed unit");
}

TEST_CASE("what makes no sense without containerd is not tried, the rest is") {
  HealthMachine machine({.hangs = {"health"}});
  const std::vector<CheckResult> checks = machine.Round();
  CHECK(checks.size() == 7);
  CHECK(Failing(checks) == std::vector<std::string>{"containerd-serving", "containerd-version",
                                                    "containerd-plugins", "containerd-settings",
                                                    "canary"});
  CHECK(Find(checks, "containerd-serving").detail.ends_with("no answer within 5 s"));
  CHECK(Find(checks, "canary").detail == "not tried: containerd is not serving");
  CHECK(machine.containerd.steps() == std::vector<std::string>{"health"});
}

TEST_CASE("a failing canary is reported with its step") {
  HealthMachine machine({.errors = {{"task start", "runc: cgroup"}}});
  const std::vector<CheckResult> checks = machine.Round();
  CHECK(Failing(checks) == std::vector<std::string>{"canary"});
  CHECK(Find(checks, "canary").detail == "task start: runc: cgroup");
}

TEST_CASE("containerd in another process than in the round before fails once") {
  HealthMachine machine;
  CHECK(Failing(machine.Round()).empty());
  SECTION("restarted by systemd") {
    machine.systemd.Set({.containerd = {"active", 588, 1}});
    CHECK(Find(machine.Round(), "containerd-restarts").detail ==
          "containerd.service restarted: main process 412 became 588, restarts 0 became 1");
  }
  SECTION("restarted by hand") {
    machine.systemd.Set({.containerd = {"active", 588, 0}});
    CHECK(Failing(machine.Round()) == std::vector<std::string>{"containerd-restarts"});
  }
  SECTION("restarted with the same number") {
    machine.systemd.Set({.containerd = {"active", 412, 1}});
    CHECK(Failing(machine.Round()) == std::vector<std::string>{"containerd-restarts"});
  }
  SECTION("on its way up") {
    machine.systemd.Set({.containerd = {"activating", 588, 1}});
    CHECK(Find(machine.Round(), "containerd-restarts").detail ==
          "containerd.service: expected active, found activating");
    machine.systemd.Set({.containerd = {"active", 588, 1}});
  }
  CHECK(Failing(machine.Round()).empty());
  CHECK(Failing(machine.Round()).empty());
}

TEST_CASE("restarts are counted from round to round, whatever containerd does in between") {
  HealthMachine machine;
  const auto restarts = [&](const ServiceState& state) {
    machine.systemd.Set({.containerd = state});
    return Find(machine.Round(), "containerd-restarts").restarts;
  };
  CHECK(restarts({"active", 412, 3}) == 0);
  CHECK(restarts({"active", 500, 5}) == 2);
  CHECK(restarts({"activating", 0, 5}) == 0);
  CHECK(restarts({"active", 600, 6}) == 1);
  CHECK(restarts({"inactive", 0, 0}) == 0);
  CHECK(restarts({"active", 700, 0}) == 1);  // by hand
  CHECK(restarts({"active", 700, 0}) == 0);
}

TEST_CASE("every check follows the containerd that the configuration names") {
  HealthMachine machine({}, {.containerd_unit = "k3s.service"});
  CHECK(Failing(machine.Round()) == std::vector<std::string>{"containerd-restarts"});
  machine.policy.containerd_unit = "k3s.service";
  SystemHealth health(machine.policy, CHECK_CONTAINERD, machine.systemd.address());
  CHECK(Failing(health.Round(kAmple)).empty());
  machine.systemd.Set({.containerd = {"inactive", 0, 0}, .containerd_unit = "k3s.service"});
  CHECK(Find(health.Round(kAmple), "containerd-restarts").detail ==
        "k3s.service: expected active, found inactive; health.containerd_unit names the unit of "
        "health.containerd_socket");
}

TEST_CASE("a unit that hangs on its way up, or restarts again and again, fails by name") {
  const FakeSystemd::State state = {.system_state = "starting",
                                    .failed = {"z.service"},
                                    .restarting = {"loop.service"},
                                    .jobs = {{"slow.service"},
                                             {"hostos-health-gate.service"},
                                             {"boot-complete.target", "start", "waiting"}}};
  const CheckResult units = Find(HealthMachine({}, state).Round(), "units");
  CHECK(units.detail ==
        "failed: z.service; failed and restarting: loop.service; still starting: slow.service; "
        "see systemctl status");
  CHECK(units.parts ==
        std::vector<std::string>{"units/z.service", "units/loop.service", "units/slow.service"});
  CHECK(Find(HealthMachine({}, state, {"[zls]*.service"}).Round(), "units").detail ==
        "starting, no failed unit");
}

TEST_CASE("a containerd that lost what HostOS sets for pods fails, and says what") {
  const auto settings = [](const std::string& config) {
    HealthMachine machine({.settings = config});
    return Find(machine.Round(), "containerd-settings");
  };
  const std::string runc = R"("containerd": {"defaultRuntimeName": "runc", "runtimes": {"runc":
      {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": false}}}})";
  CHECK(settings(R"({"cni": {"binDir": "/usr/lib/cni"}, )" + runc + "}")
            .detail.starts_with("CRI runs with binDir \"/usr/lib/cni\", expected "
                                "\"/opt/cni/bin\": does a file in /etc/containerd/conf.d set "));
  CHECK(settings(R"({"cni": {"binDir": "/opt/cni/bin"}, )" + runc + "}")
            .detail.starts_with("CRI runs with SystemdCgroup false, expected true: "));
  CHECK(
      settings(R"({"cni": {"binDir": "/opt/cni/bin"}, "containerd": {"defaultRuntimeName": "runsc",
                     "runtimes": {"runsc": {"runtimeType": "io.containerd.runsc.v1"}}}})")
          .ok);
  for (const char* broken : {"", "[", "[]", "{}", R"({"cni": {"binDir": "/opt/cni/bin"}})"})
    CHECK_FALSE(settings(broken).ok);
}

TEST_CASE("the settings of a containerd are its operator's where the policy says so") {
  HealthMachine machine({.settings = "{}"});
  SECTION("for this one") {
    machine.policy.containerd_settings = false;
  }
  SECTION("as it is not HostOS's") {
    machine.policy.containerd_unit = "k3s.service";
  }
  SECTION("as it does without CRI") {
    machine.policy.plugins = {"io.containerd.grpc.v1"};
  }
  SystemHealth health(machine.policy, CHECK_CONTAINERD, machine.systemd.address());
  CHECK(Find(health.Round(kAmple), "containerd-settings").ok);
}

TEST_CASE("a failed unit fails, unless the policy allows it") {
  const FakeSystemd::State state = {.system_state = "degraded",
                                    .failed = {"sshd@3-a.service", "kubelet.service", "x.mount"}};
  CHECK(Find(HealthMachine({}, state).Round(), "units").detail ==
        "failed: kubelet.service, sshd@3-a.service, x.mount; see systemctl status");
  CHECK(Find(HealthMachine({}, state, {"sshd@*.service", "x.mount"}).Round(), "units").detail ==
        "failed: kubelet.service; see systemctl status");
  CHECK(Find(HealthMachine({}, state, {"*.service", "x.mount"}).Round(), "units").ok);
}

TEST_CASE("a system still starting is fine, one in emergency mode is not") {
  CHECK(Find(HealthMachine({}, {.system_state = "starting"}).Round(), "units").ok);
  CHECK(Find(HealthMachine({}, {.system_state = "maintenance"}).Round(), "units").detail ==
        "expected a system that is up or coming up, found it maintenance");
}

TEST_CASE("without a bus both of its checks fail") {
  HealthMachine machine;
  const std::vector<CheckResult> checks =
      SystemHealth(machine.policy, CHECK_CONTAINERD, "unix:path=/nowhere/bus").Round(kAmple);
  CHECK(Failing(checks) == std::vector<std::string>{"containerd-restarts", "units"});
  CHECK(Find(checks, "units").detail ==
        "connect to unix:path=/nowhere/bus: No such file or directory");
}

TEST_CASE("a round with every part hanging is over within its limit and the time to clean up") {
  if (::geteuid() != 0) SKIP("operator checks must be owned by root: run as root");
  HealthMachine machine({.hangs = {"task start", "task kill", "task delete", "container delete"}},
                        {.answers = false});
  std::filesystem::create_directories(machine.policy.checks + "/required");
  const std::string check = machine.policy.checks + "/required/hang";
  std::ofstream(check) << "#!/bin/sh\nexec sleep 1000\n";
  std::filesystem::permissions(check, std::filesystem::perms(0755));
  machine.policy.check_timeout = Seconds(30);
  SystemHealth health(machine.policy, CHECK_CONTAINERD, machine.systemd.address());

  const auto begin = std::chrono::steady_clock::now();
  const std::vector<CheckResult> checks = health.Round(Seconds(2));
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took < Seconds(2) + kCanaryCleanup + Seconds(10));
  CHECK(checks.size() == 8);
  CHECK(Find(checks, "canary").detail.starts_with("task start: no answer within "));
  CHECK(Find(checks, "required/hang").detail == "not tried: no time was left");
}

}  // namespace
}  // namespace hostos
