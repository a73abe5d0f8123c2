#include "updater/engine/state_dir.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/engine/fill.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"

using namespace hostos;

namespace {

void Edit(const StateDir& state, const Digest& root_hash, const std::string& file) {
  std::string upper = state.path() + "/etc/" + root_hash.Hex().substr(0, 16) + "/upper/";
  REQUIRE(MakeDirectories(upper + std::filesystem::path(file).parent_path().string()));
  REQUIRE(WriteFileAtomically(upper + file, "edited"));
}

}  // namespace

TEST_CASE("a second lock says who holds the first, and when it is gone the next one is given") {
  TempDir dir;
  StateDir state(dir / "state", dir / "run");
  {
    Lock held = state.TryLock("hostctl update", 0).value();
    Result<Lock> second = state.TryLock("hostctl rollback", 0);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Code::kBusy);
    CHECK(second.error().message.contains(
        std::format("hostctl update, pid {}, since 1970-01-01 00:00 UTC", ::getpid())));
  }
  CHECK(state.TryLock("hostctl rollback", 0));
}

TEST_CASE("kept commits come back with their signatures, and unwanted ones are forgotten") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  CHECK(state.Commits().value().empty());
  REQUIRE(state.Keep(Fill(1), {"one", "sig one"}));
  REQUIRE(state.Keep(Fill(2), {"two", "sig two"}));
  CHECK(state.Commits().value().size() == 2);
  REQUIRE(state.ForgetExcept({Fill(2)}));
  std::vector<KeptCommit> left = state.Commits().value();
  REQUIRE(left.size() == 1);
  CHECK(left[0].commit == "two");
  CHECK(left[0].signatures == "sig two");
}

TEST_CASE("changes below /etc are listed by path") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  CHECK(state.EtcChanges(Fill(1)).value().empty());
  Edit(state, Fill(1), "ssh/sshd_config.d/10-site.conf");
  Edit(state, Fill(1), "hostname");
  CHECK(state.EtcChanges(Fill(1)).value() ==
        std::vector<std::string>{"hostname", "ssh/sshd_config.d/10-site.conf"});
}

TEST_CASE(
    "arming keeps the running release's /etc, drops stale ones, and leaves word for the next") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  const Digest running = Fill(1), target = Fill(2), gone = Fill(3);
  for (const Digest& release : {running, target, gone}) Edit(state, release, "hostname");
  REQUIRE(state.PrepareEtc(running, target));
  CHECK(state.EtcChanges(running).value().size() == 1);
  CHECK(state.EtcChanges(target).value().empty());
  CHECK(state.EtcChanges(gone).value().empty());
  CHECK(ReadFile(dir / "etc/next-from").value() == running.Hex().substr(0, 16) + "\n");
}
