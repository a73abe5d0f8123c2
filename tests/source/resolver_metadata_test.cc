// The published metadata at a resolver: past which caches and servers it comes, how long it counts,
// and what is kept of it.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "tests/source/resolver_node.h"
#include "tests/tuf/repository.h"
#include "updater/release/commit.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a server that says 403 of what is not there is asked for the next root all the same") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  node.Serve(kForbidsTheAbsent);
  LocalSource source = node.Source();
  const Result<Target> target = source.Resolve(std::nullopt, kNow);
  REQUIRE(target);
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(*target, progress);
  CAPTURE(stats ? "" : stats.error().message);
  CHECK(stats);
  for (const HttpRequest& request : node.server->Requests()) CHECK(request.status != 404);
  SECTION("a commit whose signatures are not there has none") {
    fs::remove(node.publisher.ObjectPath(target->release.commit, "commitmeta"));
    CHECK(source.Resolve(std::nullopt, kNow).error().code == Code::kNotTrusted);
  }
  SECTION("what has to be there is the server's failure") {
    node.Serve("return 403;");
    const Error error = node.Source().Resolve(std::nullopt, kNow).error();
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.contains("expected timestamp.json of the repository"));
    CHECK(error.message.contains("HTTP status 403"));
  }
}

TEST_CASE("the timestamp and the next root are asked for past all caches, and nothing else") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  node.Serve(
      "set $wrong '';\n"
      "if ($uri ~ '(timestamp|[.]root)[.]json$') { set $wrong '$http_cache_control'; }\n"
      "if ($uri !~ '(timestamp|[.]root)[.]json$') { set $wrong 'no-cache$http_cache_control'; }\n"
      "if ($wrong != 'no-cache') { return 500; }");
  CHECK(node.Source().Resolve(std::nullopt, kNow));
}

TEST_CASE("what was published counts until it expires, and again when it was renewed") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  constexpr uint64_t kWeek = 7 * 86'400;
  LocalSource source = node.Source();
  CHECK(source.Resolve(std::nullopt, kNow + kWeek - 1));
  const Result<Target> late = source.Resolve(std::nullopt, kNow + kWeek);
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Code::kNotTrusted);
  CHECK(late.error().message.contains("timestamp: version 2 expired at 2027-01-22"));

  {
    const TufRepository unlocked = std::move(node.publisher.metadata);
  }
  TufRepository later = *TufRepository::Open(node.publisher.path, kNow + kWeek);
  CHECK(later.Renew("timestamp", node.publisher.key)->missing.empty());
  CHECK(source.Resolve(std::nullopt, kNow + kWeek));
}

TEST_CASE("a release that was made after the metadata that names it expires cannot be") {
  Node node;
  constexpr uint64_t kWeek = 7 * 86'400;
  Release release = node.publisher.Describe("1.0");
  release.timestamp = kNow + kWeek + GENERATE(0, 1);
  node.publisher.Publish(node.tree, release, node.publisher.key);
  const uint64_t now = GENERATE(uint64_t{0}, kNow);  // a clock that is behind decides nothing here
  const Result<Target> target = node.Source().Resolve(std::nullopt, now);
  if (release.timestamp == kNow + kWeek) {
    CHECK(target);
  } else {
    REQUIRE_FALSE(target);
    CHECK(target.error().code == Code::kNotTrusted);
    CHECK(
        target.error().message.contains("time of the release: expected one before "
                                        "2027-01-22T08:00:00Z, when the metadata that names "
                                        "it expires, found 2027-01-22T08:00:01Z"));
  }
}

TEST_CASE("a version of the targets vouches for so many releases and no more") {
  const std::vector<tuf::TrustedRole> trusted = {
      {"root", 1, 900}, {"targets", 3, 800}, {"snapshot", 9, 700}, {"timestamp", 9, 1000}};
  const ReleaseLimits limits = LimitsOf(trusted);
  CHECK(limits.time == 700);
  CHECK(CheckLimits({.timestamp = 700}, 3000, limits));
  CHECK(CheckLimits({.timestamp = 700}, 3001, limits).error().code == Code::kNotTrusted);
  CHECK(CheckLimits({.timestamp = 701}, 3000, limits).error().code == Code::kNotTrusted);
}

