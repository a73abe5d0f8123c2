#include "updater/release/commit.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <map>
#include <sstream>

#include "images/publish/build_commit.h"
#include "images/publish/secret_key.h"
#include "tests/source/release_fixture.h"
#include "updater/release/glib.h"

namespace hostos {
namespace {

// One element of "ostree.sizes".
std::string SizeElement(std::string_view varints, ObjectType type) {
  return std::string(32, 'c') + std::string(varints) + static_cast<char>(type);
}

std::string WithMetadata(const std::string& commit, auto change) {
  VariantRef old = VariantFromBytes("(a{sv}aya(say)sstayay)", commit);
  auto metadata = VariantRef::Adopt(g_variant_get_child_value(old.get(), 0));
  GVariantDict dict;
  g_variant_dict_init(&dict, metadata.get());
  change(&dict);
  std::vector<VariantRef> rest;
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_TUPLE);
  g_variant_builder_add_value(&builder, g_variant_dict_end(&dict));
  for (size_t i = 1; i < g_variant_n_children(old.get()); ++i) {
    rest.push_back(VariantRef::Adopt(g_variant_get_child_value(old.get(), i)));
    g_variant_builder_add_value(&builder, rest.back().get());
  }
  auto changed = VariantRef::Retain(g_variant_builder_end(&builder));
  return std::string(VariantBytes(changed.get()));
}

TEST_CASE("a published commit reads back as the release it was made from") {
  Publisher publisher;
  MakeOddTree(publisher.directory / "tree");
  Release release = publisher.Describe("1.0.0");
  Digest checksum = publisher.Publish(publisher.directory / "tree", release, publisher.key);
  std::string bytes = *publisher.repo.ReadMetadata(ObjectType::kCommit, checksum);
  auto commit = ParseCommit(bytes);
  REQUIRE(commit);
  const Release& found = commit->release;
  CHECK(found.commit == checksum);
  CHECK(found.version == release.version);
  CHECK(found.architecture == release.architecture);
  CHECK(found.channel == release.channel);
  CHECK(found.timestamp == release.timestamp);
  CHECK(found.seal_format == release.seal_format);
  CHECK(found.root_hash == release.root_hash);
  CHECK(found.image_size == release.image_size);
  CHECK(found.verity_size == release.verity_size);
  CHECK(found.uki_digest == release.uki_digest);
  CHECK(found.uki_size == release.uki_size);
  CHECK(found.packages == release.packages);
  std::string shown = Shell("ostree show --repo=" + publisher.path + " " + checksum.Hex()).output;
  CHECK(shown.contains("HostOS 1.0.0"));
  CHECK(shown.contains("Version: 1.0.0"));
}

TEST_CASE("the signed sizes name every object of the tree with the size it has in the archive") {
  Publisher publisher;
  MakeOddTree(publisher.directory / "tree");
  publisher.Publish(publisher.directory / "tree", "1.0.0");
  // Again, over objects that already exist: none may be left out.
  Digest checksum = publisher.Publish(publisher.directory / "tree", "1.0.1");
  auto commit = ParseCommit(*publisher.repo.ReadMetadata(ObjectType::kCommit, checksum));
  REQUIRE(commit);
  std::map<std::string, ObjectSize> sizes;
  for (const ObjectSize& size : commit->sizes) {
    const char* extension = size.type == ObjectType::kFile      ? "filez"
                            : size.type == ObjectType::kDirtree ? "dirtree"
                                                                : "dirmeta";
    std::string path = publisher.ObjectPath(size.checksum, extension);
    CAPTURE(path);
    CHECK(std::filesystem::file_size(path) == size.archived);
    sizes.emplace(size.checksum.Hex(), size);
  }
  // `ostree ls -C` prints type and mode, owner, group, size, then the checksums: content or dirtree
  // and, for a directory, dirmeta.
  std::istringstream listing(
      Shell("ostree ls -R -C --repo=" + publisher.path + " " + checksum.Hex()).output);
  size_t lines = 0;
  for (std::string line; std::getline(listing, line); ++lines) {
    CAPTURE(line);
    std::istringstream words(line);
    std::string mode, owner, group, size, first, second;
    words >> mode >> owner >> group >> size >> first >> second;
    REQUIRE(sizes.contains(first));
    if (mode.starts_with("-")) CHECK(std::to_string(sizes[first].unpacked) == size);
    if (mode.starts_with("d")) CHECK(sizes.contains(second));
  }
  CHECK(lines > 25);
}

TEST_CASE("committing the same tree twice gives the same commit") {
  Publisher one, two;
  MakeOddTree(one.directory / "tree");
  MakeOddTree(two.directory / "tree");
  CHECK(one.Publish(one.directory / "tree", "1") == two.Publish(two.directory / "tree", "1"));
}

TEST_CASE("a commit that lacks a key, or has it with another type or value, is not trusted") {
  Publisher publisher;
  std::string good = *BuildCommit({.release = publisher.Describe("1.0")});
  REQUIRE(ParseCommit(good));
  auto error = [&](auto change) {
    auto commit = ParseCommit(WithMetadata(good, change));
    REQUIRE_FALSE(commit);
    CHECK(commit.error().code == Code::kNotTrusted);
    return commit.error().message;
  };
  for (const char* key :
       {"hostos.version", "hostos.architecture", "hostos.channel", "hostos.seal-format",
        "hostos.root-hash", "hostos.image-size", "hostos.verity-size", "hostos.uki-sha256",
        "hostos.uki-size", "hostos.packages", "ostree.sizes"}) {
    CAPTURE(key);
    std::string missing = error([&](GVariantDict* dict) { g_variant_dict_remove(dict, key); });
    CHECK(missing.contains(std::format("expected the key '{}', found none", key)));
    std::string type =
        error([&](GVariantDict* dict) { g_variant_dict_insert(dict, key, "d", 1.0); });
    CHECK(type.contains(key));
    CHECK(type.contains("found 'd'"));
  }
  for (const char* bad : {"", "a/b", "../x", ".x", "a b", "123456789012345678901234567890"}) {
    std::string message =
        error([&](GVariantDict* dict) { g_variant_dict_insert(dict, "hostos.version", "s", bad); });
    CHECK(message.contains(std::format("found '{}'", bad)));
  }
  for (guint64 bad : {guint64{0}, guint64{1} << 63, ~guint64{0}}) {
    CHECK(error([&](GVariantDict* dict) {
            g_variant_dict_insert(dict, "hostos.image-size", "t", bad);
          }).contains("hostos.image-size"));
  }
  CHECK(error([&](GVariantDict* dict) {
          g_variant_dict_insert(dict, "hostos.root-hash", "s", "ABCD");
        }).contains("hostos.root-hash"));
}

TEST_CASE("a commit says which rescue its release brings, or that it brings none") {
  Publisher publisher;
  Release release = publisher.Describe("1.0");
  CHECK_FALSE(ParseCommit(*BuildCommit({.release = release}))->release.rescue);
  release.rescue = RescueImage{.digest = release.uki_digest, .size = 45'000'000};
  const std::string good = *BuildCommit({.release = release});
  CHECK(ParseCommit(good)->release.rescue == release.rescue);

  auto refused = [&](const char* key, auto change) {
    const auto commit = ParseCommit(WithMetadata(good, change));
    return !commit && commit.error().code == Code::kNotTrusted &&
           commit.error().message.contains(key);
  };
  for (const char* key : {"hostos.rescue-sha256", "hostos.rescue-size"}) {
    CAPTURE(key);
    CHECK(refused(key, [&](GVariantDict* dict) { g_variant_dict_remove(dict, key); }));
    CHECK(refused(key, [&](GVariantDict* dict) { g_variant_dict_insert(dict, key, "d", 1.0); }));
  }
  for (guint64 bad : {guint64{0}, guint64{1} << 63})
    CHECK(refused("hostos.rescue-size", [&](GVariantDict* dict) {
      g_variant_dict_insert(dict, "hostos.rescue-size", "t", bad);
    }));
}

TEST_CASE("a commit of seal format 2 says where files lie") {
  Publisher publisher;
  Release release = publisher.Describe("1.0");
  release.seal_format = 2;
  const std::string good = *BuildCommit({.release = release, .layout = {7, 0x01020304}});
  CHECK(ParseCommit(good)->layout == std::vector<uint32_t>{7, 0x01020304});
  for (const auto& change : std::initializer_list<std::function<void(GVariantDict*)>>{
           [](GVariantDict* dict) { g_variant_dict_remove(dict, kLayoutKey); },
           [](GVariantDict* dict) { g_variant_dict_insert(dict, kLayoutKey, "s", "7"); },
           [](GVariantDict* dict) {
             g_variant_dict_insert_value(dict, kLayoutKey, g_variant_new("au", nullptr));
           }}) {
    const auto commit = ParseCommit(WithMetadata(good, change));
    REQUIRE_FALSE(commit);
    CHECK(commit.error().code == Code::kNotTrusted);
    CHECK(commit.error().message.contains(kLayoutKey));
  }
  // In another format it means nothing.
  release.seal_format = 1;
  CHECK(ParseCommit(*BuildCommit({.release = release, .layout = {7}}))->layout.empty());
}

TEST_CASE("signed sizes are read as base-128 numbers, and refused when malformed") {
  Publisher publisher;
  auto parse = [&](const std::vector<std::string>& sizes) {
    std::string commit = *BuildCommit({.release = publisher.Describe("1.0")});
    return ParseCommit(WithMetadata(commit, [&](GVariantDict* dict) {
      GVariantBuilder array;
      g_variant_builder_init(&array, G_VARIANT_TYPE("aay"));
      for (const std::string& size : sizes) {
        g_variant_builder_add_value(&array, NewByteArray(size));
      }
      g_variant_dict_insert_value(dict, "ostree.sizes", g_variant_builder_end(&array));
    }));
  };
  auto good = parse({SizeElement("\xac\x02\x80\x80\x01", ObjectType::kFile)});
  REQUIRE(good);
  CHECK(good->sizes.at(0).archived == 300);
  CHECK(good->sizes.at(0).unpacked == 16384);
  CHECK(good->sizes.at(0).type == ObjectType::kFile);

  const std::string big(8, '\xff');
  const std::vector<std::vector<std::string>> bad = {
      {""},
      {std::string(32, 'c')},
      {SizeElement("\x01", ObjectType::kFile)},
      {SizeElement("\x01\x01", ObjectType::kCommit)},
      {SizeElement("\x01\x01\x01", ObjectType::kFile)},
      {SizeElement("\x80\x80", ObjectType::kFile)},
      {SizeElement(big + "\xff\x01\x01", ObjectType::kFile)},  // more than INT64_MAX
      {SizeElement(big + big + "\x01", ObjectType::kFile)},    // never ends
      {SizeElement("\x01\x01", ObjectType::kFile),             // the same twice
       SizeElement("\x02\x01", ObjectType::kFile)},
      {SizeElement(big + "\x7f\x01", ObjectType::kFile),  // the sum overflows
       SizeElement(big + "\x7f\x01", ObjectType::kDirtree)},
  };
  for (size_t i = 0; i < bad.size(); ++i) {
    CAPTURE(i);
    auto commit = parse(bad[i]);
    REQUIRE_FALSE(commit);
    CHECK(commit.error().code == Code::kNotTrusted);
    CHECK(commit.error().message.contains("ostree.sizes"));
  }
}

TEST_CASE("no truncated, oversized or doubled commit is read") {
  Publisher publisher;
  std::string good = *BuildCommit({.release = publisher.Describe("1.0")});
  for (size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(ParseCommit(good.substr(0, size)));
  }
  auto oversized = ParseCommit(std::string(kMaxCommitBytes + 1, 'x'));
  REQUIRE_FALSE(oversized);
  CHECK(oversized.error().message.contains("at most 16777216 bytes"));

  // If a key were there twice, HostOS could read one value and others another.
  auto pair = [](const char* key, const char* value) {
    return g_variant_new_dict_entry(g_variant_new_string(key),
                                    g_variant_new_variant(g_variant_new_string(value)));
  };
  std::array<GVariant*, 2> pairs = {pair("hostos.version", "1"), pair("hostos.version", "2")};
  auto commit = VariantRef::Retain(g_variant_new(
      "(@a{sv}@ay@a(say)sst@ay@ay)",
      g_variant_new_array(G_VARIANT_TYPE("{sv}"), pairs.data(), pairs.size()), NewByteArray(""),
      g_variant_new_array(G_VARIANT_TYPE("(say)"), nullptr, 0), "", "", guint64{0},
      NewByteArray(std::string(32, '\0')), NewByteArray(std::string(32, '\0'))));
  auto twice = ParseCommit(VariantBytes(commit.get()));
  REQUIRE_FALSE(twice);
  CHECK(twice.error().message.contains("'hostos.version' is there twice"));
}

TEST_CASE("signatures are kept where ostree keeps them, beside what else is there") {
  Publisher publisher;
  MakeOddTree(publisher.directory / "tree");
  Digest checksum = publisher.Publish(publisher.directory / "tree", "1.0");
  std::string commit = *publisher.repo.ReadMetadata(ObjectType::kCommit, checksum);
  std::string detached = *publisher.repo.ReadDetachedMetadata(checksum);
  auto signatures = ReadSignatures(detached);
  REQUIRE(signatures);
  REQUIRE(signatures->size() == 2);
  CHECK(signatures->at(0) == *publisher.key[0].Sign(commit));
  CHECK(signatures->at(1) == *publisher.key[1].Sign(commit));

  // As upstream stores them: an array of byte arrays under one key for each kind of `ostree sign`.
  for (size_t i = 0; i < 2; i++) {
    std::string shown =
        Shell(std::format("ostree show --repo={} --print-detached-metadata-key="
                          "ostree.sign.{} {}",
                          publisher.path, i == 0 ? "ed25519" : "spki", checksum.Hex()))
            .output;
    auto printed = VariantRef::Adopt(
        g_variant_parse(G_VARIANT_TYPE("aay"), shown.c_str(), nullptr, nullptr, nullptr));
    REQUIRE(printed);
    REQUIRE(g_variant_n_children(printed.get()) == 1);
    auto child = VariantRef::Adopt(g_variant_get_child_value(printed.get(), 0));
    CHECK(VariantArray(child.get()) == signatures->at(i).bytes);
  }

  GVariantDict dict;
  VariantRef old = VariantFromBytes("a{sv}", detached);
  g_variant_dict_init(&dict, old.get());
  g_variant_dict_insert(&dict, "other", "s", "kept");
  auto more = VariantRef::Retain(g_variant_dict_end(&dict));
  SecretKey second = *SecretKey::Generate(Algorithm::kEd25519);
  std::vector<Signature> add = {*second.Sign(commit), signatures->at(0), signatures->at(1)};
  std::string both = *AddSignatures(VariantBytes(more.get()), add);
  CHECK(ReadSignatures(both)->size() == 3);
  VariantRef result = VariantFromBytes("a{sv}", both);
  const char* other = nullptr;
  CHECK(g_variant_lookup(result.get(), "other", "&s", &other));

  REQUIRE(publisher.repo.WriteDetachedMetadata(checksum, both));
  CHECK(*publisher.repo.ReadDetachedMetadata(checksum) == both);
}

TEST_CASE("a commit needs valid signatures by as many distinct trusted keys as required") {
  const auto [policy, algorithm] =
      GENERATE(std::pair{SignaturePolicy::kClassical, Algorithm::kEd25519},
               std::pair{SignaturePolicy::kPq, Algorithm::kMlDsa65});
  SecretKey a = *SecretKey::Generate(algorithm), b = *SecretKey::Generate(algorithm),
            c = *SecretKey::Generate(algorithm);
  std::string commit = "the bytes";
  auto trust = [](const SecretKey& key, const char* name) {
    PublicKey open = *key.Public();
    open.name = name;
    return open;
  };
  std::vector<PublicKey> trusted = {trust(a, "a.pub"), trust(a, "copy.pub"), trust(b, "b.pub")};
  auto verify = [&](std::vector<Signature> signatures, uint32_t required) {
    return VerifyCommit(commit, *AddSignatures("", signatures), trusted, {policy, required});
  };
  CHECK(verify({*a.Sign(commit)}, 1) == 1u);
  CHECK(verify({*a.Sign(commit), *b.Sign(commit), *c.Sign(commit)}, 2) == 2u);

  auto one = verify({*a.Sign(commit), *c.Sign(commit)}, 2);
  REQUIRE_FALSE(one);
  CHECK(one.error().code == Code::kNotTrusted);
  CHECK(one.error().message ==
        std::format("expected {} signatures by at least 2 trusted keys, found 1: a.pub (2 such "
                    "signatures there, 3 such trusted keys here)",
                    Name(algorithm)));
  CHECK_FALSE(verify({}, 1));
  CHECK_FALSE(verify({}, 0));  // without a signature nothing is ever trusted
  CHECK_FALSE(verify({*c.Sign(commit)}, 1));
  CHECK_FALSE(verify({*a.Sign("other bytes")}, 1));
  CHECK_FALSE(verify({{algorithm, a.Sign(commit)->bytes + "x"}}, 1));
  CHECK_FALSE(VerifyCommit(commit, "", trusted, {policy, 1}));
  CHECK_FALSE(VerifyCommit(commit, "<html>no signatures</html>", trusted, {policy, 1}));
  // A signature that claims to be of the other algorithm does not count.
  const Algorithm other = kAlgorithms[algorithm == Algorithm::kEd25519];
  CHECK_FALSE(verify({{other, a.Sign(commit)->bytes}}, 1));
}

TEST_CASE("a hybrid signature needs both halves, each by as many keys as required") {
  const std::vector<SecretKey> a = *SecretKey::GenerateHybrid(), b = *SecretKey::GenerateHybrid();
  std::vector<PublicKey> trusted;
  for (const SecretKey& key : {a[0], a[1], b[0], b[1]}) trusted.push_back(*key.Public());
  const auto verify = [&](std::vector<SecretKey> signers, uint32_t required) {
    return VerifyCommit("data", Signed(signers, "data"), trusted,
                        {SignaturePolicy::kHybrid, required});
  };
  CHECK(verify({a[0], a[1]}, 1) == 1u);
  CHECK(verify({a[0], b[1]}, 1) == 1u);
  CHECK(verify({a[0], a[1], b[0], b[1]}, 2) == 2u);
  for (const size_t half : {0u, 1u}) {
    const Result<uint32_t> one = verify({a[half]}, 1);
    REQUIRE_FALSE(one);
    CHECK(one.error().message.starts_with(
        std::format("expected {} signatures", Name(kAlgorithms[1 - half]))));
  }
  CHECK_FALSE(verify({a[0], b[0]}, 1));
  CHECK_FALSE(verify({a[0], a[1], b[0]}, 2));
  CHECK_FALSE(verify({a[0], a[1], b[1]}, 2));
  // Without a key of one algorithm a node trusts nothing, instead of going by the other alone.
  trusted = {*a[0].Public()};
  CHECK_FALSE(verify({a[0], a[1]}, 1));
}

TEST_CASE("a release whose names would not fit refs, file names and GPT names is not committed") {
  Publisher publisher;
  Release release = publisher.Describe("1.0");
  release.version = "1.0/..";
  CHECK(BuildCommit({.release = release}).error().code == Code::kUsage);
  CHECK(IsValidName("20261121.1-rc1"));
  CHECK_FALSE(IsValidName("-x"));
  CHECK_FALSE(IsValidName("1_0"));
}

}  // namespace
}  // namespace hostos
