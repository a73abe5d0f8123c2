#include "updater/source/ostree_source.h"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "tests/source/http_server.h"
#include "tests/source/release_fixture.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// A publisher behind a web server, and the source of a node that trusts it.
struct Node {
  Publisher publisher;
  std::string tree = publisher.directory / "tree";
  std::string staging = publisher.directory / "staging";
  std::unique_ptr<HttpServer> server;

  Node() { fs::create_directories(tree + "/boot"); }

  void Serve(const std::string& extra = "") {
    server.reset();
    server = std::make_unique<HttpServer>(publisher.path, extra);
  }

  OstreeSource Source(auto change) {
    if (!server) Serve();
    OstreeSourceOptions options{.url = server->url() + "/",
                                .channel = "stable",
                                .architecture = "x86-64",
                                .staging = staging,
                                .parent = "",
                                .key_directories = {publisher.keys},
                                .required_signatures = 1,
                                .seal_formats = {1},
                                .http = {}};
    options.http.attempts = 2;
    options.http.backoff = Milliseconds(1);
    change(options);
    return OstreeSource(options);
  }
  OstreeSource Source() {
    return Source([](OstreeSourceOptions&) {});
  }

  // What Resolve refuses leaves no trace: not a single object was asked for, nothing was stored.
  Error Refusal(OstreeSource source, const std::optional<std::string>& version = std::nullopt) {
    auto target = source.Resolve(version);
    REQUIRE_FALSE(target);
    CHECK_FALSE(fs::exists(staging));
    for (const HttpRequest& request : server->Requests()) {
      CHECK((request.path.starts_with("/refs/") || request.path.contains(".commit")));
    }
    return target.error();
  }

  // Serves these bytes as the newest commit, signed by the publisher or by `signer`.
  void ServeCommit(const std::string& commit, const SecretKey& signer) {
    Digest checksum = PutObject(publisher.path, commit, "commit");
    std::vector<std::string> signatures = {*signer.Sign(commit)};
    WriteText(publisher.ObjectPath(checksum, "commitmeta"), *AddSignatures("", signatures));
    WriteText(publisher.path + "/refs/heads/hostos/x86-64/stable", checksum.Hex() + "\n");
  }
  void ServeCommit(const std::string& commit) { ServeCommit(commit, publisher.key); }
};

TEST_CASE("the newest release, and one by its version, are resolved with their signatures") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  Digest newest = node.publisher.Publish(node.tree, "1.1");
  OstreeSource source = node.Source();
  auto target = source.Resolve(std::nullopt);
  REQUIRE(target);
  CHECK(target->release.commit == newest);
  CHECK(target->release.version == "1.1");
  CHECK(target->valid_signatures == 1);
  CHECK(source.Resolve("1.0")->release.version == "1.0");

  auto kept = source.Verify(target->commit, target->signatures);
  REQUIRE(kept);
  CHECK(kept->release.commit == newest);
  std::string altered = target->commit;
  altered.back() ^= 1;
  CHECK(source.Verify(altered, target->signatures).error().code == Code::kNotTrusted);
  CHECK(source.Verify(target->commit, "").error().code == Code::kNotTrusted);
  CHECK_FALSE(fs::exists(node.staging));  // nothing is stored to look
}

TEST_CASE("a release that is not published is not found, and a bad version is refused unasked") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  CHECK(node.Refusal(node.Source(), "9.9").code == Code::kNotFound);
  CHECK(node.Refusal(node.Source(), "../../config").code == Code::kUsage);
  CHECK(node.server->Requests().size() == 1);
}