TEST_CASE("what a node trusts of each role is what was signed for it, as long as it is there") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  LocalSource source = node.Source();
  const auto roles = [&] {
    std::string text;
    const auto trusted = source.Trusted();
    REQUIRE(trusted);
    for (const tuf::TrustedRole& role : *trusted)
      text += std::format("{} {} {} ", role.role, role.version, (role.expires - kNow) / 86'400);
    return text;
  };
  CHECK(roles() == "root 1 365 ");  // the release's
  REQUIRE(source.Resolve(std::nullopt, kNow));
  CHECK(roles() == "root 1 365 targets 2 180 snapshot 2 60 timestamp 2 7 ");
  WriteText(node.publisher.directory / "trusted/timestamp.json", "{}");
  CHECK(roles() == "root 1 365 targets 2 180 snapshot 2 60 ");
  WriteText(node.publisher.directory / "trusted/root.json", "{}");
  CHECK(roles() == "root 1 365 ");
}

TEST_CASE("a node whose own metadata is lost or damaged begins with the release's root again") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  LocalSource source = node.Source();
  REQUIRE(source.Resolve(std::nullopt, kNow));
  const std::string trusted = node.publisher.directory / "trusted";
  WriteText(trusted + "/root.json", "{");
  WriteText(trusted + "/snapshot.json", "");
  CHECK(source.Resolve(std::nullopt, kNow));
  fs::remove_all(trusted);
  CHECK(source.Resolve(std::nullopt, kNow));
}

TEST_CASE("what the server says instead of a commit is never taken for one") {
  Node node;
  Digest checksum = node.publisher.Publish(node.tree, "1.0");
  std::string timestamp = node.publisher.path + "/metadata/timestamp.json";
  std::string object = node.publisher.ObjectPath(checksum, "commit");
  SECTION("an error page with status 200 for the metadata") {
    WriteText(timestamp, "<html>Please log in</html>");
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("metadata: timestamp: "));
  }
  SECTION("an error page with status 200 for the commit") {
    WriteText(object, "<html>Please log in</html>");
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("expected content with SHA-256 " + checksum.Hex()));
  }
  SECTION("another signed commit") {
    const Digest newest = node.publisher.Publish(node.tree, "1.1");
    for (const char* file : {"commit", "commitmeta"})
      fs::copy_file(node.publisher.ObjectPath(checksum, file),
                    node.publisher.ObjectPath(newest, file), fs::copy_options::overwrite_existing);
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("expected content with SHA-256 " + newest.Hex()));
  }
  SECTION("a truncated commit") {
    fs::resize_file(object, 100);
    CHECK(node.Refusal(node.Source()).code == Code::kNotTrusted);
  }
  SECTION("an oversized commit") {
    fs::resize_file(object, kMaxCommitBytes + 1);
    CHECK(node.Refusal(node.Source()).message.contains("at most 16777216 bytes"));
  }
  SECTION("a signed commit that is no commit") {
    node.ServeCommit("signed, but nothing of the kind");
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("expected an OSTree commit object"));
  }
  SECTION("no commit") {
    fs::remove(object);
    CHECK(node.Refusal(node.Source()).code == Code::kNetwork);
  }
  SECTION("no target") {
    fs::remove_all(node.publisher.path + "/targets");
    CHECK(node.Refusal(node.Source()).code == Code::kNetwork);
  }
  SECTION("HTTP 500") {
    node.Serve("location /metadata/timestamp.json { return 500; }");
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.contains("found 500"));
  }
  SECTION("nobody there") {
    LocalSource source = node.Source();
    node.server.reset();
    auto target = source.Resolve(std::nullopt, kNow);
    REQUIRE_FALSE(target);
    CHECK(target.error().code == Code::kNetwork);
  }
}

}  // namespace

}  // namespace hostos
