// Pulls of what a server or a directory that is broken or hostile gives in place of what is signed.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "tests/source/update_fixture.h"
#include "tests/text_file.h"
#include "updater/release/commit.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// The archive path of one content object that the update lacks.
std::string SomeMissingFile(const Update& update, const Digest& newest) {
  Commit commit = *ParseCommit(*update.publisher.repo.ReadMetadata(ObjectType::kCommit, newest));
  Repo parent = *Repo::Open(update.parent);
  for (const ObjectSize& object : commit.sizes) {
    if (object.type == ObjectType::kFile && object.unpacked > 1000 &&
        !*parent.Has(object.type, object.checksum)) {
      return update.publisher.path + ArchivePath({object.checksum, object.type});
    }
  }
  return {};
}

TEST_CASE("an object that never ends is cut off at the largest signed size") {
  Update update;
  AddFiles(update.tree, "new", 10, 2);
  std::string victim = SomeMissingFile(update, update.publisher.Publish(update.tree, "1.1"));
  uint64_t size = fs::file_size(victim);
  fs::resize_file(victim, 1ull << 32);
  LocalSource source = update.Source();
  NoProgress progress;
  auto stats = source.Fetch(*source.Resolve(std::nullopt, kNow), progress);
  REQUIRE_FALSE(stats);
  CHECK(stats.error().code == Code::kNotTrusted);
  std::string found = std::format("expected the signed {} bytes, found {}", size, 1ull << 32);
  CHECK(stats.error().message.contains(found));
  uint64_t sent = 0;
  for (const HttpRequest& request : update.server->Requests()) sent += request.body_bytes;
  CHECK(sent < (32 << 20));
}

