// Releases that the real worker fetches, as a user of its own.
#include "updater/fetch/remote_source.h"

#include <sys/mman.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <memory>

#include "images/publish/secret_key.h"
#include "tests/fetch/worker_node.h"
#include "tests/held.h"
#include "updater/release/release_target.h"
#include "updater/seal/seal.h"
#include "updater/tuf/metadata.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

Digest RootHashOf(Checkout& checkout, uint64_t size) {
  const UniqueFd image(::memfd_create("image", MFD_CLOEXEC)),
      verity(::memfd_create("verity", MFD_CLOEXEC));
  return ReceiveImage(checkout.image.get(), size, image.get(), verity.get(), {}).value().root_hash;
}

class CountingProgress : public Progress {
 public:
  void Begin(std::string_view, std::string_view) override {}
  void Bytes(uint64_t done, uint64_t) override { last = done; }
  uint64_t last = 0;
};

TEST_CASE("a process of another user fetches and seals a release, and stages nothing as root") {
  Node node;
  const bool local = GENERATE(false, true);
  node.update.server = std::make_unique<HttpServer>(node.update.publisher.path);
  RemoteSource source = node.Source(local ? node.update.publisher.path : node.update.server->url());
  CAPTURE(local);
  const Target target = Held(source.Resolve(std::nullopt, kNow));
  CHECK(target.release.version == "1.1");
  CHECK(target.index == 2);
  CHECK(target.valid_signatures == 1);
  const FetchPlan plan = source.Plan(target).value();
  CHECK(plan.objects > 20);
  CHECK(source.StagingFree().value().bytes > 0);
  CHECK(source.StagingFree().value().inodes > 0);
  CountingProgress progress;
  const FetchStats stats = Held(source.Fetch(target, progress));
  CHECK(stats.objects == plan.objects);
  CHECK(progress.last == plan.download_bytes);
  Traffic sent;
  for (const HttpRequest& request : node.update.server->Requests())
    sent += {.bytes = request.body_bytes, .requests = 1};
  CHECK(source.Moved() == sent);  // nothing from a directory
  CHECK(source.Plan(target)->objects == 0);

  Checkout checkout = Held(source.Open(target));
  std::string uki(target.release.uki_size + 1, '\0');
  CHECK(ReadFull(checkout.uki.get(), std::as_writable_bytes(std::span(uki))).value() ==
        target.release.uki_size);
  CHECK(RootHashOf(checkout, target.release.image_size) == target.release.root_hash);
  CHECK(checkout.sent.get());

  CHECK(Shell("ostree fsck --repo=" + node.own + "/repo").status == 0);
  for (const auto& entry : fs::recursive_directory_iterator(node.own)) {
    struct stat status{};
    REQUIRE(::lstat(entry.path().c_str(), &status) == 0);
    CHECK(status.st_uid == (::geteuid() == 0 ? kNobody : ::geteuid()));
    CHECK((status.st_mode & (S_ISUID | S_ISGID)) == 0);
  }
}

TEST_CASE("what a release fixed comes as it was signed, or not at all") {
  Node node;
  Publisher& publisher = node.update.publisher;
  node.update.server = std::make_unique<HttpServer>(publisher.path);
  const bool local = GENERATE(false, true);
  CAPTURE(local);
  RemoteSource source = node.Source(local ? publisher.path : node.update.server->url());
  ReleaseTarget announced = TargetOf(publisher.CommitOf("1.1").release);
  const std::string text =
      WriteChanges({.version = "1.1",
                    .since = "2024-01-01",
                    .sources = {{.name = "linux", .version = "6", .reaches = "5", .fixes = {}}}});
  const auto announce = [&](uint64_t size) {
    announced.sboms = {{"cdx", {}, 1}, {kChangesFormat, Sha256::Of(AsBytes(text)), size}};
    announced = publisher.Announce(announced);
    return Held(source.Resolve(std::nullopt, kNow));
  };
  const std::string file = publisher.path + "/" + SbomPath(announced, kChangesFormat);
  WriteText(file, text);
  CHECK_FALSE(Held(source.Resolve(std::nullopt, kNow)).changes);
  const Target target = announce(text.size());
  const ReleaseChanges changes = Held(source.Changes(target));
  CHECK(changes.version == "1.1");
  CHECK(changes.sources.at(0).name == "linux");

  const auto refusal = [&](const Target& of) {
    const Result<ReleaseChanges> refused = source.Changes(of);
    REQUIRE_FALSE(refused);
    CHECK(source.Plan(of));  // which needs none of it
    return refused.error().message;
  };
  std::string other = text;
  other.replace(other.find("linux"), 5, "linuy");
  WriteText(file, other);
  CHECK(refusal(target).contains("as signed, found"));
  WriteText(file, text + std::string(100, ' '));
  CHECK_FALSE(refusal(target).empty());
  fs::remove(file);
  CHECK(refusal(target).contains("changes.json"));
  CHECK(refusal(announce(kMaxChangesBytes + 1)).contains("at most 1048576 bytes, found 1048577"));
}

