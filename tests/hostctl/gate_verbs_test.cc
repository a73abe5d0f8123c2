// What the gate and the rescue decide and log, and what status tells of it.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "bootctl/entry_name.h"
#include "tests/hostctl/run_verb.h"
#include "tests/scenario/full_disk.h"
#include "updater/base/atomic_file.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

TEST_CASE(
    "a release that fell back is refused with 12, told by status with 5, and retried on demand") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "did not start within 30 s";
  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(machine.Boot() == "1.0.0");

  Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 5);
  CHECK_THAT(said.out, ContainsSubstring("fell back") &&
                           ContainsSubstring("canary: did not start within 30 s"));
  CHECK_THAT(Hostctl(machine, {"status", "--why"}).out, ContainsSubstring("output of 1.1.0"));

  said = Hostctl(machine, {"update"});
  CHECK(said.code == 12);
  CHECK(said.out == "");
  CHECK_THAT(said.err, ContainsSubstring("hostctl: 1.1.0") &&
                           ContainsSubstring("\nNothing was changed.\n") &&
                           ContainsSubstring("hostctl update --retry"));
  CHECK(Hostctl(machine, {"update", "--check"}).code == 12);
  said = Hostctl(machine, {"update", "--check", "--json"});
  CHECK(said.code == 12);
  CHECK(Json(said)["result"] == "refused");

  machine.unhealthy.clear();
  CHECK(Hostctl(machine, {"update", "--retry"}).code == 4);
  CHECK(machine.Boot() == "1.1.0");
  said = Hostctl(machine, {"history"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out,
             ContainsSubstring("committed    1.1.0") && ContainsSubstring("fell back    1.1.0"));
  CHECK(Json(Hostctl(machine, {"history", "--json"}))["history"].size() == 2);
}

TEST_CASE("a release that never reached its gate is told so, with its boots") {
  Machine machine;
  machine.BreakRoot("1.1.0");
  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(machine.Boot() == "1.0.0");
  CHECK_THAT(Hostctl(machine, {"status", "--why"}).out,
             ContainsSubstring("did not reach its health gate in 3 boots"));
}

TEST_CASE("what fails in the gate and decides nothing is logged, and fails no unit") {
  Machine machine;
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  {
    const FullDisk full;
    const Said said = Hostctl(machine, {"gate"});
    CHECK(said.code == 0);
    CHECK_THAT(said.err, ContainsSubstring("this decides nothing") &&
                             ContainsSubstring("record.json") &&
                             ContainsSubstring("1.1.0 is healthy"));
  }
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.state.record().Load()->history.size() == 1);
}

TEST_CASE("the rescue says what it cannot use, and goes on") {
  Machine machine;
  BootEntry entry{.file = std::string(kRescueFile), .size = 1 << 20};
  entry.sort_key = "hostos-rescue";
  machine.boot.entries.push_back(entry);
  REQUIRE(machine.Recount().value());
  machine.BreakRoot("1.0.0");
  REQUIRE_FALSE(machine.boot.Boot());
  machine.boot.rescued = Slot::A;
  REQUIRE(WriteFileAtomically(machine.dir / "state/record.json", "{"));
  const Digest commit = machine.source.Resolve("1.0.0", 0)->release.commit;
  const std::string file = machine.dir / "state/commits/" + commit.Hex() + ".commit";
  REQUIRE(WriteFileAtomically(file, "other bytes"));
  const Said said = Hostctl(machine, {"rescue"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, StartsWith("Neither slot has tries left"));
  CHECK_THAT(said.err, ContainsSubstring("going on without record: ") &&
                           ContainsSubstring("going on without " + file) &&
                           ContainsSubstring("written again with 1.0.0"));
  machine.boot.broken.clear();
  CHECK(machine.Boot() == "1.0.0");
}

TEST_CASE("status and the log of the gate tell a disk with the same partitions") {
  Machine machine;
  machine.boot.twins = {"sda"};
  const Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 1);
  CHECK_THAT(said.out,
             ContainsSubstring("Problem  disk sda: ") && ContainsSubstring("Detach or erase sda"));
  CHECK_THAT(Hostctl(machine, {"gate"}).err, ContainsSubstring("disk sda: "));
}

