// A node that took a release with an impossible time, before any version checked it.
#include <catch2/catch_test_macros.hpp>

#include "tests/held.h"
#include "tests/node/ask.h"
#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "updater/engine/record.h"
#include "updater/engine/rollback_floor.h"

namespace hostos {
namespace {

constexpr uint64_t kYear2200 =
    7'258'118'400;  // what the tests' metadata says ends a century before

TEST_CASE("a fleet whose release is from the year 2200 updates to the next good one") {
  ReleaseLine line(kYear2200);
  line.Publish("1.1.0", 5);
  const HttpServer server(line.releases().repo, "");
  const FileNode node(line.releases(), server.url());
  const RecordFile record(node / "state/record.json");
  Record stranded;
  stranded.time_floor = stranded.checked = kYear2200;
  stranded.index_floor = UINT64_MAX;
  REQUIRE(record.Save(stranded));
  REQUIRE(FileFloor(node / "state/floor").Raise(UINT64_MAX));

  const auto hostctl = [&](const char* verb) {
    const Said said = Ask(node, {verb});
    CAPTURE(said.out, said.err);
    return said.code;
  };
  CHECK(hostctl("update") == ExitCode::kStaged);
  REQUIRE(Held(node.Boot()) == Slot::B);
  CHECK(hostctl("gate") == ExitCode::kDone);
  const Record after = Held(record.Load());
  CHECK(after.time_floor == kReleaseTime + 1);
  CHECK(after.index_floor == 1);
  CHECK(FileFloor(node / "state/floor").Read() == 1u);
  line.Publish("1.2.0", 5);
  CHECK(hostctl("update") == ExitCode::kStaged);
}

}  // namespace
}  // namespace hostos
