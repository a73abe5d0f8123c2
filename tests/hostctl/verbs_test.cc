// The verbs that prove a machine and tell of it, and what all verbs have in common.
#include "updater/hostctl/verbs.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/hostctl/run_verb.h"
#include "tests/text_file.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

TEST_CASE("a key that is not used is named, and ends no update") {
  Machine machine;
  machine.config.keys = {machine.dir / "keys.d"};
  WriteText(machine.dir / "keys.d/own.pub", "no key");
  Said said = Hostctl(machine, {"status", "--json"});
  CHECK(said.code == 1);
  CHECK_THAT(Json(said)["problems"].at(0).get<std::string>(),
             StartsWith("key: " + machine.dir.path() + "/keys.d/own.pub:1: expected a public key"));
  said = Hostctl(machine, {"update"});
  CHECK(said.code == 4);
  CHECK_THAT(said.err, ContainsSubstring("a key is not used: "));
}

TEST_CASE("with --quiet a verb prints neither results nor progress, and the exit code tells all") {
  Machine machine;
  Said said = Hostctl(machine, {"update", "--quiet"});
  CHECK(said.code == 4);
  CHECK(said.out + said.err == "");
}

TEST_CASE("health exits with 10 when a required check fails") {
  Machine machine;
  CHECK(Hostctl(machine, {"health"}).code == 0);
  machine.unhealthy["1.0.0"] = "no start";
  Said said = Hostctl(machine, {"health"});
  CHECK(said.code == 10);
  CHECK_THAT(said.out, ContainsSubstring("FAILED  canary"));
  CHECK(Json(Hostctl(machine, {"health", "--json"}))["healthy"] == false);
}

TEST_CASE("verify proves the slots, skips an empty one, and exits with 7 when one differs") {
  Machine machine;
  Said said = Hostctl(machine, {"verify"});
  CHECK(said.code == 0);
  CHECK_THAT(said.out, ContainsSubstring("* A  1.0.0") && ContainsSubstring("proven") &&
                           ContainsSubstring("B  -  empty"));
  CHECK(Hostctl(machine, {"verify", "--slot", "B"}).code == 1);

  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(Hostctl(machine, {"verify", "--slot", "B"}).code == 0);
  machine.disk.content[1].reset();
  said = Hostctl(machine, {"verify", "--json"});
  CHECK(said.code == 7);
  CHECK(Json(said)["slots"][0]["proven"] == true);
  CHECK(Json(said)["slots"][1]["proven"] == false);
  CHECK(Hostctl(machine, {"verify", "--slot", "A"}).code == 0);

  SECTION("also in its boot image") {
    machine.boot.images.begin()->second = Digest();
    said = Hostctl(machine, {"verify", "--slot", "A"});
    CHECK(said.code == 7);
    CHECK_THAT(said.out, ContainsSubstring("boot image: expected SHA-256"));
  }
}

TEST_CASE("status tells the last verification of a slot until the slot is written again") {
  Machine machine;
  const auto verified = [&](size_t slot) {
    return Json(Hostctl(machine, {"status", "--json"}))["slots"][slot]["verified"];
  };
  CHECK(verified(0).is_null());
  CHECK(Hostctl(machine, {"verify", "--slot", "A"}).code == 0);
  CHECK(verified(0)["proven"] == true);

  CHECK(Hostctl(machine, {"update"}).code == 4);
  machine.Boot();
  machine.disk.content[0].reset();
  CHECK(Hostctl(machine, {"verify"}).code == 7);
  CHECK(verified(0)["proven"] == false);
  CHECK(verified(1)["proven"] == true);
  CHECK(Hostctl(machine, {"status"}).code == 7);

  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  machine.disk.spoil_next_write = true;
  CHECK(Hostctl(machine, {"update"}).code == 7);
  CHECK(verified(0).is_null());
  CHECK_FALSE(ReadFile(machine.dir / "state/verified-a.json"));
  CHECK(verified(1)["proven"] == true);
}

TEST_CASE("a verb that changes something leaves metrics that say so, for anybody to read") {
  Machine machine;
  const std::string file = machine.dir / "run/metrics.prom";
  const auto says = [&](const std::string& line) {
    return ReadFile(file).value_or("").contains("\n" + line + "\n");
  };
  CHECK(Hostctl(machine, {"status"}).code == 0);
  CHECK_FALSE(ReadFile(file));

  const mode_t mask = ::umask(0077);
  CHECK(Hostctl(machine, {"verify"}).code == 0);
  ::umask(mask);
  CHECK(says("hostos_verify_ok{slot=\"A\"} 1"));
  struct stat status;
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);

  machine.disk.spoil_next_write = true;
  CHECK(Hostctl(machine, {"update"}).code == 7);
  CHECK(says("hostos_update_phase{phase=\"prove\"} 1"));
  CHECK(Hostctl(machine, {"update"}).code == 4);
  CHECK(says("hostos_update_phase{phase=\"armed\"} 1"));
  CHECK(says("hostos_update_network_bytes{in=\"other\"} 2000"));
  REQUIRE(machine.boot.Boot() == Slot::B);
  CHECK(Hostctl(machine, {"gate"}).code == 0);
  CHECK(says("hostos_update_phase{phase=\"armed\"} 0"));
  CHECK(says("hostos_update_last_outcome{outcome=\"committed\"} 1"));
  CHECK(says("hostos_index_floor 2"));
}

