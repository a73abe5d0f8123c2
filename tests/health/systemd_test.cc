#include "updater/health/systemd.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/health/fake_systemd.h"
#include "tests/health/limits.h"
#include "tests/health/unix_socket.h"
#include "tests/held.h"
#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"
#include "updater/health/metering.h"

namespace hostos {
namespace {

Systemd Connect(const FakeSystemd& fake, Milliseconds limit = kAmple) {
  return Held(Systemd::Connect(fake.address(), Deadline(limit)));
}

TEST_CASE("the state of the system, of failed units and of a service come from the bus") {
  FakeSystemd fake({.system_state = "degraded",
                    .failed = {"foo.service", "mnt-data.mount"},
                    .containerd = {"active", 77, 3}});
  Systemd systemd = Connect(fake);
  CHECK(systemd.SystemState() == "degraded");
  CHECK(systemd.UnitsIn("failed") == std::vector<std::string>{"foo.service", "mnt-data.mount"});
  CHECK(systemd.Service("containerd.service") == ServiceState{"active", 77, 3});
}

TEST_CASE("no failed unit is an empty list") {
  FakeSystemd fake({});
  CHECK(Connect(fake).UnitsIn("failed") == std::vector<std::string>{});
}

TEST_CASE("a unit is starting while its own job runs and something wants it") {
  FakeSystemd fake({.jobs = {{"slow.service"},
                             {"again.service", "restart"},
                             {"new-config.service", "reload"},
                             {"multi-user.target", "start", "waiting"},
                             {"old.service", "stop"},
                             {"fstrim.service", "start", "running", false},
                             {"asks.service"}},
                    .own_unit = "asks.service"});
  CHECK(Connect(fake).StartingUnits() ==
        std::vector<std::string>{"slow.service", "again.service", "new-config.service"});
  fake.Set({.jobs = {{"slow.service"}}});
  CHECK(Connect(fake).StartingUnits() == std::vector<std::string>{"slow.service"});
}

TEST_CASE("what the manager does not know is its error, with the unit") {
  FakeSystemd fake({});
  const Result<ServiceState> service = Connect(fake).Service("other.service");
  REQUIRE_FALSE(service);
  CHECK(service.error().message.starts_with("other.service: ActiveState: no "));
  CHECK(service.error().message.ends_with("(org.freedesktop.DBus.Error.UnknownProperty)"));
}

TEST_CASE("NetworkManager says whether the network is metered, and a guess counts") {
  const auto ask = [](FakeSystemd::State state, Milliseconds limit = kAmple) {
    const FakeSystemd fake(std::move(state));
    return AskMetering(fake.address(), limit);
  };
  CHECK(ask({.metered = 1}).metered == true);
  CHECK(ask({.metered = 2}).metered == false);
  CHECK(ask({.metered = 2}).detail == "NetworkManager says so");
  CHECK(ask({.metered = 3}).metered == true);
  CHECK(ask({.metered = 4}).metered == false);
  CHECK(ask({.metered = 4}).detail == "NetworkManager guesses so");
  for (const uint32_t unknown : {0, 5}) CHECK_FALSE(ask({.metered = unknown}).metered);
  CHECK(ask({.metered = 0}).detail == "NetworkManager does not know");
  CHECK_FALSE(ask({}).metered);
  CHECK(ask({}).detail ==
        "no word from NetworkManager: Metered: not running "
        "(org.freedesktop.DBus.Error.ServiceUnknown)");
  CHECK_FALSE(ask({.answers = false, .metered = 1}, Milliseconds(50)).metered);
  CHECK_FALSE(AskMetering("unix:path=/nowhere/bus").metered);
}

TEST_CASE("no bus is an error that names its address") {
  const Result<Systemd> systemd = Systemd::Connect("unix:path=/nowhere/bus", Deadline(kAmple));
  REQUIRE_FALSE(systemd);
  CHECK(systemd.error().message == "connect to unix:path=/nowhere/bus: No such file or directory");
}

TEST_CASE("a bus that accepts and says nothing fails at the deadline") {
  TempDir dir;
  const UniqueFd listening = BindUnix(dir / "bus", SOCK_STREAM);
  REQUIRE(::listen(listening.get(), 8) == 0);

  const auto begin = std::chrono::steady_clock::now();
  const Result<Systemd> systemd = Systemd::Connect("unix:path=" + (dir / "bus"), Deadline(kShort));
  REQUIRE_FALSE(systemd);
  CHECK(systemd.error().message.ends_with("no answer within 1 s"));
  CHECK(std::chrono::steady_clock::now() - begin < Seconds(15));
}

TEST_CASE("a manager that never answers fails at the deadline of the connection") {
  FakeSystemd fake({.answers = false});
  const auto begin = std::chrono::steady_clock::now();
  Systemd systemd = Connect(fake, kShort);
  CHECK(systemd.UnitsIn("failed").error().message == "ListUnitsFiltered: no answer within 1 s");
  CHECK(systemd.StartingUnits().error().message == "ListJobs: no answer within 1 s");
  CHECK(systemd.SystemState().error().message == "SystemState: no answer within 1 s");
  CHECK(systemd.Service("containerd.service").error().message ==
        "containerd.service: ActiveState: no answer within 1 s");
  CHECK(std::chrono::steady_clock::now() - begin < Seconds(15));
}

}  // namespace
}  // namespace hostos
