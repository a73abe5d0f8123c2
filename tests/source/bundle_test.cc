// Bundles: a release in one file, for nodes without a network, under the same rules as a server.
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <filesystem>

#include "images/bundle_release.h"
#include "tests/source/update_fixture.h"
#include "updater/source/archive.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// A node that has 1.0, and bundles of 1.1.
struct Island : Update {
  std::string bundle = publisher.directory / "1.1.bundle";
  BundleOptions options{.repo = publisher.path,
                        .architecture = "x86-64",
                        .channel = "stable",
                        .version = "1.1",
                        .output = bundle};

  Island() {
    AddFiles(tree, "new", 10, 2);
    publisher.Publish(tree, "1.1");
  }

  LocalSource From(const std::string& path, auto change) const {
    SourceOptions source = Options(path);
    change(source);
    return LocalSource(source);
  }
  LocalSource From(const std::string& path) const {
    return From(path, [](SourceOptions&) {});
  }

  // Everything from the first byte of metadata to the last byte of the release.
  Result<std::string> Install(const std::string& path) const {
    NoProgress progress;
    LocalSource source = From(path);
    const Target target = TRY(source.Resolve(std::nullopt, kNow));
    TRY(source.Fetch(target, progress));
    TRY(source.Open(target));
    return target.release.version;
  }
};

Error Refusal(Result<Target> target) {
  REQUIRE_FALSE(target);
  INFO(target.error().message);
  return target.error();
}

TEST_CASE("a bundle has a whole release, for a node with nothing and without network") {
  Island island;
  const BundleContent content = *BundleRelease(island.options, kNow);
  CHECK(content.bytes == fs::file_size(island.bundle));
  const std::string root = island.publisher.directory / "root.json";
  fs::copy(island.publisher.root, root);
  fs::rename(island.publisher.path, island.publisher.path + ".away");
  NoProgress progress;
  LocalSource source = island.From(island.bundle, [&](SourceOptions& options) {
    options.root = root;
    options.parent = "";
  });
  const Target target = *source.Resolve(std::nullopt, kNow);
  CHECK(target.release.version == "1.1");
  const auto fetched = source.Fetch(target, progress);
  REQUIRE(fetched);
  CHECK(fetched->objects == content.objects - 2);  // commit and signatures are no part of the tree
  CHECK(source.Open(target));
  CHECK(Shell("ostree fsck --repo=" + island.staging).status == 0);
}

TEST_CASE("a bundle has what its release fixed, if the repository has that") {
  Island island;
  const std::string text = WriteChanges({.version = "1.1", .since = "2024-01-01", .sources = {}});
  ReleaseTarget target = TargetOf(island.publisher.CommitOf("1.1").release);
  target.sboms = {{kChangesFormat, Sha256::Of(AsBytes(text)), text.size()}};
  island.publisher.Announce(target);
  const std::string file = island.publisher.path + "/" + SbomPath(target, kChangesFormat);
  const auto changes = [&]() -> Result<ReleaseChanges> {
    REQUIRE(BundleRelease(island.options, kNow));
    LocalSource source = island.From(island.bundle);
    return source.Changes(*source.Resolve(std::nullopt, kNow));
  };
  CHECK(changes().error().code == Code::kNotFound);
  WriteText(file, text);
  CHECK(changes()->version == "1.1");
}

TEST_CASE("a bundle for nodes that run a release has only what that one has not") {
  Island island;
  const BundleContent all = *BundleRelease(island.options, kNow);
  island.options.from = "1.0";
  const BundleContent some = *BundleRelease(island.options, kNow);
  CHECK(some.objects < all.objects);
  CHECK(some.bytes < all.bytes);
  CHECK(island.Install(island.bundle) == "1.1");

  // On another node it says what is missing.
  fs::remove_all(island.staging);
  NoProgress progress;
  LocalSource source =
      island.From(island.bundle, [](SourceOptions& options) { options.parent = ""; });
  const auto fetched = source.Fetch(*source.Resolve(std::nullopt, kNow), progress);
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().code == Code::kNotFound);
  CHECK(fetched.error().message.contains(island.bundle + ": there is no objects/"));
}

