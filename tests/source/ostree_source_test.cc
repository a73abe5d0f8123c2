#include "updater/source/ostree_source.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "tests/source/http_server.h"
#include "tests/source/release_fixture.h"
#include "tests/tuf/repository.h"
#include "updater/source/glib.h"

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
                                .root = publisher.root,
                                .metadata = publisher.directory / "trusted",
                                .staging = staging,
                                .parent = "",
                                .key_directories = {publisher.keys},
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
    auto target = source.Resolve(version, kNow);
    REQUIRE_FALSE(target);
    CHECK_FALSE(fs::exists(staging));
    for (const HttpRequest& request : server->Requests()) {
      CHECK((request.path.starts_with("/metadata/") || request.path.starts_with("/targets/") ||
             request.path.contains(".commit")));
    }
    return target.error();
  }

  // Serves these bytes as the commit of 1.0, signed by the publisher or by `signers`.
  void ServeCommit(const std::string& commit, std::span<const SecretKey> signers) {
    Digest checksum = PutObject(publisher.path, commit, "commit");
    WriteText(publisher.ObjectPath(checksum, "commitmeta"), Signed(signers, commit));
    Release release = publisher.Describe("1.0");
    release.commit = checksum;
    publisher.Announce(TargetOf(release));
  }
  void ServeCommit(const std::string& commit) { ServeCommit(commit, publisher.key); }
};

TEST_CASE("the newest release, and one by its version, are resolved with their signatures") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  Digest newest = node.publisher.Publish(node.tree, "1.1");
  OstreeSource source = node.Source();
  auto target = source.Resolve(std::nullopt, kNow);
  REQUIRE(target);
  CHECK(target->release.commit == newest);
  CHECK(target->release.version == "1.1");
  CHECK(target->valid_signatures == 1);
  CHECK(source.Resolve("1.0", kNow)->release.version == "1.0");

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
  const size_t asked = node.server->Requests().size();
  CHECK(node.Refusal(node.Source(), "../../config").code == Code::kUsage);
  CHECK(node.server->Requests().size() == asked);
}

TEST_CASE("a commit without a valid signature by a trusted key is refused before anything else") {
  Node node;
  Digest checksum = node.publisher.Publish(node.tree, "1.0");
  std::string commit = *node.publisher.repo.ReadMetadata(ObjectType::kCommit, checksum);
  std::string detached = node.publisher.ObjectPath(checksum, "commitmeta");

  SECTION("none") {
    fs::remove(detached);
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("0 such signatures on the commit"));
  }
  SECTION("by an unknown key") {
    node.ServeCommit(commit, *SecretKey::GenerateHybrid());
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains(
        "found 0 (1 such signatures on the commit, 1 such trusted keys here)"));
  }
  SECTION("over other bytes") {
    WriteText(detached, Signed(node.publisher.key, "other"));
    CHECK(node.Refusal(node.Source()).code == Code::kNotTrusted);
  }
  SECTION("of another length") {
    const size_t longer = GENERATE(0u, 1u);
    std::vector<Signature> wrong;
    for (const SecretKey& key : node.publisher.key) wrong.push_back(*key.Sign(commit));
    wrong[longer].bytes += "x";
    WriteText(detached, *AddSignatures("", wrong));
    CHECK(node.Refusal(node.Source()).code == Code::kNotTrusted);
    wrong[longer].bytes.resize(wrong[longer].bytes.size() - 2);
    WriteText(detached, *AddSignatures("", wrong));
    CHECK(node.Refusal(node.Source()).code == Code::kNotTrusted);
  }
  SECTION("of one algorithm only") {
    const size_t kept = GENERATE(0u, 1u);
    const auto policy = kept == 0 ? SignaturePolicy::kClassical : SignaturePolicy::kPq;
    WriteText(detached, Signed(std::span(node.publisher.key).subspan(kept, 1), commit));
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(
        error.message.contains(std::format("expected {} signatures by at least 1 trusted keys, "
                                           "found 0",
                                           Name(kAlgorithms[1 - kept]))));
    // Where the node's policy is to ask for no other, that is enough.
    CHECK(node.Source([&](OstreeSourceOptions& options) { options.signatures.policy = policy; })
              .Resolve(std::nullopt, kNow));
  }
  SECTION("by one key where two are required, though that key is there twice") {
    WriteText(node.publisher.keys + "/again.pub", *PublicText(node.publisher.key));
    Error error = node.Refusal(
        node.Source([](OstreeSourceOptions& options) { options.signatures.required = 2; }));
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
  SECTION("more of them than anybody needs, the good ones among them") {
    const size_t junk = GENERATE(kMaxSignatures - 1, kMaxSignatures);  // and the ML-DSA-65 one
    const Signature good = *node.publisher.key[0].Sign(commit);
    GVariantBuilder classical;
    g_variant_builder_init(&classical, G_VARIANT_TYPE("aay"));
    for (size_t i = 1; i < junk; i++)
      g_variant_builder_add_value(&classical, NewByteArray(std::string(64, 'x')));
    g_variant_builder_add_value(&classical, NewByteArray(good.bytes));
    GVariantDict dict;
    g_variant_dict_init(&dict, VariantFromBytes("a{sv}", ReadText(detached)).get());
    g_variant_dict_insert_value(&dict, "ostree.sign.ed25519", g_variant_builder_end(&classical));
    auto metadata = VariantRef::Retain(g_variant_dict_end(&dict));
    WriteText(detached, std::string(VariantBytes(metadata.get())));
    if (junk == kMaxSignatures - 1) {
      CHECK(node.Source().Resolve(std::nullopt, kNow));
    } else {
      CHECK(node.Refusal(node.Source()).message.contains("expected at most 64, found 65"));
      const Signature more{Algorithm::kEd25519, std::string(64, 'y')};
      CHECK_FALSE(AddSignatures(ReadText(detached), {&more, 1}));
    }
  }
  SECTION("no key here") {
    fs::remove_all(node.publisher.keys);
    CHECK(node.Refusal(node.Source()).message.contains("no trusted key"));
  }
}

