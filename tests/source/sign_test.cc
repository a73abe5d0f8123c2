#include "updater/source/sign.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/source/release_fixture.h"

namespace hostos {
namespace {

std::string Base64Of(const std::string& directory, std::string_view bytes) {
  WriteText(directory + "/bytes", bytes);
  std::string text = Shell("base64 -w0 " + directory + "/bytes").output;
  return text;
}

TEST_CASE("openssl accepts our signatures, and we accept those of openssl") {
  TempDir temp;
  SecretKey key = *SecretKey::Generate();
  REQUIRE(key.Save(temp / "key"));
  WriteText(temp / "message", "a commit object");
  WriteText(temp / "ours", *key.Sign("a commit object"));
  std::string in = "cd " + temp.path() + " && ";
  CHECK(Shell(in + "openssl pkeyutl -verify -inkey key -rawin -in message -sigfile ours").status ==
        0);
  REQUIRE(Shell(in + "openssl genpkey -algorithm ed25519 -out theirs.key && chmod 600 theirs.key &&"
                     "openssl pkeyutl -sign -inkey theirs.key -rawin -in message -out theirs")
              .status == 0);
  PublicKey theirs = *SecretKey::Load(temp / "theirs.key")->Public();
  CHECK(theirs.Verifies("a commit object", ReadText(temp / "theirs")));
  CHECK_FALSE(theirs.Verifies("another object", ReadText(temp / "theirs")));
  CHECK_FALSE(theirs.Verifies("a commit object", ReadText(temp / "ours")));
}

TEST_CASE("a signature counts only with exactly 64 bytes") {
  SecretKey key = *SecretKey::Generate();
  PublicKey open = *key.Public();
  std::string signature = *key.Sign("data");
  REQUIRE(signature.size() == 64);
  CHECK(open.Verifies("data", signature));
  CHECK_FALSE(open.Verifies("data", signature.substr(0, 63)));
  CHECK_FALSE(open.Verifies("data", signature + "x"));
  CHECK_FALSE(open.Verifies("data", ""));
}

TEST_CASE("a secret key is read as PEM and in the form of ostree sign, and only when private") {
  TempDir temp;
  SecretKey key = *SecretKey::Generate();
  REQUIRE(key.Save(temp / "key"));
  struct stat status;
  REQUIRE(::stat((temp / "key").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK_FALSE(key.Save(temp / "key"));  // never replaced
  CHECK(SecretKey::Load(temp / "key")->Public()->bytes == key.Public()->bytes);

  // The last 32 bytes of the PKCS#8 form are the seed (RFC 8410).
  REQUIRE(
      Shell("openssl pkey -in " + (temp / "key") + " -outform DER -out " + (temp / "der")).status ==
      0);
  std::string der = ReadText(temp / "der");
  std::string seed = der.substr(der.size() - 32);
  PublicKey open = *key.Public();
  std::string half(reinterpret_cast<const char*>(open.bytes.data()), 32);
  WriteText(temp / "ostree", Base64Of(temp.path(), seed + half) + "\n");
  ::chmod((temp / "ostree").c_str(), 0600);
  REQUIRE(SecretKey::Load(temp / "ostree"));
  CHECK(*SecretKey::Load(temp / "ostree")->Sign("x") == *key.Sign("x"));

  WriteText(temp / "mixed", Base64Of(temp.path(), seed + seed));
  ::chmod((temp / "mixed").c_str(), 0600);
  CHECK(SecretKey::Load(temp / "mixed").error().message.contains("does not belong"));

  ::chmod((temp / "key").c_str(), 0640);
  auto refused = SecretKey::Load(temp / "key");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.contains("0640"));

  WriteText(temp / "junk", "junk");
  ::chmod((temp / "junk").c_str(), 0600);
  CHECK(SecretKey::Load(temp / "junk").error().message.contains("expected an ed25519 secret key"));
}

TEST_CASE("trusted keys come from several directories, each key material once") {
  TempDir temp;
  std::string one = SecretKey::Generate()->Public()->Base64();
  std::string two = SecretKey::Generate()->Public()->Base64();
  WriteText(temp / "a/one.pub", "# a comment\n\n  " + one + "  \n" + two + "\n");
  WriteText(temp / "b/again.pub", one);
  WriteText(temp / "b/note.txt", "not a key");
  std::vector<std::string> directories = {temp / "a", temp / "b", temp / "absent"};
  auto keys = LoadTrustedKeys(directories);
  REQUIRE(keys);
  REQUIRE(keys->size() == 2);
  CHECK(keys->at(0).Base64() == one);
  CHECK(keys->at(0).name == temp / "a/one.pub");
  CHECK(keys->at(1).Base64() == two);
}

TEST_CASE("a malformed key is an error with file and line; no key at all is not trusted") {
  TempDir temp;
  std::vector<std::string> directories = {temp / "a"};
  auto none = LoadTrustedKeys(directories);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::kNotTrusted);
  CHECK(none.error().message.contains(temp / "a"));
  std::string good = SecretKey::Generate()->Public()->Base64();
  for (const std::string& bad : {std::string("AAAA"), good.substr(0, 40), good + "=", "x" + good,
                                 std::string("!!!!"), good.substr(0, 43), good + good}) {
    CAPTURE(bad);
    WriteText(temp / "a/k.pub", "# first\n" + good + "\n" + bad + "\n");
    auto keys = LoadTrustedKeys(directories);
    REQUIRE_FALSE(keys);
    CHECK(keys.error().message.contains("a/k.pub:3: expected an ed25519 public key"));
  }
  WriteText(temp / "a/k.pub", "# nothing\n");
  CHECK(LoadTrustedKeys(directories).error().message.contains("found none"));
}

TEST_CASE("signers are counted over distinct key material") {
  SecretKey first = *SecretKey::Generate(), second = *SecretKey::Generate();
  std::vector<PublicKey> trusted = {*first.Public(), *first.Public(), *second.Public()};
  std::vector<std::string> twice = {*first.Sign("d"), *first.Sign("d")};
  CHECK(ValidSigners(trusted, "d", twice).size() == 1);
  twice.push_back(*second.Sign("d"));
  CHECK(ValidSigners(trusted, "d", twice).size() == 2);
  CHECK(ValidSigners(trusted, "e", twice).empty());
}

}  // namespace
}  // namespace hostos