TEST_CASE("a pull that only just moves ends in time, and the next one goes on") {
  Update update;
  AddFiles(update.tree, "new", 40, 2);
  update.publisher.Publish(update.tree, "1.1");
  update.server = std::make_unique<HttpServer>(update.publisher.path, "limit_rate 4k;");
  SourceOptions options = update.Options(update.server->url());
  options.http.rate_limit = GENERATE(0, 1'000'000'000);
  options.http.stall_timeout = Seconds(10);
  options.http.pull_time = Seconds(2);
  options.http.pull_rate = 1 << 30;
  LocalSource source(options);
  const Target target = source.Resolve(std::nullopt, kNow).value();
  NoProgress progress;
  const auto stats = source.Fetch(target, progress);
  REQUIRE_FALSE(stats);
  CHECK(stats.error().code == Code::kNetwork);
  CHECK(stats.error().message.contains("bytes within 2 s"));
  LocalSource again = update.Source();
  CHECK(again.Fetch(target, progress));
}

TEST_CASE("objects that are all larger than signed are cut off together") {
  Update update;
  AddFiles(update.tree, "new", 200, 2);
  WriteText(update.tree + "/usr/lib/largest", std::string(64 << 20, 'x'));  // one may be large
  Digest newest = update.publisher.Publish(update.tree, "1.1");
  Commit commit = *ParseCommit(*update.publisher.repo.ReadMetadata(ObjectType::kCommit, newest));
  Repo parent = *Repo::Open(update.parent);
  uint64_t bloat = 0;
  for (const ObjectSize& object : commit.sizes) {
    if (object.type != ObjectType::kFile || *parent.Has(object.type, object.checksum)) continue;
    fs::resize_file(update.publisher.path + ArchivePath({object.checksum, object.type}), 60 << 20);
    bloat += 60 << 20;
  }
  LocalSource source = update.Source("limit_rate 50m;");
  NoProgress progress;
  auto stats = source.Fetch(*source.Resolve(std::nullopt, kNow), progress);
  REQUIRE_FALSE(stats);
  CHECK(stats.error().code == Code::kNotTrusted);
  uint64_t sent = 0;
  for (const HttpRequest& request : update.server->Requests()) sent += request.body_bytes;
  CHECK(sent < bloat / 8);
}

TEST_CASE("an object that is missing, truncated or altered ends the pull, with its name") {
  // Made once, for all sections.
  static Update update;
  static const Digest newest =
      (AddFiles(update.tree, "new", 10, 2), update.publisher.Publish(update.tree, "1.1"));
  update.Forget();
  std::string victim = SomeMissingFile(update, newest);
  std::string good = ReadText(victim);
  std::string name = fs::path(victim).stem();
  const uint64_t limit = GENERATE(0, 100'000'000);
  Code expected = Code::kNotTrusted;
  std::string extra;
  SECTION("missing") {
    fs::remove(victim);
    expected = Code::kNetwork;
  }
  SECTION("truncated") {
    fs::resize_file(victim, good.size() / 2);
  }
  SECTION("empty") {
    fs::resize_file(victim, 0);
  }
  SECTION("never ending") {
    extra = "location ~ " + name + " { limit_rate 1; }";
    expected = Code::kNetwork;
  }
  SECTION("altered") {
    std::string bad = good;
    bad[bad.size() / 2] ^= 1;
    WriteText(victim, bad);
  }
  SECTION("another object") {
    fs::copy_file(update.publisher.ObjectPath(newest, "commit"), victim,
                  fs::copy_options::overwrite_existing);
  }
  SECTION("a small file that unpacks to a large one") {
    WriteText(victim, Bomb());
  }
  SECTION("HTTP 500") {
    extra = "location ~ " + name + " { return 500; }";
    expected = Code::kNetwork;
  }
  update.server = std::make_unique<HttpServer>(update.publisher.path, extra);
  SourceOptions options = update.Options(update.server->url());
  options.http.rate_limit = limit;
  LocalSource source(options);
  Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  auto stats = source.Fetch(target, progress);
  REQUIRE_FALSE(stats);
  CAPTURE(limit, stats.error().message);
  CHECK(stats.error().code == expected);
  CHECK(stats.error().message.contains(name));

  // Repaired, the next run ends well.
  WriteText(victim, good);
  LocalSource again = update.Source();
  REQUIRE(again.Fetch(target, progress));
  CHECK(Shell("ostree fsck --repo=" + update.staging).status == 0);
}

TEST_CASE("an object in a directory is believed no more than one from a server") {
  Update update;
  AddFiles(update.tree, "new", 10, 2);
  const Digest newest = update.publisher.Publish(update.tree, "1.1");
  const std::string victim = SomeMissingFile(update, newest);
  const std::string good = ReadText(victim);
  SECTION("truncated") {
    fs::resize_file(victim, good.size() / 2);
  }
  SECTION("empty") {
    fs::resize_file(victim, 0);
  }
  SECTION("altered") {
    std::string bad = good;
    bad[bad.size() / 2] ^= 1;
    WriteText(victim, bad);
  }
  SECTION("a small file that unpacks to a large one") {
    WriteText(victim, Bomb());
  }
  LocalSource source = update.FromDirectory();
  const Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  const auto stats = source.Fetch(target, progress);
  REQUIRE_FALSE(stats);
  INFO(stats.error().message);
  CHECK(stats.error().code == Code::kNotTrusted);
  CHECK(stats.error().message.contains(fs::path(victim).stem().string()));

  WriteText(victim, good);
  REQUIRE(source.Fetch(target, progress));
  CHECK(Shell("ostree fsck --repo=" + update.staging).status == 0);
}

TEST_CASE("a UKI that differs from the signed metadata is not handed out") {
  Update update;
  WriteText(update.publisher.directory / "uki", "MZ");
  Release release = update.publisher.Describe("1.1");
  SECTION("size") {
    WriteText(update.publisher.directory / "uki", "MZ longer than it says");
  }
  SECTION("content") {
    WriteText(update.publisher.directory / "uki", std::string(release.uki_size, '?'));
  }
  update.publisher.Publish(update.tree, release, update.publisher.key);
  LocalSource source = update.Source();
  Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  REQUIRE(source.Fetch(target, progress));
  auto checkout = source.Open(target);
  REQUIRE_FALSE(checkout);
  CHECK(checkout.error().code == Code::kNotTrusted);
  CHECK(checkout.error().message.contains("/boot/hostos.efi"));
}

}  // namespace

}  // namespace hostos