TEST_CASE("a trial that cannot read its configuration fails with that as the reason") {
  Machine machine;
  const Error problem{Code::kUsage, "/etc/hostctl/hostctl.toml:3: unknown key windw"};
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  Said said = Hostctl(machine, {"gate"}, &problem);
  CHECK(said.code == 10);
  CHECK_THAT(said.err, ContainsSubstring("1.1.0 is not healthy: config: ") &&
                           ContainsSubstring("hostctl.toml:3: unknown key windw") &&
                           ContainsSubstring("rebooting into the other slot"));
  CHECK(machine.Boot() == "1.0.0");
  CHECK_THAT(machine.ReadStatus().fallback.value().reason, ContainsSubstring("unknown key windw"));
}

TEST_CASE("boot selftest waits for a reboot, and status tells its outcome") {
  Machine machine;
  Said said = Hostctl(machine, {"boot", "selftest"});
  CHECK(said.code == 4);
  CHECK_THAT(said.out, StartsWith("The next 3 boots test the loader: reboot"));
  CHECK(Hostctl(machine, {"update"}).code == 6);
  CHECK(Hostctl(machine, {"boot", "selftest", "--cancel"}).code == 0);
  CHECK(machine.boot.Read()->selftest.empty());

  machine.boot.loader_counts = false;
  said = Hostctl(machine, {"boot", "selftest", "--reboot"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("Rebooting now."));
  machine.Boot();
  said = Hostctl(machine, {"status"});
  CHECK(said.code == 10);
  CHECK_THAT(said.out, ContainsSubstring("\nLoader   self-test failed ") &&
                           ContainsSubstring("the loader does not count: expected "
                                             "hostos-selftest+1-1.conf, found "
                                             "hostos-selftest+2.conf\n"));

  machine.boot.loader_counts = true;
  CHECK(Hostctl(machine, {"boot", "selftest"}).code == 4);
  machine.Boot();
  said = Hostctl(machine, {"status"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("\nLoader   self-test passed "));

  machine.boot.preferences = {{"EFI variable LoaderEntryDefault", "hostos*"}};
  said = Hostctl(machine, {"boot", "selftest"});
  CHECK(said.code == 11);
  CHECK_THAT(said.err, ContainsSubstring("LoaderEntryDefault") &&
                           ContainsSubstring("\nNothing was changed.\n"));
}

TEST_CASE("the gate logs each boot of a self-test") {
  Machine machine;
  REQUIRE(machine.BeginSelfTest());
  REQUIRE(machine.boot.Boot() == Slot::A);
  Record record = machine.state.record().Load().value();
  record.selftest->boot_id = "the one before";
  REQUIRE(machine.state.record().Save(record));
  const Said said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK(said.err ==
        "self-test of the boot loader: in progress: boot 1 of 3 was as expected, rebooting\n"
        "1.0.0 is not on trial: nothing to decide\n");
}

TEST_CASE("the gate logs what became of the rescue, and decides nothing by it") {
  Machine machine;
  machine.source.BringRescue("1.1.0");
  REQUIRE(machine.Update());
  // Its root lacks what it should bring.
  machine.before_round = [&] { std::filesystem::remove(machine.world.rescue_file); };
  REQUIRE(machine.Boot() == "1.1.0");
  Said said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK_THAT(said.err, ContainsSubstring("the rescue on the ESP stays as it was") &&
                           ContainsSubstring("rescue.efi"));
  said = Hostctl(machine, {"status"});
  CHECK(said.code == 10);
  CHECK_THAT(said.out, ContainsSubstring("expected the rescue of 1.1.0 on the ESP, found none"));

  REQUIRE(WriteFileAtomically(machine.world.rescue_file, "rescue 1.1.0"));
  said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK_THAT(said.err, ContainsSubstring("the rescue on the ESP is that of 1.1.0 now"));
  CHECK(Hostctl(machine, {"status"}).code == 0);
  said = Hostctl(machine, {"verify"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("rescue  1.1.0  proven: as signed with 1.1.0"));
}

TEST_CASE("the gate logs one line per decision") {
  Machine machine;
  Said said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK(said.err == "1.0.0 is not on trial: nothing to decide\n");
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  said = Hostctl(machine, {"gate"});
  CHECK(said.code == 0);
  CHECK_THAT(said.err, StartsWith("1.1.0 is healthy, steady for 60 s: committed"));
}

}  // namespace

}  // namespace hostos