TEST_CASE("two keys sign a release for nodes that require two") {
  Node node;
  std::vector<SecretKey> both = node.publisher.key;
  const std::vector<SecretKey> second = *SecretKey::GenerateHybrid();
  both.insert(both.end(), second.begin(), second.end());
  WriteText(node.publisher.keys + "/second.pub", *PublicText(second));
  node.publisher.Publish(node.tree, node.publisher.Describe("1.0"), both);
  auto target = node.Source([](OstreeSourceOptions& options) { options.signatures.required = 2; })
                    .Resolve(std::nullopt, kNow);
  REQUIRE(target);
  CHECK(target->valid_signatures == 2);
}

TEST_CASE("a key of the operator's that is none ends no update, and is named when others lack") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  WriteText(node.publisher.keys + "/own.pub", "ssh-ed25519 AAAA me@example\n");
  CHECK(node.Source().Resolve(std::nullopt, kNow));
  const Error error =
      node.Refusal(node.Source([](OstreeSourceOptions& o) { o.signatures.required = 2; }));
  CHECK(error.code == Code::kNotTrusted);
  CHECK(
      error.message.contains("not used: " + node.publisher.keys + "/own.pub:1: expected a public"));
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
  SECTION("product") {
    node.publisher.Publish(node.tree, "1.0");
    Error error =
        node.Refusal(node.Source([](OstreeSourceOptions& options) { options.product = "other"; }));
    CHECK(error.code == Code::kNotFound);
    CHECK(error.message.contains("other/x86-64/stable.json: no role of the repository signed"));
  }
}

TEST_CASE(
    "a release of another product, channel or architecture is refused under the right name too") {
  Node node;
  Release release = node.publisher.Describe("1.0");
  ReleaseTarget target = TargetOf(release);
  const std::string name = ChannelTarget(target.product, target.architecture, target.channel);
  std::string reason;
  SECTION("product") {
    target.product = "other";
    reason = "product: expected hostos, found other";
  }
  SECTION("channel") {
    release.channel = target.channel = "beta";
    reason = "channel: expected stable, found beta";
  }
  SECTION("architecture") {
    release.architecture = target.architecture = "arm64";
    reason = "architecture: expected x86-64, found arm64";
  }
  const std::string commit = *BuildCommit({.release = release});
  node.ServeCommit(commit);
  target.commit = Sha256::Of(AsBytes(commit));
  target.index = 1;
  tuf::Repository careless;  // signs any target under any name, and takes the publisher's place
  careless.AddTarget("targets", name, WriteReleaseTarget(target));
  careless.Publish({"targets", "snapshot", "timestamp"});
  for (const auto& [file, bytes] : careless.metadata.files)
    WriteText(node.publisher.path + "/metadata/" + file, bytes);
  for (const auto& [file, bytes] : careless.targets.files)
    WriteText(node.publisher.path + "/targets/" + file, bytes);
  const Error error = node.Refusal(node.Source());
  CHECK(error.code == Code::kNotSupported);
  CHECK(error.message.contains(reason));
}

TEST_CASE("a release is what its target and its commit both say, field by field") {
  Node node;
  const Release release = node.publisher.Describe("1.0");
  ReleaseTarget target = TargetOf(release);
  target.commit = node.publisher.Publish(node.tree, release, node.publisher.key);
  const auto refused = [&](const char* field) {
    node.publisher.Announce(target);
    const Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains(std::format("{}: expected ", field)));
  };
  SECTION("version") {
    target.version = "1.0.1";
    refused("version");
  }
  SECTION("root hash") {
    target.root_hash.bytes[0] ^= 1;
    refused("root hash");
  }
  SECTION("image size") {
    target.image_size++;
    refused("image size");
  }
  SECTION("SHA-256 of the UKI") {
    target.uki_digest.bytes[31] ^= 1;
    refused("SHA-256 of the UKI");
  }
  SECTION("size of the UKI") {
    target.uki_size--;
    refused("size of the UKI");
  }
}

TEST_CASE("releases have an index that only grows, and those before the least one are withdrawn") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  const Release second = node.publisher.Describe("1.1");
  ReleaseTarget target = TargetOf(second);
  target.commit = node.publisher.Publish(node.tree, second, node.publisher.key);
  OstreeSource source = node.Source();
  CHECK(source.Resolve("1.0", kNow)->index == 1);
  CHECK(source.Resolve(std::nullopt, kNow)->index == 2);

  target.minimum_index = 2;
  CHECK(node.publisher.Announce(target).index == 3);
  CHECK(source.Resolve(std::nullopt, kNow)->index == 3);
  const Error error = node.Refusal(node.Source(), "1.0");
  CHECK(error.code == Code::kNotTrusted);
  CHECK(error.message.contains("1.0 was withdrawn: expected a release with an index from 2 on"));
}

TEST_CASE("a server that says 403 of what is not there is asked for the next root all the same") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  node.Serve(kForbidsTheAbsent);
  OstreeSource source = node.Source();
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
  OstreeSource source = node.Source();
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
  OstreeSource source = node.Source();
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
  OstreeSource source = node.Source();
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
    OstreeSource source = node.Source();
    node.server.reset();
    auto target = source.Resolve(std::nullopt, kNow);
    REQUIRE_FALSE(target);
    CHECK(target.error().code == Code::kNetwork);
  }
}

}  // namespace
}  // namespace hostos
