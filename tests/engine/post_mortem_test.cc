#include "updater/engine/post_mortem.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/engine/fill.h"

using namespace hostos;

namespace {

PostMortem FullPostMortem() {
  PostMortem post_mortem{.release = {"1.2.0", Fill(1), Fill(2)},
                         .slot = Slot::A,
                         .from = "1.1.0",
                         .started = 1'700'000'200,
                         .time = 1'700'000'900,
                         .boots = 2,
                         .phase = "health gate",
                         .check = "canary",
                         .reason = "canary: did not start",
                         .output = "line 1\nline 2",
                         .cause = "the health gate rebooted it",
                         .kernel = "Kernel panic - not syncing",
                         .watchdog = true};
  post_mortem.checks = {{.name = "canary",
                         .detail = "did not start",
                         .output = "runc",
                         .took = Milliseconds(30'000),
                         .failed_before = true},
                        {.name = "wanted/dns", .required = false, .ok = true, .environment = true}};
  post_mortem.traces = {{std::string(32, 'a'), 1'700'000'300, 1'700'000'400, true, "init: bye\n"}};
  return post_mortem;
}

}  // namespace

TEST_CASE("a post-mortem comes back from its JSON as it was") {
  const PostMortem read = PostMortemFromJson(ToJson(FullPostMortem())).value();
  CHECK(ToJson(read) == ToJson(FullPostMortem()));
  CHECK(read.checks.at(0).took == Milliseconds(30'000));
  CHECK(read.checks.at(0).failed_before);
  CHECK_FALSE(read.checks.at(1).required);
  CHECK(read.traces.at(0).in_order);
  CHECK(read.watchdog);
}

TEST_CASE("bytes that are not UTF-8 in what a boot left do not spoil its post-mortem") {
  PostMortem post_mortem = FullPostMortem();
  post_mortem.traces[0].log = "\xff\xfe";
  CHECK(PostMortemFromJson(ToJson(post_mortem)));
}

TEST_CASE("what is no post-mortem is an error, a newer one is read as far as it is understood") {
  CHECK(PostMortemFromJson("{").error().code == Code::kFailed);
  CHECK(PostMortemFromJson("{\"format\": 1}").error().message.contains("release"));
  const std::string text = ToJson(FullPostMortem());
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string copy = text;
    return copy.replace(copy.find(from), from.size(), to);
  };
  const std::string format = "\"format\": 1";
  CHECK(PostMortemFromJson(changed("\"boots\": 2", "\"boots\": []")).error().code == Code::kFailed);
  CHECK(PostMortemFromJson(changed(format, "\"format\": 9, \"colour\": 1"))->check == "canary");
  CHECK(PostMortemFromJson(changed("\"boots\": 2", "\"boot\": 2"))->boots == 0);
  CHECK(PostMortemFromJson(changed("\"slot\": \"A\"", "\"slot\": \"C\"")).error().code ==
        Code::kNotSupported);
}
