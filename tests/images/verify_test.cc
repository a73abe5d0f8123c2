#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "images/program.h"
#include "images/publish/publish.h"
#include "images/publish/scan_directory.h"
#include "images/publish/secret_key.h"
#include "images/verify_release.h"
#include "tests/images/small_release.h"

using namespace hostos;

namespace {

namespace fs = std::filesystem;

Result<Release> Verify(const ReleaseQuery& query) {
  NoProgress progress;
  std::vector<Proof> proofs;
  return VerifyRelease(query, progress, proofs);
}

void CheckRefused(const ReleaseQuery& query, const std::string& message) {
  const auto release = Verify(query);
  REQUIRE_FALSE(release);
  INFO(release.error().message);
  CHECK(release.error().code == Code::kNotTrusted);
  CHECK(release.error().message.contains(message));
}

// The largest content object: that of usr/share/large, or the kernel.
std::string LargestObject(const std::string& repo) {
  std::string largest;
  for (const std::string& file : FilesEndingIn(repo + "/objects", ".filez"))
    if (largest.empty() || fs::file_size(file) > fs::file_size(largest)) largest = file;
  return largest;
}

// A good release, and what is needed to publish something else in its place.
struct Good {
  const SmallRelease& small;
  std::string tree;
  CommitInput input;

  static Good Of(const SmallRelease& small) {
    CommitOptions options = small.Options();
    options.repo = small / "good-repo";
    options.uki_out = small / "hostos.efi";
    const auto release = small.Commit(options);
    REQUIRE(release);
    return {small, options.tree, {.uki = options.uki_out, .release = *release}};
  }

  // In a new repository `name`, signed with the right key.
  Result<Digest> Publish(const std::string& name) const {
    Repo repo = TRY(Repo::CreateArchive(small / name));
    const std::vector<SecretKey> key = TRY(SecretKey::Load(small / "ci.pem"));
    return CommitTree(repo, TRY(ScanDirectory(tree)), input, key);
  }
};

}  // namespace

TEST_CASE("a good release is proven, one proof a step") {
  const SmallRelease small;
  small.BringRescue();
  const auto made = small.Commit();
  REQUIRE(made);
  NoProgress progress;
  std::vector<Proof> proofs;
  const auto release = VerifyRelease(small.Query(), progress, proofs);
  REQUIRE(release);
  CHECK(release->commit == made->commit);
  std::vector<std::string> names;
  for (const Proof& proof : proofs) names.push_back(proof.name);
  CHECK(names == std::vector<std::string>{"signatures", "release", "sizes", "objects", "image",
                                          "root hash", "uki", "rescue"});
}

TEST_CASE("a release that says it brings a rescue, and does not, is refused") {
  const SmallRelease small;
  Good bad = Good::Of(small);
  bad.input.release.rescue = RescueImage{.digest = {}, .size = 1};
  REQUIRE(bad.Publish("repo"));
  CheckRefused(small.Query(), "the commit has no file /usr/lib/hostos/rescue.efi");
}

TEST_CASE("a release is refused without enough signatures of trusted keys") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  ReleaseQuery query = small.Query();
  query.signatures.required = 2;
  CheckRefused(query, "");

  const SmallRelease other;
  query = small.Query();
  query.keys = {other / "keys"};
  CheckRefused(query, "");

  for (const std::string& file : FilesEndingIn(small / "repo/objects", ".commitmeta"))
    fs::remove(file);
  CheckRefused(small.Query(), "");
}

TEST_CASE("two keys sign a release, and both are counted") {
  const SmallRelease small;
  CommitOptions options = small.Options();
  options.keys.push_back(small.AddKey("security"));
  REQUIRE(small.Commit(options));
  ReleaseQuery query = small.Query();
  query.signatures.required = 2;
  CHECK(Verify(query));
  query.signatures.required = 3;
  CheckRefused(query, "");
}

TEST_CASE("a release with a changed byte in any of its objects is refused") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  fs::copy(small / "repo", small / "good", fs::copy_options::recursive);
  for (const char* suffix : {".filez", ".dirtree", ".dirmeta", ".commit", ".commitmeta"}) {
    for (const std::string& file : FilesEndingIn(small / "repo/objects", suffix)) {
      INFO(file);
      ChangeByte(file, static_cast<long>(fs::file_size(file) / 2));
      CheckRefused(small.Query(), "");
      fs::copy_file(small / "good" + file.substr((small / "repo").size()), file,
                    fs::copy_options::overwrite_existing);
    }
  }
  CHECK(Verify(small.Query()));
}

TEST_CASE("a release that lacks an object, or has a longer or shorter one, is refused") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  const std::string object = LargestObject(small / "repo");
  const auto size = fs::file_size(object);
  fs::resize_file(object, size - 1);
  CheckRefused(small.Query(), "signed are");
  fs::resize_file(object, size + 1);
  CheckRefused(small.Query(), "signed are");
  fs::remove(object);
  CheckRefused(small.Query(), "found none");
}