TEST_CASE("a commit without a valid signature by a trusted key is refused before anything else") {
  Node node;
  SecretKey stranger = *SecretKey::Generate();
  Digest checksum = node.publisher.Publish(node.tree, "1.0");
  std::string commit = *node.publisher.repo.ReadMetadata(ObjectType::kCommit, checksum);
  std::string detached = node.publisher.ObjectPath(checksum, "commitmeta");

  SECTION("none") {
    fs::remove(detached);
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("0 signatures on the commit"));
  }
  SECTION("by an unknown key") {
    node.ServeCommit(commit, stranger);
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("found 0 (1 signatures on the commit, 1 trusted keys here)"));
  }
  SECTION("over other bytes") {
    std::vector<std::string> wrong = {*node.publisher.key.Sign("other")};
    WriteText(detached, *AddSignatures("", wrong));
    CHECK(node.Refusal(node.Source()).code == Code::kNotTrusted);
  }
  SECTION("of another length") {
    std::vector<std::string> wrong = {*node.publisher.key.Sign(commit) + "x",
                                      node.publisher.key.Sign(commit)->substr(1)};
    WriteText(detached, *AddSignatures("", wrong));
    CHECK(node.Refusal(node.Source()).code == Code::kNotTrusted);
  }
  SECTION("by one key where two are required, though that key is there twice") {
    PublicKey again = *node.publisher.key.Public();
    WriteText(node.publisher.keys + "/again.pub", again.Base64());
    Error error = node.Refusal(
        node.Source([](OstreeSourceOptions& options) { options.required_signatures = 2; }));
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("at least 2 trusted keys, found 1: " + node.publisher.keys));
  }
  SECTION("metadata that is no metadata") {
    WriteText(detached, "<html>hello</html>");
    CHECK(node.Refusal(node.Source()).code == Code::kNotTrusted);
  }
  SECTION("too much metadata") {
    WriteText(detached, std::string(kMaxDetachedBytes + 1, 'x'));
    CHECK(node.Refusal(node.Source()).message.contains("at most 1048576 bytes"));
  }
  SECTION("no key here") {
    fs::remove_all(node.publisher.keys);
    CHECK(node.Refusal(node.Source()).message.contains("no trusted key"));
  }
}

TEST_CASE("two keys sign a release for nodes that require two") {
  Node node;
  std::vector<SecretKey> both = {node.publisher.key, *SecretKey::Generate()};
  WriteText(node.publisher.keys + "/second.pub", both[1].Public()->Base64());
  node.publisher.Publish(node.tree, node.publisher.Describe("1.0"), both);
  auto target = node.Source([](OstreeSourceOptions& options) { options.required_signatures = 2; })
                    .Resolve(std::nullopt);
  REQUIRE(target);
  CHECK(target->valid_signatures == 2);
}

TEST_CASE("a signed release for another machine is refused, saying what was expected") {
  Node node;
  auto serve = [&](auto change) {
    Release release = node.publisher.Describe("1.0");
    change(release);
    node.ServeCommit(*BuildCommit({.release = release}));
  };
  SECTION("architecture") {
    serve([](Release& release) { release.architecture = "arm64"; });
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotSupported);
    CHECK(error.message.contains("architecture: expected x86-64, found arm64"));
  }
  SECTION("channel") {
    serve([](Release& release) { release.channel = "beta"; });
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotSupported);
    CHECK(error.message.contains("channel: expected stable, found beta"));
  }
  SECTION("seal format") {
    serve([](Release& release) { release.seal_format = 7; });
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotSupported);
    CHECK(error.message.contains("seal format: expected 1, found 7"));
  }
  SECTION("another version than the one asked for") {
    node.publisher.Publish(node.tree, "1.0");
    fs::copy_file(node.publisher.path + "/refs/heads/hostos/x86-64/stable",
                  node.publisher.path + "/refs/heads/hostos/x86-64/releases/2.0");
    Error error = node.Refusal(node.Source(), "2.0");
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("expected version 2.0, found 1.0"));
  }
}

TEST_CASE("what the server says instead of a commit is never taken for one") {
  Node node;
  Digest checksum = node.publisher.Publish(node.tree, "1.0");
  std::string ref = node.publisher.path + "/refs/heads/hostos/x86-64/stable";
  std::string object = node.publisher.ObjectPath(checksum, "commit");
  SECTION("an error page with status 200 for the ref") {
    WriteText(ref, "<html>Please log in</html>");
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.contains("found \"<html>Please log in</html>\""));
  }
  SECTION("an error page with status 200 for the commit") {
    WriteText(object, "<html>Please log in</html>");
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("expected content with SHA-256 " + checksum.Hex()));
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
    CHECK(node.Refusal(node.Source()).code == Code::kNotFound);
  }
  SECTION("HTTP 500") {
    node.Serve("location /refs { return 500; }");
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.contains("found 500"));
  }
  SECTION("nobody there") {
    OstreeSource source = node.Source();
    node.server.reset();
    auto target = source.Resolve(std::nullopt);
    REQUIRE_FALSE(target);
    CHECK(target.error().code == Code::kNetwork);
  }
}

}  // namespace
}  // namespace hostos