TEST_CASE("the process that fetches keeps the limit") {
  Node node;
  node.update.server = std::make_unique<HttpServer>(node.update.publisher.path);
  SourceOptions options = node.update.Options(node.update.server->url());
  options.http.rate_limit = 250'000;
  RemoteSource source = node.Source(options);
  const Target target = source.Resolve(std::nullopt, kNow).value();
  const uint64_t bytes = source.Plan(target)->download_bytes;
  SystemClock clock;
  const Milliseconds begin = clock.Monotonic();
  CountingProgress progress;
  REQUIRE(source.Fetch(target, progress));
  CHECK(clock.Monotonic() - begin > Milliseconds(bytes * 1000 / options.http.rate_limit * 3 / 4));
  CHECK(progress.last == bytes);
}

TEST_CASE("what is whole of a damaged slot is not fetched, also where only root may read it") {
  Node node;
  node.update.server = std::make_unique<HttpServer>(node.update.publisher.path);
  SourceOptions options = node.update.Options(node.update.server->url());
  options.parent = "";
  options.damaged = {node.update.parent};
  RemoteSource source = node.Source(options);
  const Target target = source.Resolve("1.0", kNow).value();
  std::string hidden;  // an object that only root may read
  for (const auto& entry : fs::recursive_directory_iterator(node.update.parent + "/objects")) {
    if (entry.is_symlink() || !entry.is_regular_file()) continue;
    if ((entry.status().permissions() & fs::perms::others_read) == fs::perms::none)
      hidden = entry.path();
  }
  REQUIRE_FALSE(hidden.empty());
  NoProgress progress;
  const FetchStats stats = Held(source.Fetch(target, progress));
  CHECK(stats.objects == 0);
  WriteText(hidden, "spoilt", 0600);
  REQUIRE(source.Discard());
  CHECK(source.Fetch(target, progress)->objects == 1);
  CHECK(source.Open(target));
}

TEST_CASE("any number of objects that only root may read are handed to the worker") {
  Node node;
  // More than fit into one message by their names.
  for (int i = 0; i < 1100; i++)
    WriteText(std::format("{}/usr/lib/root-only/{}", node.update.tree, i), std::to_string(i), 0600);
  const Digest running = node.update.publisher.Publish(node.update.tree, "1.2");
  node.update.Hold(running);
  AddFiles(node.update.tree, "newer", 3, 3);
  node.update.publisher.Publish(node.update.tree, "1.3");
  RemoteSource source = node.Source(node.update.publisher.path);
  const Result<Target> target = source.Resolve(std::nullopt, kNow);
  REQUIRE(target);
  NoProgress progress;
  const FetchStats stats = Held(source.Fetch(*target, progress));
  CHECK(stats.objects < 100);
}

TEST_CASE("a password in an address is in no message, whatever fails") {
  Node node;
  constexpr const char* kSecret = "s3cret";
  const auto at = [&](std::string url) {
    return url.insert(url.find("://") + 3, std::string("me:") + kSecret + "@");
  };
  const auto message = [&](const SourceOptions& options) {
    auto source = std::make_unique<RemoteSource>(node.Source(options));
    const Result<Target> target = source->Resolve(std::nullopt, kNow);
    NoProgress progress;
    std::string said =
        target ? source->Fetch(*target, progress).error().message : target.error().message;
    source.reset();
    node.Wait();
    INFO(said);
    CHECK_FALSE(said.contains(kSecret));
    return said;
  };
  auto options = [&](const std::string& url) { return node.update.Options(at(url)); };
  CHECK(message(options("http://127.0.0.1:1")).contains("http://***@127.0.0.1:1"));
  const std::string& path = node.update.publisher.path;
  for (const std::string& extra : {
           std::string("location / { return 401; }"),
           std::string("location / { return 500 'http://me:s3cret@here/'; }"),
           std::string("location / { return 302 http://me:s3cret@127.0.0.1:1/x; }"),
           std::string("location / { return 302 http://127.0.0.1:1/x?signature=s3cret; }"),
           std::string("location /metadata/timestamp.json { return 404; }"),
           std::string("location /objects { location ~ filez { return 500; } }"),
           std::string("location /objects { location ~ filez { return 404; } }"),
           std::string("location /objects { location ~ filez { return 200 'what?'; } }"),
       }) {
    CAPTURE(extra);
    const HttpServer server(path, extra);
    CHECK(message(options(server.url())).contains("***"));
  }
  SourceOptions proxied = node.update.Options("http://releases.invalid");
  proxied.http.proxy = at("http://127.0.0.1:1");
  message(proxied);
}

