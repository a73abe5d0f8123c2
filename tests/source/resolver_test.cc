// Which releases a resolver finds, and which it refuses: who signed them, and for what.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "images/publish/build_commit.h"
#include "images/publish/secret_key.h"
#include "tests/source/resolver_node.h"
#include "tests/tuf/repository.h"
#include "updater/release/commit.h"
#include "updater/release/glib.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

TEST_CASE("the newest release, and one by its version, are resolved with their signatures") {
  Node node;
  node.publisher.Publish(node.tree, "1.0");
  Digest newest = node.publisher.Publish(node.tree, "1.1");
  LocalSource source = node.Source();
  auto target = source.Resolve(std::nullopt, kNow);
  REQUIRE(target);
  CHECK(target->release.commit == newest);
  CHECK(target->release.version == "1.1");
  CHECK(target->valid_signatures == 1);
  CHECK(source.Resolve("1.0", kNow)->release.version == "1.0");

  auto kept = source.Verify(target->bytes, target->signatures);
  REQUIRE(kept);
  CHECK(kept->release.commit == newest);
  std::string altered = target->bytes;
  altered.back() ^= 1;
  CHECK(source.Verify(altered, target->signatures).error().code == Code::kNotTrusted);
  CHECK(source.Verify(target->bytes, "").error().code == Code::kNotTrusted);
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
    CHECK(error.message.contains("0 such signatures there"));
  }
  SECTION("by an unknown key") {
    node.ServeCommit(commit, *SecretKey::GenerateHybrid());
    Error error = node.Refusal(node.Source());
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains(
        "found 0 (1 such signatures there, 1 such trusted keys here)"));
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
    CHECK(node.Source([&](SourceOptions& options) { options.signatures.policy = policy; })
              .Resolve(std::nullopt, kNow));
  }
  SECTION("by one key where two are required, though that key is there twice") {
    WriteText(node.publisher.keys + "/again.pub", *PublicText(node.publisher.key));
    Error error =
        node.Refusal(node.Source([](SourceOptions& options) { options.signatures.required = 2; }));
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
  auto target = node.Source([](SourceOptions& options) { options.signatures.required = 2; })
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
      node.Refusal(node.Source([](SourceOptions& o) { o.signatures.required = 2; }));
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
        node.Refusal(node.Source([](SourceOptions& options) { options.product = "other"; }));
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
  LocalSource source = node.Source();
  CHECK(source.Resolve("1.0", kNow)->index == 1);
  CHECK(source.Resolve(std::nullopt, kNow)->index == 2);

  target.minimum_index = 2;
  CHECK(node.publisher.Announce(target).index == 3);
  CHECK(source.Resolve(std::nullopt, kNow)->index == 3);
  const Error error = node.Refusal(node.Source(), "1.0");
  CHECK(error.code == Code::kNotTrusted);
  CHECK(error.message.contains("1.0 was withdrawn: expected a release with an index from 2 on"));
}

}  // namespace

}  // namespace hostos
