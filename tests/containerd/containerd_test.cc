#include "updater/containerd/containerd.h"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>
#include <fstream>

#include "tests/containerd/fake_containerd.h"
#include "tests/health/limits.h"
#include "tests/health/unix_socket.h"
#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"
#include "updater/health/containerd_process.h"

namespace hostos {
namespace {

struct ContainerdMachine {
  explicit ContainerdMachine(FakeContainerd::Script script = {})
      : server(socket, std::move(script)) {}

  // Why the canary does not hold; else what it could not remove, "" when all is well.
  std::string Canary(Milliseconds limit = kAmple) {
    const Result<std::string> result =
        Containerd(socket).RunCanary("/canary", "io.containerd.runc.v2", Deadline(limit));
    return result ? *result : result.error().message;
  }

  // A bundle, as containerd keeps them in its state directory.
  std::string Bundle(const std::string& id) const {
    const std::string bundle = dir / "io.containerd.runtime.v2.task/hostos-health/" + id;
    std::filesystem::create_directories(bundle + "/rootfs");
    std::ofstream(bundle + "/config.json") << "{}";
    std::filesystem::create_symlink("/var/lib/containerd/" + id, bundle + "/work");
    return bundle;
  }

  TempDir dir;
  const std::string socket = dir / "containerd.sock";
  FakeContainerd server;
};

template <class T>
std::string Message(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().message;
}

// Runs it and checks that it took no longer than it may.
template <class Run>
auto InTime(Milliseconds limit, Run run) {
  const auto begin = std::chrono::steady_clock::now();
  auto result = run();
  CHECK(std::chrono::steady_clock::now() - begin < limit + Seconds(10));
  return result;
}

TEST_CASE("a containerd that serves answers its version") {
  ContainerdMachine machine;
  Containerd containerd(machine.socket);
  CHECK(containerd.Serving(Deadline(kAmple)));
  CHECK(containerd.Version(Deadline(kAmple)) == "1.7.24~fake");
}

TEST_CASE("a containerd that says it is not serving fails") {
  ContainerdMachine machine({.serving = false});
  CHECK(Message(Containerd(machine.socket).Serving(Deadline(kAmple))) ==
        std::format("unix:{}: expected SERVING, found NOT_SERVING", machine.socket));
}

TEST_CASE("a containerd that never answers fails at the deadline") {
  ContainerdMachine machine({.hangs = {"health"}});
  CHECK(Message(InTime(kShort, [&] {
          return Containerd(machine.socket).Serving(Deadline(kShort));
        })) == std::format("unix:{}: no answer within 1 s", machine.socket));
}

TEST_CASE("no socket and a socket nobody listens on fail at once and name the socket") {
  TempDir dir;
  const std::string socket = dir / "containerd.sock";
  const auto serving = [&] { return Containerd(socket).Serving(Deadline(kAmple)); };
  const std::string absent = Message(InTime(Seconds(2), serving));
  CHECK(absent.contains(socket));
  CHECK(absent.contains("No such file or directory"));

  (void)BindUnix(socket, SOCK_STREAM);
  CHECK(Message(InTime(Seconds(2), serving)).contains("Connection refused"));
}

TEST_CASE("every needed plugin must be loaded without error") {
  ContainerdMachine machine({.plugins = {{"io.containerd.grpc.v1", "cri", "no cni\nconfig"},
                                         {"io.containerd.grpc.v1", "tasks", ""},
                                         {"io.containerd.snapshotter.v1", "zfs", "skip plugin"},
                                         {"io.containerd.snapshotter.v1", "overlayfs", ""},
                                         {"io.containerd.nri.v1", "nri", "broken"}}});
  Containerd containerd(machine.socket);
  const auto ask = [&](std::vector<std::string> needed) {
    return containerd.HasPlugins(needed, Deadline(kAmple));
  };
  CHECK(ask({}));
  CHECK(ask({"io.containerd.grpc.v1.tasks"}));
  CHECK(ask({"io.containerd.snapshotter.v1", "io.containerd.snapshotter.v1.overlayfs"}));
  CHECK(Message(ask({"io.containerd.grpc.v1.tasks", "io.containerd.grpc.v1.cri"})) ==
        "plugin io.containerd.grpc.v1.cri is not loaded: no cni config");
  CHECK(Message(ask({"io.containerd.nri.v1"})) ==
        "plugin io.containerd.nri.v1 is not loaded: broken");
  CHECK(Message(ask({"io.containerd.grpc.v1.ocicri"})) ==
        "plugin io.containerd.grpc.v1.ocicri is not loaded: containerd does not know it, or its "
        "configuration disables it");
}

TEST_CASE("the canary is created, started, waited for and deleted") {
  ContainerdMachine machine;
  CHECK(machine.Canary() == "");
  CHECK(machine.Canary() == "");  // the namespace is there already
  CHECK(machine.server.containers().empty());
  const std::vector<std::string> steps = machine.server.steps();
  CHECK(std::vector(steps.begin(), steps.begin() + 10) ==
        std::vector<std::string>{"namespace create", "container list", "task list",
                                 "container create", "task create", "task start", "task wait",
                                 "task kill", "task delete", "container delete"});
}

TEST_CASE("a canary whose process fails is deleted all the same") {
  ContainerdMachine machine({.exit_code = 1});
  CHECK(machine.Canary() == "/bin/canary of /canary ended with exit code 1, expected 0");
  CHECK(machine.server.containers().empty());
}

TEST_CASE("each step of the canary that fails says which it was, and leaves nothing behind") {
  for (const std::string step : {"container create", "task create", "task start", "task wait"}) {
    ContainerdMachine machine({.errors = {{step, "runc: no\nroot"}}});
    INFO(step);
    CHECK(machine.Canary() == step + ": runc: no root");
    CHECK(machine.server.containers().empty());
  }
}

TEST_CASE("each step before the canary that fails says which it was") {
  CHECK(ContainerdMachine({.errors = {{"namespace create", "read-only"}}}).Canary() ==
        "namespace hostos-health: read-only");
  CHECK(ContainerdMachine({.errors = {{"container list", "corrupt"}}}).Canary() ==
        "leftovers: corrupt");
}

TEST_CASE("each step of the canary that hangs says so at the deadline") {
  for (const std::string step : {"container create", "task create", "task start"}) {
    ContainerdMachine machine({.hangs = {step}});
    INFO(step);
    CHECK(InTime(kShort, [&] { return machine.Canary(kShort); }) ==
          step + ": no answer within 1 s");
    CHECK(machine.server.containers().empty());
  }
}

TEST_CASE("a canary that never ends is killed and deleted") {
  ContainerdMachine machine({.never_ends = true});
  CHECK(machine.Canary(kShort) == "task wait: no answer within 1 s");
  CHECK(machine.server.containers().empty());
}

TEST_CASE("a canary that cannot be deleted fails, and a failing one says it too") {
  CHECK(ContainerdMachine({.errors = {{"task delete", "device busy"}}}).Canary() ==
        "task delete: device busy");
  CHECK(ContainerdMachine({.errors = {{"task start", "no pids"}, {"container delete", "locked"}}})
            .Canary() == "task start: no pids; cleaning up: container delete: locked");
}

TEST_CASE("cleaning up behind a canary that hung has an end too") {
  ContainerdMachine machine(
      {.hangs = {"task start", "task kill", "task delete", "container delete"}});
  const std::string message =
      InTime(kShort + kCanaryCleanup, [&] { return machine.Canary(kShort); });
  CHECK(
      message.starts_with("task start: no answer within 1 s; cleaning up: task delete: no answer"));
}

TEST_CASE("what killed runs left is removed, what a living process runs is not") {
  const std::string boot = ReadFile("/proc/sys/kernel/random/boot_id")->substr(0, 8);
  const std::string living = std::format("canary-{}-1-5", boot);
  const std::string older = std::format("canary-{}-1", boot);  // as earlier versions named them
  const std::string mine = std::format("canary-{}-{}-5", boot, ::getpid());
  ContainerdMachine machine(
      {.containers = {living, older, std::format("canary-{}-{}-5", boot, 1 << 30), mine,
                      "canary-00000000-1", "canary-", "other"},
       .lost_tasks = {"canary-00000000-2"}});
  CHECK(machine.Canary() == "");
  CHECK(machine.server.containers() == std::vector{older, living});
}

TEST_CASE("a containerd that dies in the middle of a canary does not fail the next one") {
  for (const std::string step : {"container create", "task create", "task start", "task wait"}) {
    ContainerdMachine machine({.dies_in = step});
    INFO(step);
    CHECK(machine.Canary() == step + ": Socket closed");
    CHECK(machine.Canary() == "");
    CHECK(machine.server.containers().empty());
  }
}

TEST_CASE("what an earlier run left and containerd can't remove is said, and decides nothing") {
  ContainerdMachine machine({.errors = {{"task delete canary-00000000-1", "device busy"}},
                             .containers = {"canary-00000000-1", "canary-00000000-2"}});
  for (int round = 0; round < 2; round++) {
    CHECK(machine.Canary() ==
          "canary-00000000-1 of an earlier run stays: task delete: device busy");
    CHECK(machine.server.containers() == std::vector<std::string>{"canary-00000000-1"});
  }
}

TEST_CASE("bundles that containerd lost are removed, those in use and of others are not") {
  const std::string boot = ReadFile("/proc/sys/kernel/random/boot_id")->substr(0, 8);
  const std::string known = "canary-00000000-1";
  ContainerdMachine machine(
      {.errors = {{"task delete " + known, "device busy"}}, .containers = {known}});
  const std::string lost = machine.Bundle("canary-00000000-2");
  const std::string living = machine.Bundle(std::format("canary-{}-1-5", boot));
  const std::string with_task = machine.Bundle(known);
  // As if its root were mounted: what is in there is not the bundle's.
  const std::string mounted = machine.Bundle("canary-00000000-3");
  std::ofstream(mounted + "/rootfs/file") << "somebody's";
  CHECK(machine.Canary().contains("stays"));
  CHECK_FALSE(std::filesystem::exists(lost));
  for (const std::string& bundle : {living, with_task, mounted})
    CHECK(std::filesystem::exists(bundle + "/config.json"));
  CHECK(std::filesystem::exists(mounted + "/rootfs/file"));
}

}  // namespace
}  // namespace hostos
