#include "images/arguments.h"

#include <catch2/catch_test_macros.hpp>

using namespace hostos;

namespace {

constexpr Option kOptions[] = {
    {"repo", "DIR", Times::kOnce, "the repository"},
    {"key", "FILE", Times::kAnyNumber, "a key"},
    {"size", "SIZE", Times::kAtMostOnce, "a size"},
    {"json", "", Times::kAtMostOnce, "print JSON"},
};
constexpr Subcommand kShow = {"show", "NAME", "Shows something.", kOptions, nullptr};

Result<Arguments> Parse(std::vector<const char*> words) {
  return Arguments::Parse(kShow, words);
}

void CheckRefused(std::vector<const char*> words, const std::string& message) {
  const Result<Arguments> parsed = Parse(std::move(words));
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == Code::kUsage);
  CHECK(parsed.error().message == message);
}

}  // namespace

TEST_CASE("options take their value from the next word or behind an equals sign") {
  const auto parsed = Parse({"--repo", "r", "--key=a", "--key", "b=c", "--json", "name"});
  REQUIRE(parsed);
  CHECK(parsed->Get("repo") == "r");
  CHECK(parsed->All("key") == std::vector<std::string>{"a", "b=c"});
  CHECK(parsed->Has("json"));
  CHECK(parsed->operand() == "name");
  CHECK(parsed->GetOr("size", "default") == "default");
}

TEST_CASE("two dashes end the options") {
  const auto parsed = Parse({"--repo=r", "--", "--json"});
  REQUIRE(parsed);
  CHECK(parsed->operand() == "--json");
  CHECK_FALSE(parsed->Has("json"));
}

TEST_CASE("a command line that does not fit the table says what was expected") {
  CheckRefused({"--repo", "r", "--colour", "name"}, "show has no option --colour");
  CheckRefused({"-j", "--repo", "r", "name"}, "show has no option -j");
  CheckRefused({"name"}, "show needs --repo DIR");
  CheckRefused({"--repo", "r"}, "show needs NAME");
  CheckRefused({"name", "--repo"}, "--repo DIR lacks its value");
  CheckRefused({"name", "--repo="}, "--repo DIR: the value is empty");
  CheckRefused({"--repo", "r", "--repo", "s", "name"}, "--repo is given twice");
  CheckRefused({"--repo", "r", "--json", "--json", "name"}, "--json is given twice");
  CheckRefused({"--repo", "r", "--json=yes", "name"}, "--json takes no value");
  CheckRefused({"--repo", "r", "name", "more"}, "show: unexpected \"more\"");
}

TEST_CASE("sizes take a suffix to the base of 1024") {
  auto size = [](const char* text) {
    const auto parsed = Parse({"--repo=r", "name", "--size", text});
    REQUIRE(parsed);
    return parsed->Size("size");
  };
  CHECK(size("4096").value() == 4096);
  CHECK(size("512M").value() == 512ull << 20);
  CHECK(size("2G").value() == 2ull << 30);
  CHECK(size("16777215T").value() == 16777215ull << 40);
  for (const char* bad :
       {"0", "M", "-1", "1.5G", "2g", "2GB", " 2", "16777216T", "99999999999999999999"}) {
    const auto refused = size(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kUsage);
  }
  const auto absent = Parse({"--repo=r", "name"});
  REQUIRE(absent);
  CHECK_FALSE(absent->Size("size").value());
}

TEST_CASE("help lists every option of a verb") {
  const std::string help = Help("tool", kShow);
  for (const Option& option : kOptions) CHECK(help.contains("--" + std::string(option.name)));
  CHECK(help.starts_with("usage: tool show NAME --repo DIR [OPTION...]\n"));
}