TEST_CASE("what the worker cannot do is said as without one") {
  Node node;
  CHECK(node.Source("http://127.0.0.1:1").Resolve(std::nullopt, kNow).error().code ==
        Code::kNetwork);
  const std::string empty = node.update.publisher.directory / "empty";
  fs::create_directory(empty);
  const Error error = node.Source(empty).Resolve(std::nullopt, kNow).error();
  INFO(error.message);
  CHECK(error.message.contains(empty + "/metadata/"));
  CHECK_FALSE(error.message.contains("/proc/"));
}

TEST_CASE("what is no metadata beside the metadata is in nobody's way") {
  Node node;
  HttpServer server(node.update.publisher.path);
  RemoteSource source = node.Source(server.url());
  fs::create_directories(node.update.trusted + "/later/inside");
  WriteText(node.update.trusted + "/root.json.tmp", "cut off");
  CHECK(source.Resolve(std::nullopt, kNow));
}

TEST_CASE("a root that came before a failure is trusted from then on") {
  Node node;
  Publisher& publisher = node.update.publisher;
  const std::vector<SecretKey> next = {SecretKey::Generate(Algorithm::kEd25519).value()};
  REQUIRE(publisher.metadata.StageRoot(
      {{"timestamp", {.keys = {next[0].Public().value()}, .threshold = {}, .days = {}}}}));
  const std::string timestamp = publisher.path + "/metadata/timestamp.json";
  const std::string before = ReadText(timestamp);
  std::vector<SecretKey> keys = publisher.key;
  keys.push_back(next[0]);
  REQUIRE(publisher.metadata.Sign(keys)->missing.empty());
  WriteText(timestamp, before);  // which is not next's
  CHECK(node.Source(publisher.path).Resolve(std::nullopt, kNow).error().code == Code::kNotTrusted);
  const std::string kept = ReadText(node.update.trusted + "/root.json");
  CHECK(tuf::Root::Parse(kept).value().version == 2);
}

TEST_CASE("a release is found and fetched through the proxy that is configured") {
  Node node;
  const HttpServer proxy(node.update.publisher.path);
  SourceOptions options = node.update.Options("http://releases.invalid");
  options.http.proxy = proxy.url();
  RemoteSource source = node.Source(options);
  const Target target = Held(source.Resolve(std::nullopt, kNow));
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(target, progress);
  INFO((stats ? "" : stats.error().message));
  CHECK(stats);
}

TEST_CASE("a release is found and fetched with the token that is configured, which nobody sees") {
  Node node;
  const HttpServer server(
      node.update.publisher.path,
      "if ($http_authorization != 'Bearer s3cret') { return 401 'not $http_authorization'; }");
  SourceOptions options = node.update.Options(server.url());
  options.token_file = node.update.publisher.directory / "token";
  WriteText(options.token_file, "s3cret\n", 0600);
  SECTION("the right one") {
    RemoteSource source = node.Source(options);
    const Target target = Held(source.Resolve(std::nullopt, kNow));
    NoProgress progress;
    const Result<FetchStats> stats = source.Fetch(target, progress);
    INFO((stats ? "" : stats.error().message));
    CHECK(stats);
    const std::string at = node.own;
    CHECK(Shell("grep -r s3cret " + at).status == 1);  // it is kept nowhere
  }
  SECTION("the right one, and objects that are somewhere else: it does not go there") {
    const HttpServer other(node.update.publisher.path, "if ($http_authorization) { return 500; }");
    const HttpServer redirecting(node.update.publisher.path,
                                 "if ($http_authorization != 'Bearer s3cret') { return 401; }\n"
                                 "location ~ filez { return 302 " +
                                     other.url() + "$request_uri; }");
    options.url = redirecting.url();
    RemoteSource source = node.Source(options);
    const Target target = source.Resolve(std::nullopt, kNow).value();
    NoProgress progress;
    const Result<FetchStats> stats = source.Fetch(target, progress);
    INFO((stats ? "" : stats.error().message));
    CHECK(stats);
    CHECK(other.Requests().size() > 20);
  }
  SECTION("another one") {
    WriteText(options.token_file, "0ther\n", 0600);
    const Error error = node.Source(options).Resolve(std::nullopt, kNow).error();
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.contains("401 (not Bearer ***)"));
  }
  SECTION("one that others can read") {
    WriteText(options.token_file, "s3cret\n", 0644);
    CHECK(node.Source(options).Resolve(std::nullopt, kNow).error().message.contains("/token"));
  }
  SECTION("none") {
    WriteText(options.token_file, "\n", 0600);
    CHECK(node.Source(options).Resolve(std::nullopt, kNow).error().code == Code::kUsage);
  }
}

}  // namespace

}  // namespace hostos
