#include "updater/engine/record.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/engine/fill.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

using namespace hostos;

namespace {

Record Full() {
  Record record;
  record.floor = 1'700'000'000;
  record.checked = 1'700'000'500;
  record.update = UpdateRecord{.phase = Phase::kTrial,
                               .target = {"1.2.0", Fill(1), Fill(2)},
                               .slot = Slot::B,
                               .from = {"1.1.0", Fill(3), Fill(4)},
                               .timestamp = 1'700'000'100,
                               .started = 1'700'000'200,
                               .armed_boot_id = "boot-1",
                               .attempts = {{"boot-2", 1'700'000'300}},
                               .before = {"required/10-dns"},
                               .recount = true,
                               .failure = "containerd: not serving",
                               .failure_output = "line 1\nline 2"};
  record.AddHistory(
      {Outcome::kFellBack, 7, {"1.0.5", Fill(5), Fill(6)}, "1.0.0", Slot::A, 3, "canary", "out"});
  record.denied.push_back({{"1.0.5", Fill(5), Fill(6)}, 7, "canary", 3});
  record.selftest = SelfTest{SelfTestState::kFailed, "1.1.0", 8, "boot-1", 2, "does not count"};
  return record;
}

}  // namespace

TEST_CASE("a record comes back from its file as it was") {
  TempDir dir;
  RecordFile file(dir / "record.json");
  REQUIRE(file.Save(Full()));
  Record record = file.Load().value();
  CHECK(ToJson(record) == ToJson(Full()));
  REQUIRE(record.update);
  CHECK(record.update->phase == Phase::kTrial);
  CHECK(record.update->target.root_hash == Fill(2));
  CHECK(record.update->attempts.at(0).boot_id == "boot-2");
  CHECK(record.update->before.at(0) == "required/10-dns");
  CHECK(record.update->recount);
  CHECK(record.update->failure_output == "line 1\nline 2");
  CHECK(record.FindDenied(Fill(5))->boots == 3);
  CHECK(record.selftest->state == SelfTestState::kFailed);
  CHECK(record.selftest->boots == 2);
  CHECK(record.selftest->reason == "does not count");
  CHECK_FALSE(record.FindDenied(Fill(1)));
}

TEST_CASE("no file is an empty record, an unreadable one is an error that names it") {
  TempDir dir;
  RecordFile file(dir / "record.json");
  CHECK_FALSE(file.Load().value().update);
  REQUIRE(WriteFileAtomically(file.path(), "{\"format\": 1, "));
  CHECK(file.Load().error().message.contains("record.json: not a JSON document"));
}

TEST_CASE("a record of a newer format is not guessed at") {
  Result<Record> record = RecordFromJson(R"({"format": 2, "floor": "changed"})");
  CHECK(record.error().code == Code::kNotSupported);
}

TEST_CASE("a record with a missing, ill-typed or unknown value says which") {
  std::string text = ToJson(Full());
  auto broken = [&](std::string_view from, std::string_view to) {
    std::string copy = text;
    copy.replace(copy.find(from), from.size(), to);
    Result<Record> record = RecordFromJson(copy);
    REQUIRE_FALSE(record);
    return record.error().message;
  };
  CHECK(broken("\"floor\": 1700000000", "\"floor\": -1").contains("floor: a whole number"));
  CHECK(broken("\"trial\"", "\"dancing\"").contains("update.phase: one of the known names"));
  CHECK(broken(Fill(2).Hex(), "00").contains("update.target.root_hash: 64 hexadecimal digits"));
  CHECK(broken("\"boots\": 3", "\"bots\": 3").contains("denied[].boots: a whole number"));
  CHECK(broken("\"failed\"", "\"none\"").contains("selftest.state: one of the known names"));
  CHECK(RecordFromJson("[]").error().message.contains("an object"));
}

TEST_CASE("output of a check that is not UTF-8 does not spoil the record") {
  Record record = Full();
  record.update->failure_output = "bad \xff\xfe bytes";
  CHECK(RecordFromJson(ToJson(record)));
}

TEST_CASE("the history is bounded and keeps the newest") {
  Record record;
  for (uint32_t i = 0; i < Record::kHistoryLimit + 5; i++)
    record.AddHistory({Outcome::kCommitted, i, {}, "", Slot::A, 0, "", ""});
  CHECK(record.history.size() == Record::kHistoryLimit);
  CHECK(record.history.back().time == Record::kHistoryLimit + 4);
}

TEST_CASE("an event that cannot happen in a phase is refused") {
  CHECK(NextPhase(Phase::kFetch, Event::kFetched).value() == Phase::kWrite);
  CHECK_FALSE(NextPhase(Phase::kFetch, Event::kArmed));
  CHECK_FALSE(NextPhase(Phase::kWrite, Event::kProven));
}
