#include "updater/release/signature.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include "images/publish/secret_key.h"
#include "tests/source/release_fixture.h"
#include "updater/release/secret_text.h"

namespace hostos {
namespace {

std::string Base64Of(const std::string& directory, std::string_view bytes) {
  WriteText(directory + "/bytes", bytes);
  std::string text = Shell("base64 -w0 " + directory + "/bytes").output;
  return text;
}

TEST_CASE("openssl accepts our signatures, and we accept those of openssl") {
  const Algorithm algorithm = GENERATE(from_range(kAlgorithms));
  CAPTURE(Name(algorithm));
  TempDir temp;
  SecretKey key = *SecretKey::Generate(algorithm);
  REQUIRE(SecretKey::Save({&key, 1}, temp / "key"));
  WriteText(temp / "message", "a commit object");
  WriteText(temp / "ours", key.Sign("a commit object")->bytes);
  std::string in = "cd " + temp.path() + " && ";
  CHECK(Shell(in + "openssl pkeyutl -verify -inkey key -rawin -in message -sigfile ours").status ==
        0);
  REQUIRE(Shell(std::format("{} openssl genpkey -algorithm {} -out theirs.key && chmod 600 "
                            "theirs.key && openssl pkeyutl -sign -inkey theirs.key -rawin -in "
                            "message -out theirs",
                            in, Name(algorithm)))
              .status == 0);
  PublicKey theirs = *SecretKey::Load(temp / "theirs.key")->at(0).Public();
  const Signature made = {algorithm, ReadText(temp / "theirs")};
  CHECK(theirs.Verifies("a commit object", made));
  CHECK_FALSE(theirs.Verifies("another object", made));
  CHECK_FALSE(theirs.Verifies("a commit object", *key.Sign("a commit object")));
}

TEST_CASE("a signature counts only with exactly the length of its algorithm") {
  const auto [algorithm, size] =
      GENERATE(std::pair{Algorithm::kEd25519, 64u}, std::pair{Algorithm::kMlDsa65, 3309u});
  SecretKey key = *SecretKey::Generate(algorithm);
  PublicKey open = *key.Public();
  const Signature signature = *key.Sign("data");
  REQUIRE(signature.bytes.size() == size);
  CHECK(*key.Sign("data") == signature);  // signing twice adds nothing
  const auto verifies = [&](const std::string& bytes) {
    return open.Verifies("data", {algorithm, bytes});
  };
  CHECK(verifies(signature.bytes));
  CHECK_FALSE(verifies(signature.bytes.substr(0, size - 1)));
  CHECK_FALSE(verifies(signature.bytes + "x"));
  CHECK_FALSE(verifies(""));
}

TEST_CASE("a secret key is read as PEM and in the form of ostree sign, and only when private") {
  TempDir temp;
  const std::vector<SecretKey> keys = *SecretKey::GenerateHybrid();
  const SecretKey& key = keys[0];
  REQUIRE(SecretKey::Save(keys, temp / "key"));
  struct stat status;
  REQUIRE(::stat((temp / "key").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK_FALSE(SecretKey::Save(keys, temp / "key"));  // never replaces a file
  const auto loaded = *SecretKey::Load(temp / "key");
  REQUIRE(loaded.size() == 2);
  for (size_t i = 0; i < 2; i++) CHECK(loaded[i].Public()->SameAs(*keys[i].Public()));

  // The last 32 bytes of the PKCS#8 form are the seed (RFC 8410).
  REQUIRE(
      Shell("openssl pkey -in " + (temp / "key") + " -outform DER -out " + (temp / "der")).status ==
      0);
  std::string der = ReadText(temp / "der");
  std::string seed = der.substr(der.size() - 32);
  WriteText(temp / "ostree", Base64Of(temp.path(), seed + key.Public()->bytes) + "\n");
  ::chmod((temp / "ostree").c_str(), 0600);
  REQUIRE(SecretKey::Load(temp / "ostree"));
  CHECK(*SecretKey::Load(temp / "ostree")->at(0).Sign("x") == *key.Sign("x"));

  WriteText(temp / "mixed", Base64Of(temp.path(), seed + seed));
  ::chmod((temp / "mixed").c_str(), 0600);
  CHECK(SecretKey::Load(temp / "mixed").error().message.contains("does not belong"));

  ::chmod((temp / "key").c_str(), 0640);
  auto refused = SecretKey::Load(temp / "key");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.contains("0640"));

  for (const char* other : {"junk", "-----BEGIN PRIVATE KEY-----\njunk\n"}) {
    WriteText(temp / "junk", other);
    ::chmod((temp / "junk").c_str(), 0600);
    CHECK(SecretKey::Load(temp / "junk").error().message.contains("expected secret keys"));
  }
  REQUIRE(Shell("openssl genpkey -algorithm ML-DSA-44 -out " + (temp / "weak") + " && chmod 600 " +
                (temp / "weak"))
              .status == 0);
  CHECK(SecretKey::Load(temp / "weak").error().message.contains("expected secret keys"));
}

TEST_CASE("an encrypted secret key opens with its passphrase and with no other") {
  const TempDir temp;
  const std::string path = temp / "key";
  const std::vector<SecretKey> keys = *SecretKey::GenerateHybrid();
  REQUIRE(SecretKey::Save(keys, path, "correct horse"));
  int asked = 0;
  const auto open = [&](const std::string& passphrase) {
    return SecretKey::Load(path, [&](const std::string& key) -> Result<std::string> {
      CHECK(key == path);
      asked++;
      return passphrase;
    });
  };
  const auto opened = open("correct horse");
  REQUIRE(opened);
  REQUIRE(opened->size() == 2);
  for (size_t i = 0; i < 2; i++) CHECK(opened->at(i).Public()->SameAs(*keys[i].Public()));
  CHECK(asked == 1);  // once for both keys
  for (const std::string& wrong : {std::string("battery"), std::string()})
    CHECK(open(wrong).error().message ==
          path + ": the passphrase is not the one it was encrypted with");
  CHECK(open(std::string(5000, 'x')).error().message.contains("at most 1024 bytes, found 5000"));
  CHECK(SecretKey::Load(path).error().message ==
        path + ": expected a passphrase for it, found none");

  const std::string pkey = "openssl pkey -noout -in " + path + " -passin pass:";
  CHECK(Shell(pkey + "'correct horse'").status == 0);
  CHECK(Shell(pkey + "battery").status != 0);
  const std::string parsed = Shell("openssl asn1parse -in " + path).output;
  for (const char* what : {"PBES2", "scrypt", "aes-256-cbc"}) CHECK(parsed.contains(what));
  REQUIRE(Shell("cd " + temp.path() +
                " && openssl genpkey -quiet -algorithm ed25519 -aes-256-cbc -pass pass:theirs -out "
                "theirs && chmod 600 theirs")
              .status == 0);
  const auto theirs = [](const std::string&) -> Result<std::string> { return "theirs"; };
  CHECK(SecretKey::Load(temp / "theirs", theirs));
}

TEST_CASE("secret keys come from the environment as from a file") {
  const TempDir temp;
  const std::vector<SecretKey> keys = *SecretKey::GenerateHybrid();
  REQUIRE(SecretKey::Save(keys, temp / "key"));
  const std::string source = "env:RELEASE_KEY";
  CHECK(SecretKey::Load(source).error().message ==
        source + ": expected secret keys in this environment variable, it is not set");
  // A variable often lacks the last newline, or has one too many.
  const std::string pem = ReadText(temp / "key");
  for (const std::string& value : {pem, pem.substr(0, pem.size() - 1), "\n" + pem + "\n"}) {
    REQUIRE(::setenv("RELEASE_KEY", value.c_str(), 1) == 0);
    const auto loaded = SecretKey::Load(source);
    REQUIRE(loaded);
    REQUIRE(loaded->size() == 2);
    for (size_t i = 0; i < 2; i++) CHECK(loaded->at(i).Public()->SameAs(*keys[i].Public()));
  }
  REQUIRE(::setenv("RELEASE_KEY", "no such key", 1) == 0);
  const Error refused = SecretKey::Load(source).error();
  CHECK(refused.message.starts_with(source + ": expected secret keys"));
  CHECK_FALSE(refused.message.contains("no such key"));
}

TEST_CASE("trusted keys come from several directories, each key material once") {
  TempDir temp;
  const std::vector<SecretKey> one = *SecretKey::GenerateHybrid(),
                               two = *SecretKey::GenerateHybrid();
  WriteText(temp / "a/one.pub", "# a comment\n\n  " + one[0].Public()->Text() + "  \n" +
                                    one[1].Public()->Text() + "\n" + *PublicText(two));
  WriteText(temp / "b/again.pub", *PublicText(one));
  WriteText(temp / "b/note.txt", "not a key");
  std::vector<std::string> directories = {temp / "a", temp / "b", temp / "absent"};
  auto keys = LoadTrustedKeys(directories);
  REQUIRE(keys);
  CHECK(keys->problems.empty());
  REQUIRE(keys->keys.size() == 4);
  CHECK(keys->keys.at(0).SameAs(*one[0].Public()));
  CHECK(keys->keys.at(0).name == temp / "a/one.pub");
  CHECK(keys->keys.at(1).SameAs(*one[1].Public()));
  CHECK(keys->keys.at(3).SameAs(*two[1].Public()));
}

TEST_CASE("a key file that is none is not used as a whole, and named; the other keys count") {
  TempDir temp;
  const std::vector<SecretKey> one = *SecretKey::GenerateHybrid(),
                               two = *SecretKey::GenerateHybrid();
  WriteText(temp / "a/good.pub", *PublicText(one));
  WriteText(temp / "a/half.pub", *PublicText(two) + "not a key\n");
  WriteText(temp / "a/empty.pub", "");
  REQUIRE(std::filesystem::create_directory(temp / "a/directory.pub"));
  WriteText(temp / "file", "");
  std::vector<std::string> directories = {temp / "a", temp / "file"};
  const TrustedKeys keys = LoadTrustedKeys(directories).value();
  REQUIRE(keys.keys.size() == 2);
  CHECK(keys.keys[0].SameAs(*one[0].Public()));
  REQUIRE(keys.problems.size() == 4);
  CHECK(keys.problems[0].starts_with(temp / "a/directory.pub"));
  CHECK(keys.problems[1].starts_with(temp / "a/empty.pub"));
  CHECK(keys.problems[2].starts_with(temp / "a/half.pub:"));
  CHECK(keys.problems[3].starts_with(temp / "file"));
  CHECK_FALSE(LoadGivenKeys(directories));

  std::filesystem::remove(temp / "a/good.pub");
  const auto none = LoadTrustedKeys(directories);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::kNotTrusted);
  CHECK(none.error().message.contains("not used: " + (temp / "a/half.pub:")));
}

TEST_CASE("a malformed key is an error with file and line; no key at all is not trusted") {
  TempDir temp;
  std::vector<std::string> directories = {temp / "a"};
  auto none = LoadGivenKeys(directories);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::kNotTrusted);
  CHECK(none.error().message.contains(temp / "a"));
  const std::vector<SecretKey> keys = *SecretKey::GenerateHybrid();
  const std::string good = keys[0].Public()->Text().substr(0, 44);
  const std::string pem = keys[1].Public()->Text();
  std::string altered = pem;
  altered[40] ^= 1;  // in its header
  for (const std::string& bad :
       {std::string("AAAA"), good.substr(0, 40), good + "=", "x" + good, std::string("!!!!"),
        good.substr(0, 43), good + good, altered, pem.substr(0, pem.size() / 2),
        Shell("openssl genpkey -quiet -algorithm ML-DSA-44 | openssl pkey -pubout").output}) {
    CAPTURE(bad);
    WriteText(temp / "a/k.pub", "# first\n" + good + "\n" + bad + "\n");
    auto found = LoadGivenKeys(directories);
    REQUIRE_FALSE(found);
    CHECK(found.error().message.contains("a/k.pub:3: expected a public key"));
  }
  WriteText(temp / "a/k.pub", pem + "junk\n");
  CHECK(LoadGivenKeys(directories)
            .error()
            .message.contains(std::format("a/k.pub:{}: expected a public key",
                                          std::ranges::count(pem, '\n') + 1)));
  WriteText(temp / "a/k.pub", "# nothing\n");
  CHECK(LoadGivenKeys(directories).error().message.contains("found none"));
}

TEST_CASE("signers are counted over distinct key material") {
  const Algorithm algorithm = GENERATE(from_range(kAlgorithms));
  SecretKey first = *SecretKey::Generate(algorithm), second = *SecretKey::Generate(algorithm);
  std::vector<PublicKey> trusted = {*first.Public(), *first.Public(), *second.Public()};
  std::vector<Signature> twice = {*first.Sign("d"), *first.Sign("d")};
  CHECK(ValidSigners(trusted, "d", twice).size() == 1);
  twice.push_back(*second.Sign("d"));
  CHECK(ValidSigners(trusted, "d", twice).size() == 2);
  CHECK(ValidSigners(trusted, "e", twice).empty());
}

TEST_CASE("a secret file of more than 64 KiB is refused, not cut short") {
  const TempDir directory;
  WriteText(directory / "secret", std::string(64 << 10, 'x'), 0600);
  CHECK(ReadSecretFile(directory / "secret").value().size() == 64 << 10);
  WriteText(directory / "secret", std::string((64 << 10) + 1, 'x'), 0600);
  CHECK(ReadSecretFile(directory / "secret").error().code == Code::kUsage);
}

}  // namespace
}  // namespace hostos