TEST_CASE("status goes on without a readable record, and says so") {
  Machine machine;
  REQUIRE(WriteFileAtomically(machine.dir / "state/record.json", "{"));
  Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 1);
  CHECK_THAT(said.out, ContainsSubstring("HostOS 1.0.0") && ContainsSubstring("degraded") &&
                           ContainsSubstring("record.json"));
  CHECK(Json(Hostctl(machine, {"status", "--json"}))["problems"].size() == 1);
  CHECK(Hostctl(machine, {"history"}).code == 1);
}

TEST_CASE("a kept commit that cannot be read is a problem of status, and of no other verb") {
  Machine machine;
  const Digest commit = machine.source.Resolve("1.0.0", 0)->release.commit;
  const std::string file = machine.dir / "state/commits/" + commit.Hex() + ".commit";
  REQUIRE(RemoveFileDurably(file + "meta"));
  const Said said = Hostctl(machine, {"status"});
  CHECK(said.code == 1);
  CHECK_THAT(said.out, ContainsSubstring("HostOS 1.0.0") && ContainsSubstring("Problem") &&
                           ContainsSubstring(file + "meta"));
  CHECK(Json(Hostctl(machine, {"status", "--json"}))["problems"].size() == 1);
  CHECK(Hostctl(machine, {"verify", "--slot", "A"}).code == 7);
  CHECK(Hostctl(machine, {"update"}).code == 4);
  REQUIRE(machine.boot.Boot() == Slot::B);
  CHECK_THAT(Hostctl(machine, {"gate"}).err, StartsWith("1.1.0 is healthy"));
  CHECK(Hostctl(machine, {"rollback"}).code == 4);
}

TEST_CASE("with a broken configuration only status and the gate go on") {
  Machine machine;
  const Error problem{Code::kUsage, "/etc/hostctl/hostctl.toml:3: unknown key windw"};
  Said said = Hostctl(machine, {"status"}, &problem);
  CHECK(said.code == 2);
  CHECK_THAT(said.out, ContainsSubstring("hostctl.toml:3: unknown key windw"));
  said = Hostctl(machine, {"update"}, &problem);
  CHECK(said.code == 2);
  CHECK_THAT(said.err, StartsWith("hostctl: /etc/hostctl/hostctl.toml:3: unknown key windw\n"));
  CHECK(Hostctl(machine, {"gate"}, &problem).code == 0);  // no trial: nothing to decide
}

TEST_CASE("plain HTTP is a source only where the configuration says so") {
  Machine machine;
  machine.config.url = "http://me:s3cret@releases.test/repo";
  const auto run = [&] {
    const Result<Invocation> invocation =
        ParseCommandLine(std::vector<const char*>{"update", "--check"});
    std::ostringstream out, err;
    Console console{.out = out, .err = err};
    const ExitCode code = RunVerb(*invocation, machine.world, machine.config, nullptr, console);
    return std::pair(code, err.str());
  };
  CHECK(run().first == ExitCode::kUsage);
  CHECK_THAT(run().second,
             StartsWith("hostctl: [source] url: expected https://, found http://***@"));
  CHECK(machine.source.resolved_at == 0);
  machine.config.allow_http = true;
  machine.config.token_file = "/etc/hostctl/token";
  CHECK(run().first == ExitCode::kUsage);
  CHECK_THAT(run().second, StartsWith("hostctl: [source] url: expected https:// for a token, found "
                                      "http://***@releases.test/repo"));
  CHECK(machine.source.resolved_at == 0);
  machine.config.token_file = "";
  CHECK(run().first == ExitCode::kDone);
}

TEST_CASE("a machine that is no HostOS is said to be none, with 11, by every verb that needs one") {
  class NoHostOs : public FakeBootControl {
   public:
    using FakeBootControl::FakeBootControl;
    Result<BootState> Read() override {
      return Fail(Code::kNotSupported, "/: expected a dm-verity device under it, found none");
    }
  };
  Machine machine;
  NoHostOs boot(machine.source.Resolve("1.0.0", 0)->release);
  World world{machine.source,       machine.disk,        boot,
              machine.world.health, machine.world.power, machine.clock,
              machine.black_box,    machine.floor,       machine.state};
  machine.config.url = "https://releases.test/repo";
  for (const char* verb : {"status", "update", "rollback", "verify", "gate"}) {
    Result<Invocation> invocation = ParseCommandLine(std::vector<const char*>{verb});
    std::ostringstream out, err;
    Console console{.out = out, .err = err};
    CHECK(RunVerb(*invocation, world, machine.config, nullptr, console) == ExitCode::kNotSupported);
    CHECK_THAT(err.str(), StartsWith("hostctl: not a HostOS system: /: expected a dm-verity"));
    CHECK(out.str() == "");
  }
}

}  // namespace

}  // namespace hostos