TEST_CASE("a signed release that does not seal to what it says is refused") {
  struct {
    void (*change)(Release&);
    const char* message;
  } const lies[] = {
      {[](Release& release) { release.root_hash.bytes[0] ^= 1; }, "hostos.efi boots root hash"},
      {[](Release& release) { release.image_size += 4096; }, "size of the image"},
      {[](Release& release) { release.verity_size += 4096; }, "size of the hash tree"},
      {[](Release& release) { release.uki_digest.bytes[0] ^= 1; }, "SHA-256 of the UKI"},
      {[](Release& release) { release.uki_size += 1; }, "size of the UKI"},
      {[](Release& release) { release.version = "1.0.1"; }, "calls itself version"},
      {[](Release& release) { release.architecture = "arm64"; }, "PE machine"},
      {[](Release& release) { release.rescue->digest.bytes[0] ^= 1; }, "SHA-256 of the rescue"},
      {[](Release& release) { release.rescue->size += 1; }, "size of the rescue"},
  };
  const SmallRelease small;
  small.BringRescue();
  const Good good = Good::Of(small);
  for (const auto& lie : lies) {
    Good bad = good;
    lie.change(bad.input.release);
    ReleaseQuery query = small.Query();
    query.repo = small / std::format("repo-{}", lie.message);
    const auto commit = bad.Publish(std::format("repo-{}", lie.message));
    if (!commit) {
      // Refused before it is published is as good.
      CHECK(commit.error().message.contains("UKI"));
      continue;
    }
    query.name = commit->Hex();
    CheckRefused(query, lie.message);
  }
}

TEST_CASE("a signed release whose tree is another than the one that was sealed is refused") {
  const SmallRelease small;
  const Good good = Good::Of(small);
  WriteText(small / "root/etc/empty", "x");
  REQUIRE(good.Publish("repo"));
  CheckRefused(small.Query(), "comes out as");
}

TEST_CASE("a ref that the signed commit does not call its own is refused") {
  const SmallRelease small;
  const auto made = small.Commit();
  REQUIRE(made);
  ReleaseQuery query = small.Query();
  query.name = ChannelRef("x86-64", "beta");
  WriteText(small / "repo/refs/heads/" + query.name, made->commit.Hex() + "\n");
  CheckRefused(query, "the ref points at commit");
}

TEST_CASE("hostimage ends with 7 for a release that is not trusted, and with 2 for bad usage") {
  const SmallRelease small;
  REQUIRE(small.Commit());
  const std::string name = small.Query().name;
  const std::vector<std::string> verify = {HOSTIMAGE,      "verify", "--json",       "--repo",
                                           small / "repo", "--keys", small / "keys", name};
  const auto good = RunProgram(verify);
  REQUIRE(good);
  CHECK(good->contains("\"trusted\": true"));

  ChangeByte(LargestObject(small / "repo"), -20);
  const auto bad = RunProgram(verify);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message.contains("ended with exit code 7"));

  const auto usage = RunProgram({HOSTIMAGE, "verify", name});
  REQUIRE_FALSE(usage);
  CHECK(usage.error().message.contains("ended with exit code 2"));
  CHECK(usage.error().message.contains("verify needs --keys DIR"));
  for (const char* verb : {"keygen", "commit", "verify", "disk"}) {
    const auto help = RunProgram({HOSTIMAGE, verb, "--help"});
    REQUIRE(help);
    CHECK(help->starts_with(std::string("usage: hostimage ") + verb));
  }
}

TEST_CASE("hostimage keygen makes a key pair, and replaces no secret") {
  const TempDir directory;
  const std::vector<std::string> keygen = {HOSTIMAGE,           "keygen",   "--secret",
                                           directory / "s.pem", "--public", directory / "p.pub"};
  const auto made = RunProgram(keygen);
  REQUIRE(made);
  const std::string secret = ReadText(directory / "s.pem");
  CHECK(secret.starts_with("-----BEGIN PRIVATE KEY-----"));
  CHECK((fs::status(directory / "s.pem").permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  const std::string trusted = ReadText(directory / "p.pub");
  CHECK(PublicKey::Load(directory / "p.pub"));
  // What it says can be compared, and is none of the keys.
  CHECK(made->contains("secret keys  " + (directory / "s.pem") + ", not encrypted\n"));
  CHECK(made->contains("public keys  " + (directory / "p.pub") + "\n"));
  CHECK(made->contains(RunProgram({"sha256sum", directory / "p.pub"})->substr(0, 64)));
  CHECK(made->size() < 400);

  CHECK_FALSE(RunProgram(keygen));
  CHECK(ReadText(directory / "s.pem") == secret);
  CHECK(ReadText(directory / "p.pub") == trusted);
}
