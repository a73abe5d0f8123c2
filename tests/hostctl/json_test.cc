#include "updater/hostctl/json.h"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/hostctl/samples.h"

namespace hostos {
namespace {

using nlohmann::json;

json Parsed(const std::string& text) {
  json parsed = json::parse(text, nullptr, false);
  REQUIRE(parsed.is_object());
  CHECK(parsed["format"] == 1);
  CHECK(text.ends_with("}\n"));
  return parsed;
}

std::set<std::string> Keys(const json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

const std::set<std::string> kRelease = {
    "version",      "commit",       "root_hash",    "architecture", "channel",
    "released",     "seal_format",  "image_bytes",  "uki_bytes",    "uki_sha256",
    "verity_bytes", "rescue_bytes", "rescue_sha256"};
const std::set<std::string> kId = {"version", "commit", "root_hash"};
const std::set<std::string> kHistory = {"outcome", "time",   "release", "slot",    "from",
                                        "boots",   "reason", "output",  "traffic", "post_mortem"};
const std::set<std::string> kTraffic = {"bytes", "requests", "pack_bytes", "pack_requests"};
const std::set<std::string> kCheck = {"name",   "required", "ok",    "environment",
                                      "detail", "output",   "parts", "milliseconds"};

TEST_CASE("status as JSON has exactly the documented fields, and whole digests") {
  StatusView view = SampleFallback();
  view.status.known = {"units/old.service"};
  view.status.traffic = view.status.fallback->traffic = Traffic{41'200'000, 9, 40'000'000, 1};
  const json status = Parsed(StatusJson(view));
  CHECK(Keys(status) == std::set<std::string>{
                            "format",     "version",       "channel", "architecture", "running",
                            "boots_next", "reboot_needed", "slots",   "update",       "busy",
                            "fallback",   "degraded",      "denied",  "known",        "traffic",
                            "checked",    "selftest",      "rescue",  "support",      "problems"});
  CHECK(status["support"] == json{{"preview", false}, {"ends", nullptr}, {"over", false}});
  CHECK(status["known"] == json::array({"units/old.service"}));
  CHECK(Keys(status["traffic"]) == kTraffic);
  CHECK(status["traffic"]["bytes"] == 41'200'000);
  CHECK(status["traffic"]["pack_requests"] == 1);
  CHECK(status["fallback"]["traffic"] == status["traffic"]);
  CHECK(status["version"] == "1.1.0");
  CHECK(status["running"] == "B");
  CHECK(status["boots_next"] == "B");
  CHECK(status["reboot_needed"] == false);
  CHECK(status["update"].is_null());
  CHECK(status["busy"].is_null());
  CHECK(status["checked"] == "2026-11-21T01:48:00Z");
  CHECK(status["problems"] == json::array());

  REQUIRE(status["slots"].size() == 2);
  const json& slot = status["slots"][0];
  CHECK(Keys(slot) == std::set<std::string>{"slot", "state", "running", "boots_next", "root_hash",
                                            "release", "tries", "blessed_at", "reason",
                                            "verified"});
  CHECK(slot["slot"] == "A");
  CHECK(slot["state"] == "bad");
  CHECK(slot["tries"] == json{{"left", 0}, {"done", 1}});
  CHECK(slot["reason"] == "canary: did not start within 30 s");
  CHECK(Keys(slot["release"]) == kRelease);
  CHECK(slot["release"]["commit"] == SampleDigest("commit 1.2.0").Hex());
  CHECK(slot["root_hash"] == SampleDigest("root 1.2.0").Hex());
  CHECK(slot["release"]["released"] == "2026-11-20T00:00:00Z");
  CHECK(status["slots"][1]["tries"].is_null());

  CHECK(Keys(status["fallback"]) == kHistory);
  CHECK(status["fallback"]["outcome"] == "fell-back");
  CHECK(status["fallback"]["boots"] == 1);
  CHECK(Keys(status["fallback"]["release"]) == kId);
  REQUIRE(status["denied"].size() == 1);
  CHECK(Keys(status["denied"][0]) ==
        std::set<std::string>{"release", "time", "boots", "reason", "output", "post_mortem"});
  CHECK(status["denied"][0]["output"] == "runc: exec format error\nexit code 1");
  const json& post_mortem = status["denied"][0]["post_mortem"];
  CHECK(post_mortem == status["fallback"]["post_mortem"]);
  CHECK(Keys(post_mortem) ==
        std::set<std::string>{"phase", "check", "cause", "watchdog", "kernel", "checks", "boots"});
  CHECK(post_mortem["phase"] == "health gate");
  CHECK(post_mortem["check"] == "canary");
  CHECK(post_mortem["kernel"].is_null());
  CHECK(Keys(post_mortem["checks"][0]) == kCheck);
  CHECK(Keys(post_mortem["boots"][0]) ==
        std::set<std::string>{"boot_id", "begun", "ended", "in_order", "log"});
}

TEST_CASE("the last verification of a slot as JSON says when it was, and what it found") {
  StatusView view = SampleStatus();
  CHECK(Parsed(StatusJson(view))["slots"][0]["verified"].is_null());
  view.status.slots[0].verified = Verification{.time = kNow};
  view.status.slots[1].verified = Verification{.time = kNow, .problem = "block 12 differs"};
  const json slots = Parsed(StatusJson(view))["slots"];
  CHECK(slots[0]["verified"] ==
        json{{"time", "2026-11-21T01:50:00Z"}, {"proven", true}, {"problem", nullptr}});
  CHECK(slots[1]["verified"] ==
        json{{"time", "2026-11-21T01:50:00Z"}, {"proven", false}, {"problem", "block 12 differs"}});
}

TEST_CASE("a self-test as JSON says its state, release, boots and reason") {
  StatusView view = SampleStatus();
  CHECK(Parsed(StatusJson(view))["selftest"].is_null());
  view.status.selftest = SampleSelfTest();
  CHECK(Parsed(StatusJson(view))["selftest"] == json{{"state", "failed"},
                                                     {"version", "1.1.0"},
                                                     {"time", "2026-11-21T01:50:00Z"},
                                                     {"boots", 1},
                                                     {"reason", "boot 1 of 3: it does not count"}});
  view.status.selftest = SelfTest{.version = "1.1.0", .time = kNow};
  CHECK(Parsed(StatusJson(view))["selftest"]["state"] == "running");
  CHECK(Parsed(StatusJson(view))["selftest"]["reason"].is_null());
}

TEST_CASE("an update in progress as JSON says its phase, target, origin and attempts") {
  StatusView view = SampleStatus();
  view.status.update = SampleUpdate(Phase::kTrial);
  view.status.update->attempts = {{"boot-1", kNow}};
  const json update = Parsed(StatusJson(view))["update"];
  CHECK(Keys(update) == std::set<std::string>{"phase", "slot", "target", "from", "started",
                                              "attempts", "recount", "failed_before", "failure",
                                              "output", "traffic"});
  CHECK(update["traffic"].is_null());
  CHECK(update["phase"] == "trial");
  CHECK(update["target"]["version"] == "1.3.0");
  CHECK(update["from"]["commit"] == SampleDigest("commit 1.1.0").Hex());
  CHECK(update["attempts"] == json{{{"boot_id", "boot-1"}, {"time", "2026-11-21T01:50:00Z"}}});
  CHECK(update["failure"].is_null());
}

TEST_CASE("what is absent is null in JSON, not empty") {
  StatusView view{.now = kNow};
  const json status = Parsed(StatusJson(view));
  for (const char* key : {"version", "channel", "running", "boots_next", "fallback", "checked"}) {
    CAPTURE(key);
    CHECK(status[key].is_null());
  }
  CHECK(status["slots"][0]["root_hash"].is_null());
  CHECK(status["slots"][0]["release"].is_null());
}

TEST_CASE("check and plan as JSON have the same head, and the plan lists everything") {
  const json check = Parsed(CheckJson(SamplePlan().check));
  CHECK(Keys(check) == std::set<std::string>{"format", "result", "message", "running", "release",
                                             "index", "signatures"});
  CHECK(check["result"] == "available");
  CHECK(check["index"] == 14);
  CHECK(check["signatures"] == json{{"valid", 2}, {"required", 2}});

  const json plan = Parsed(PlanJson(SamplePlan()));
  CHECK(plan["release"] == check["release"]);
  CHECK(plan["tries"] == 3);
  CHECK(plan["rate_limit"].is_null());
  CHECK(plan["network"].is_null());
  CHECK(plan["refused"] == false);
  CHECK(plan["failing"] == json::array());
  CHECK(plan["health"] == json{{"window_seconds", 60}, {"deadline_seconds", 300}});
  CHECK(Keys(plan["plan"]) == std::set<std::string>{"slot", "objects", "download_bytes",
                                                    "delta_pack", "unpacked_bytes", "reused_bytes",
                                                    "esp", "rescue", "state", "packages", "cves",
                                                    "etc_changes"});
  CHECK(plan["plan"]["state"] == json{{"needed_bytes", 143'800'000},
                                      {"free_bytes", 3'100'000'000},
                                      {"needed_inodes", 2412},
                                      {"free_inodes", 120'000}});
  CHECK(plan["plan"]["esp"] == json{{"free_bytes", 445'000'000}, {"size_bytes", 478'000'000}});
  CHECK(plan["plan"]["packages"].size() == 3);
  CHECK(plan["plan"]["packages"][1] == json{{"name", "nano"}, {"from", nullptr}, {"to", "8.4"}});
  CHECK(plan["plan"]["cves"] == json{{"problem", nullptr},
                                     {"fixed",
                                      {{{"source", "linux"},
                                        {"from", "6.12.107-1"},
                                        {"to", "6.12.117-1"},
                                        {"urgency", "high"},
                                        {"cves", {"CVE-2026-99272", "CVE-2026-9000"}}}}},
                                     {"back", json::array()},
                                     {"incomplete", json::array()}});
  PlanView unknown = SamplePlan();
  unknown.plan->cves = Fail(Code::kNetwork, "HTTP 503");
  CHECK(Parsed(PlanJson(unknown))["plan"]["cves"]["problem"] == "HTTP 503");
  CHECK(plan["plan"]["etc_changes"] == json{"hostname", "ssh/sshd_config.d/10-site.conf"});
}

TEST_CASE("nothing to do and refused are results in JSON, with their message") {
  PlanView view;
  view.check = {
      .finding = Finding::kRefused, .message = "1.2.0 was given up here", .running = "1.1.0"};
  const json plan = Parsed(PlanJson(view));
  CHECK(plan["result"] == "refused");
  CHECK(plan["message"] == "1.2.0 was given up here");
  CHECK(plan["plan"].is_null());
  CHECK(plan["release"].is_null());
  CHECK(plan["index"].is_null());
  view.check.finding = Finding::kNothingToDo;
  CHECK(Parsed(CheckJson(view.check))["result"] == "nothing-to-do");
  view.check.finding = Finding::kStaged;
  CHECK(Parsed(CheckJson(view.check))["result"] == "staged");
}

TEST_CASE("health, history and verify as JSON carry what their texts do") {
  const json health = Parsed(HealthJson(HealthView{{{.name = "canary",
                                                     .ok = false,
                                                     .detail = "no start",
                                                     .output = "a\xff",
                                                     .took = Milliseconds(5)}}}));
  CHECK(health["healthy"] == false);
  CHECK(Keys(health["checks"][0]) == kCheck);
  CHECK(health["checks"][0]["output"] == "a\xEF\xBF\xBD");

  const json history =
      Parsed(HistoryJson({SampleFallback().history, SampleFallback().post_mortems}));
  REQUIRE(history["history"].size() == 1);
  CHECK(Keys(history["history"][0]) == kHistory);

  VerifyView view;
  view.slots.push_back(
      {{.slot = Slot::A, .release = SampleRelease("1.1.0"), .proven = true}, true});
  view.slots.push_back({{.slot = Slot::B, .problem = "the slot holds no release"}, false, true});
  const json verify = Parsed(VerifyJson(view));
  CHECK(Keys(verify["slots"][0]) ==
        std::set<std::string>{"slot", "running", "empty", "proven", "release", "problem"});
  CHECK(verify["slots"][0]["proven"] == true);
  CHECK(verify["slots"][0]["problem"].is_null());
  CHECK(verify["slots"][1]["empty"] == true);
  CHECK(verify["rescue"].is_null());
  CHECK(verify["boot"].is_null());
  view.boot = {.unsigned_items = {{"loader/addons/a.addon.efi", "kernel parameters"}}};
  CHECK(
      Parsed(VerifyJson(view))["boot"] ==
      json{{"problem", nullptr},
           {"unsigned", {{{"what", "loader/addons/a.addon.efi"}, {"can", "kernel parameters"}}}}});
}

TEST_CASE("the end of support is in status as JSON") {
  StatusView status = SampleStatus();
  status.status.support = {.preview = true, .ends = status.now};
  CHECK(Parsed(StatusJson(status))["support"] ==
        json{{"preview", true}, {"ends", FormatTimeIso(status.now)}, {"over", true}});
}

TEST_CASE("the rescue is in status, plan and verify as JSON") {
  StatusView status = SampleStatus();
  status.status.rescue = {.file = "hostos-rescue.efi", .version = "1.0.0", .problem = "too old"};
  status.status.slots[1].release->rescue = RescueImage{SampleDigest("rescue"), 45'000'000};
  const json of_status = Parsed(StatusJson(status));
  CHECK(of_status["rescue"] ==
        json{{"file", "hostos-rescue.efi"}, {"version", "1.0.0"}, {"problem", "too old"}});
  CHECK(of_status["slots"][0]["release"]["rescue_bytes"].is_null());
  CHECK(of_status["slots"][1]["release"]["rescue_bytes"] == 45'000'000);
  CHECK(of_status["slots"][1]["release"]["rescue_sha256"] == SampleDigest("rescue").Hex());

  PlanView plan = SamplePlan();
  CHECK(Parsed(PlanJson(plan))["plan"]["rescue"].is_null());
  plan.plan->rescue = {{SampleDigest("rescue"), 45'000'000}, "1.0.0", false};
  CHECK(Parsed(PlanJson(plan))["plan"]["rescue"] ==
        json{{"bytes", 45'000'000}, {"from", "1.0.0"}, {"fits", false}});

  VerifyView verify;
  verify.rescue = {.file = "x.efi", .version = "1.1.0", .release = "1.1.0", .problem = "damaged"};
  CHECK(
      Parsed(VerifyJson(verify))["rescue"] ==
      json{{"file", "x.efi"}, {"version", "1.1.0"}, {"release", "1.1.0"}, {"problem", "damaged"}});
}

}  // namespace
}  // namespace hostos
