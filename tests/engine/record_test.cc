#include "updater/engine/record.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "tests/engine/fill.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

using namespace hostos;

namespace {

Record Full() {
  Record record;
  record.time_floor = 1'700'000'000;
  record.checked = 1'700'000'500;
  record.update = UpdateRecord{.phase = Phase::kTrial,
                               .target = {"1.2.0", Fill(1), Fill(2)},
                               .slot = Slot::B,
                               .from = {"1.1.0", Fill(3), Fill(4)},
                               .timestamp = 1'700'000'100,
                               .started = 1'700'000'200,
                               .armed_boot_id = "boot-1",
                               .attempts = {{"boot-2", 1'700'000'300}},
                               .failed_before = {"required/10-dns"},
                               .was_good = true,
                               .failure = "containerd: not serving",
                               .failure_output = "line 1\nline 2",
                               .traffic = Traffic{5'000'000'000, 40, 4'000'000'000, 2}};
  record.AddHistory({Outcome::kFellBack,
                     7,
                     {"1.0.5", Fill(5), Fill(6)},
                     "1.0.0",
                     Slot::A,
                     3,
                     "canary",
                     "out",
                     Traffic{7, 1, 0, 0}});
  record.denied.push_back({{"1.0.5", Fill(5), Fill(6)}, 7, "canary", 3});
  record.known = {"units", "units/a.service"};
  record.signatures = SignatureRule{SignaturePolicy::kPq, 3};
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
  CHECK(record.update->failed_before.at(0) == "required/10-dns");
  CHECK(record.update->was_good);
  CHECK(record.update->failure_output == "line 1\nline 2");
  CHECK(record.update->traffic == Traffic{5'000'000'000, 40, 4'000'000'000, 2});
  CHECK(record.history.at(0).traffic == Traffic{7, 1, 0, 0});
  CHECK(record.FindDenied(Fill(5), Fill(6))->boots == 3);
  CHECK(record.selftest->state == SelfTestState::kFailed);
  CHECK(record.selftest->boots == 2);
  CHECK(record.selftest->reason == "does not count");
  CHECK(record.known == std::vector<std::string>{"units", "units/a.service"});
  CHECK(record.signatures == SignatureRule{SignaturePolicy::kPq, 3});
  CHECK_FALSE(record.FindDenied(Fill(1), Fill(6)));
}

TEST_CASE("a record of a version that knew no failing units has none") {
  const std::string text =
      R"({"format": 1, "floor": 0, "index": 0, "checked": 0, "history": [], "denied": []})";
  CHECK(RecordFromJson(text).value().known.empty());
}

TEST_CASE("a record of a version that did not count what it moved is read, and tells no numbers") {
  nlohmann::json old = nlohmann::json::parse(ToJson(Full()));
  old["update"].erase("traffic");
  old["history"][0].erase("traffic");
  const Record record = RecordFromJson(old.dump()).value();
  REQUIRE(record.update);
  CHECK(record.update->failure == "containerd: not serving");
  CHECK_FALSE(record.update->traffic);
  REQUIRE(record.history.size() == 1);
  CHECK_FALSE(record.history[0].traffic);
}

TEST_CASE("no file is an empty record, an unreadable one is an error that names it") {
  TempDir dir;
  RecordFile file(dir / "record.json");
  CHECK_FALSE(file.Load().value().update);
  REQUIRE(WriteFileAtomically(file.path(), "{\"format\": 1, "));
  CHECK(file.Load().error().message.contains("record.json: not a JSON document"));
}

TEST_CASE("of a record of a newer format what is understood counts, and nothing is guessed") {
  const Digest commit = Fill(5);
  const Record record = RecordFromJson(std::format(R"({{
      "format": 2, "floor": "changed", "index": 9, "colour": [1],
      "update": {{"phase": "fetch", "slot": "B", "target": {{}}, "from": {{}}, "index": "nine"}},
      "history": [{{"outcome": "painted"}}, {{"outcome": "committed", "release": {{}}, "by": 1}}, 7],
      "denied": [{{"release": {{"commit": "{}", "version": 1}}, "reason": [], "time": "now"}},
                 {{"release": {{"commit": "another kind of digest"}}}}, {{}}]}})",
                                                   commit.Hex()))
                            .value();
  CHECK(record.time_floor == 0);
  CHECK(record.index_floor == 9);
  CHECK_FALSE(record.update);
  CHECK(record.update_lost);
  CHECK(record.history.size() == 1);
  REQUIRE(record.denied.size() == 1);
  CHECK(record.FindDenied(commit, {}));
  CHECK_FALSE(RecordFromJson(R"({"format": 2, "update": null})")->update_lost);
}

TEST_CASE("a field that is absent reads as empty, one that nobody knows is left out") {
  const Record record = RecordFromJson(R"({"format": 1, "colour": "red"})").value();
  CHECK(record.time_floor == 0);
  CHECK_FALSE(record.update_lost);
  CHECK_FALSE(ToJson(record).contains("colour"));
}

TEST_CASE("of a record that breaks off anywhere, each whole denial is found") {
  Record full = Full();
  full.denied.push_back({{"1.0.6", Fill(7), Fill(8)}, 9, "a \"quoted\" reason {[", 1});
  const std::string text = ToJson(full);
  const size_t list = text.find("\"denied\"");
  size_t found = 0;
  for (size_t size = 0; size <= text.size(); size++) {
    const Record record = SalvageRecord(text.substr(0, size));
    REQUIRE(record.denied.size() >= found);
    found = record.denied.size();
    if (size <= list) REQUIRE(found == 0);
  }
  CHECK(found == 2);
  const Record whole = SalvageRecord(text + "}}}");
  CHECK(whole.FindDenied(Fill(7), {})->reason == "a \"quoted\" reason {[");
  CHECK(whole.history.size() == 1);
  CHECK(whole.update_lost);
  CHECK_FALSE(whole.update);
}

TEST_CASE("a record with an ill-typed value says which, and is salvaged all the same") {
  std::string text = ToJson(Full());
  auto broken = [&](std::string_view from, std::string_view to) {
    std::string copy = text;
    copy.replace(copy.find(from), from.size(), to);
    Result<Record> record = RecordFromJson(copy);
    REQUIRE_FALSE(record);
    return record.error().message;
  };
  CHECK(broken("\"floor\": 1700000000", "\"floor\": -1").contains("floor: a whole number"));
  CHECK(broken(Fill(2).Hex(), "00").contains("update.target.root_hash: 64 hexadecimal digits"));
  CHECK(broken("\"boots\": 3", "\"boots\": \"3\"").contains("denied[].boots: a whole number"));
  CHECK(RecordFromJson("[]").error().message.contains("an object"));
  CHECK(RecordFromJson("{}").error().message.contains("format"));
  text.replace(text.find("\"boots\": 3"), 10, "\"boots\": \"3\"");
  CHECK(SalvageRecord(text).FindDenied(Fill(5), {}));
}

TEST_CASE("a value that only a later version knows drops what cannot go without it") {
  std::string text = ToJson(Full());
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string copy = text;
    return RecordFromJson(copy.replace(copy.find(from), from.size(), to)).value();
  };
  CHECK_FALSE(changed("\"trial\"", "\"dancing\"").update);
  CHECK(changed("\"trial\"", "\"dancing\"").update_lost);
  CHECK_FALSE(changed("\"failed\"", "\"none\"").selftest);
  CHECK(changed("\"fell-back\"", "\"fell-over\"").history.empty());
  CHECK(changed("\"fell-back\"", "\"fell-over\"").denied.size() == 1);
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