TEST_CASE("a bundle counts no longer, no more and for no others than what a server serves") {
  Island island;
  REQUIRE(BundleRelease(island.options, kNow));
  SECTION("expired") {
    constexpr uint64_t kLater = kNow + 8 * 86'400;
    const Error error = Refusal(island.From(island.bundle).Resolve(std::nullopt, kLater));
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("timestamp"));
    CHECK(error.message.contains("expired"));
    CHECK(BundleRelease(island.options, kLater).error().message.contains("expired"));
  }
  SECTION("for another channel") {
    LocalSource source =
        island.From(island.bundle, [](SourceOptions& options) { options.channel = "beta"; });
    CHECK(Refusal(source.Resolve(std::nullopt, kNow)).code == Code::kNotFound);
  }
  SECTION("of another publisher") {
    Publisher other;
    LocalSource source =
        island.From(island.bundle, [&](SourceOptions& options) { options.root = other.root; });
    CHECK(Refusal(source.Resolve(std::nullopt, kNow)).code == Code::kNotTrusted);
  }
  SECTION("older than what the node has seen") {
    const std::string older = island.bundle;
    AddFiles(island.tree, "newer", 2, 3);
    island.publisher.Publish(island.tree, "1.2");
    REQUIRE(island.From(island.publisher.path).Resolve(std::nullopt, kNow));
    const Error error = Refusal(island.From(older).Resolve(std::nullopt, kNow));
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("rollback: expected version"));
  }
  SECTION("another release than the one that is asked for") {
    CHECK(Refusal(island.From(island.bundle).Resolve("1.0", kNow)).code == Code::kNotFound);
  }
}

TEST_CASE("a bundle is an archive as tar makes and reads it") {
  Island island;
  REQUIRE(BundleRelease(island.options, kNow));
  const std::string names = island.publisher.directory / "names";
  const std::string made = island.publisher.directory / "made.bundle";
  REQUIRE(Shell(std::format("tar -tf {} > {}", island.bundle, names)).status == 0);
  REQUIRE(Shell(std::format("tar -C {} --format=ustar -cf {} -T {}", island.publisher.path, made,
                            names))
              .status == 0);
  CHECK(island.Install(made) == "1.1");

  SECTION("with regular files only, each once") {
    for (int i = 0; i < 2; i++)
      REQUIRE(
          Shell(std::format("tar -C {} --format=ustar -rf {} config", island.publisher.path, made))
              .status == 0);
    const Error error = Archive::Open(made).error();
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("config is there twice"));
  }
  SECTION("with names that lead nowhere else") {
    REQUIRE(Shell(std::format("tar -C {} -P --transform 's,^,../,' --format=ustar -rf {} config",
                              island.publisher.path, made))
                .status == 0);
    CHECK(Archive::Open(made).error().message.contains("found '../config'"));
  }
  SECTION("without directories") {
    REQUIRE(
        Shell(std::format("tar -C {} --format=ustar -cf {} metadata", island.publisher.path, made))
            .status == 0);
    CHECK(Archive::Open(made).error().message.contains("expected a regular file, found type '5'"));
  }
}

TEST_CASE("what is no regular file in a directory of releases is refused, and not waited for") {
  TempDir directory;
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
  Archive archive = Archive::Open(directory.path()).value();
  CHECK(archive.OpenFile("fifo").error().message.contains("expected a regular file"));
}

TEST_CASE("a bundle that was cut off or altered anywhere installs nothing else") {
  // Made once, for all that follows.
  static Island island;
  static const std::string good = [] {
    island.options.from = "1.0";
    REQUIRE(BundleRelease(island.options, kNow));
    return ReadText(island.bundle);
  }();
  island.Forget();
  const size_t step = good.size() / 12;
  const size_t at = step * static_cast<size_t>(GENERATE(range(0, 12)));
  CAPTURE(at);
  std::string bad = good;
  SECTION("cut off") {
    bad.resize(at);
  }
  SECTION("altered") {
    bad[at] ^= 0x10;
  }
  SECTION("altered in a header") {
    const size_t magic = bad.rfind("ustar", at + 512);
    REQUIRE(magic != std::string::npos);
    bad[magic - 257 + at % 512] ^= 0x01;
  }
  WriteText(island.bundle, bad);
  const auto installed = island.Install(island.bundle);
  // Padding has no meaning, and metadata may hold another signature than the one that was needed.
  if (installed) {
    CHECK(*installed == "1.1");
    CHECK(Shell("ostree fsck --repo=" + island.staging).status == 0);
  } else {
    INFO(installed.error().message);
    CHECK(
        (installed.error().code == Code::kNotTrusted || installed.error().code == Code::kNotFound));
    CHECK(island.From(island.bundle)
              .Plan(*island.From(island.publisher.path).Resolve(std::nullopt, kNow)));
  }
  WriteText(island.bundle, good);
  CHECK(island.Install(island.bundle) == "1.1");
}

}  // namespace
}  // namespace hostos
