// Where hostimage's secret keys come from: encrypted files, the environment, a PKCS#11 token.
#include <dlfcn.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "images/program.h"
#include "images/publish/secret_key.h"
#include "images/verify_release.h"
#include "tests/announce.h"
#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"

// The provider for tokens opens their modules with RTLD_DEEPBIND, which AddressSanitizer refuses.
extern "C" void* dlopen(const char* file, int flags) {
  using Open = void* (*)(const char*, int);
  static const auto next = reinterpret_cast<Open>(::dlsym(RTLD_NEXT, "dlopen"));
  return next(file, flags & ~RTLD_DEEPBIND);
}

// Of LeakSanitizer, where that is.
extern "C" __attribute__((weak)) void __lsan_disable();
extern "C" __attribute__((weak)) void __lsan_enable();

namespace hostos {
namespace {

namespace fs = std::filesystem;

// A SoftHSM token "release" with the PIN 1234.
struct Token {
  TempDir directory;
  std::string uri = "pkcs11:token=release;object=key";

  Token() {
    fs::create_directory(directory / "tokens");
    WriteText(directory / "softhsm2.conf", "directories.tokendir = " + (directory / "tokens"));
    WriteText(directory / "pin", "1234", 0600);
    REQUIRE(::setenv("SOFTHSM2_CONF", (directory / "softhsm2.conf").c_str(), 1) == 0);
    REQUIRE(::setenv("PKCS11_PROVIDER_MODULE", "/usr/lib/softhsm/libsofthsm2.so", 1) == 0);
    Run("--init-token --free --label release --so-pin 5678");
    if (__lsan_disable) __lsan_disable();  // SoftHSM forgets a few bytes with each signature
  }
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  ~Token() {
    if (__lsan_enable) __lsan_enable();
  }

  // Puts a key on the token, as what it is called there.
  void Import(const SecretKey& key, const std::string& object, const std::string& id) {
    const std::string path = directory / object;
    REQUIRE(SecretKey::Save({&key, 1}, path));
    Run("--import " + path + " --token release --label " + object + " --id " + id);
    fs::remove(path);
  }

 private:
  void Run(const std::string& arguments) {
    const CommandResult said = Shell("softhsm2-util --pin 1234 " + arguments);
    INFO(said.output);
    REQUIRE(said.status == 0);
  }
};

AskPassphrase Answer(const std::string& passphrase) {
  return [passphrase](const std::string&) -> Result<std::string> { return passphrase; };
}

TEST_CASE(
    "a key on a token signs as it would from a file, with the PIN of its URI or one asked for") {
  Token token;
  const SecretKey key = SecretKey::Generate(Algorithm::kEd25519).value();
  token.Import(key, "key", "01");
  for (const std::string& source : {token.uri, token.uri + ";type=private?pin-value=1234",
                                    token.uri + "?pin-source=file:" + (token.directory / "pin")}) {
    CAPTURE(source);
    const auto loaded = SecretKey::Load(source, Answer(source == token.uri ? "1234" : "wrong"));
    REQUIRE(loaded);
    REQUIRE(loaded->size() == 1);
    CHECK(loaded->at(0).Public()->SameAs(*key.Public()));
    CHECK(*loaded->at(0).Sign("a commit object") == *key.Sign("a commit object"));
  }

  const auto refused = [](const std::string& source, const AskPassphrase& pin = {}) {
    const auto loaded = SecretKey::Load(source, pin);
    REQUIRE_FALSE(loaded);
    CHECK_FALSE(loaded.error().message.contains("1234"));
    return loaded.error().message;
  };
  CHECK(refused(token.uri) == token.uri + ": expected a passphrase for it, found none");
  CHECK(refused(token.uri, Answer("4321")).contains(token.uri + ": expected one secret key"));
  CHECK(refused("pkcs11:token=release;object=none?pin-value=1234").contains("found 0"));
  CHECK(refused("pkcs11:token=other;object=key?pin-value=1234").contains("found 0"));
  token.Import(SecretKey::Generate(Algorithm::kEd25519).value(), "second", "02");
  CHECK(refused("pkcs11:token=release?pin-value=1234").contains("found 2"));
  REQUIRE(::setenv("PKCS11_PROVIDER_MODULE", "/no/such/module.so", 1) == 0);
  CHECK(refused(token.uri, Answer("1234")).contains("expected its path in PKCS11_PROVIDER_MODULE"));
}

TEST_CASE("a token's ed25519 and a file's ML-DSA-65 sign a release together") {
  Token token;
  const SmallRelease small;
  const std::vector<SecretKey> keys = SecretKey::GenerateHybrid().value();
  token.Import(keys[0], "key", "01");
  REQUIRE(SecretKey::Save({&keys[1], 1}, small / "pq.pem", "1234"));
  WriteText(small / "keys/ci.pub", PublicText(keys).value());
  CommitOptions options = small.Options();
  options.keys = {token.uri, small / "pq.pem"};
  options.passphrase = Answer("1234");
  REQUIRE(small.Commit(options));
  NoProgress progress;
  std::vector<Proof> proofs;
  CHECK(VerifyRelease(small.Query(), progress, proofs));
  CHECK(Announce(small / "repo", "1.0.0", SecretKey::Load(token.uri, Answer("1234")).value()));
}

// hostimage without a terminal, with a TUF repository in `directory` whose keys are encrypted.
struct Encrypted {
  TempDir directory;
  std::string key = directory / "key.pem", trusted = directory / "key.pub";

  Encrypted() {
    WriteText(directory / "passphrase", "correct horse\nsecond line\n", 0600);
    // One key: deriving the key that opens it is slow on purpose.
    REQUIRE(Run({"keygen", "--algorithm", "ed25519", "--secret", key, "--public", trusted,
                 "--passphrase-file", directory / "passphrase"}));
    CHECK(ReadText(key).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
  }

  Result<std::string> Run(std::vector<std::string> words, const std::string& variable = "A=b") {
    words.insert(words.begin(), HOSTIMAGE);
    return RunProgram(words, {variable});
  }
  std::vector<std::string> Root(const std::string& secret) {
    return {"root",
            "--repo",
            directory / "repo",
            "--root-key",
            trusted,
            "--targets-key",
            trusted,
            "--snapshot-key",
            trusted,
            "--timestamp-key",
            trusted,
            "--key",
            secret};
  }
};

TEST_CASE("hostimage opens an encrypted key with a passphrase from a file or the environment") {
  Encrypted keys;
  const std::string right = "HOSTIMAGE_PASSPHRASE=correct horse";
  CHECK(keys.Run({"public", "--key", keys.key}, right) == ReadText(keys.trusted));
  const std::string piped =
      std::format("bash -c '{} public --key {} --passphrase-file <(head -n 1 {})'", HOSTIMAGE,
                  keys.key, keys.directory / "passphrase");
  CHECK(Shell(piped).output == ReadText(keys.trusted));
  // A pipe is read once, for both.
  const std::string second = keys.directory / "second.pem";
  REQUIRE(keys.Run(
      {"keygen", "--algorithm", "ed25519", "--secret", second, "--public", second + ".pub"},
      right));
  const CommandResult both =
      Shell(std::format("bash -c '{} public --key {} --key {} --passphrase-file <(head -n 1 {})'",
                        HOSTIMAGE, keys.key, second, keys.directory / "passphrase"));
  CHECK(both.output == ReadText(keys.trusted) + ReadText(second + ".pub"));
  CHECK(keys.Run(keys.Root(keys.key), right)->starts_with("published: "));
  CHECK(keys.Run({"renew", "timestamp", "--repo", keys.directory / "repo", "--key", keys.key,
                  "--passphrase-file", keys.directory / "passphrase"})
            ->starts_with("published: "));
  REQUIRE(::setenv("RELEASE_KEY", ReadText(keys.key).c_str(), 1) == 0);
  CHECK(
      keys.Run({"renew", "snapshot", "--repo", keys.directory / "repo", "--key", "env:RELEASE_KEY"},
               right)
          ->starts_with("published: "));
}

TEST_CASE("hostimage says which key lacks its passphrase or has another, and stages nothing") {
  Encrypted keys;
  const auto refused = [&](const std::string& variable, const std::string& option = "") {
    std::vector<std::string> words = keys.Root(keys.key);
    if (!option.empty()) words.insert(words.end(), {"--passphrase-file", option});
    const Result<std::string> said = keys.Run(words, variable);
    REQUIRE_FALSE(said);
    CHECK(said.error().message.contains("ended with exit code 2"));
    CHECK_FALSE(fs::exists(keys.directory / "repo/staged/root.json"));
    return said.error().message;
  };
  CHECK(refused("A=b").contains(keys.key + ": expected its passphrase in --passphrase-file or "
                                           "HOSTIMAGE_PASSPHRASE, found neither"));
  CHECK(refused("HOSTIMAGE_PASSPHRASE=battery")
            .contains(keys.key + ": the passphrase is not the one it was encrypted with"));
  CHECK(refused("HOSTIMAGE_PASSPHRASE=").contains("HOSTIMAGE_PASSPHRASE: expected a passphrase"));
  WriteText(keys.directory / "open", "correct horse\n", 0644);
  CHECK(refused("A=b", keys.directory / "open").contains("a secret that others can read"));
  CHECK(keys.Run({"keygen", "--encrypt", "--secret", keys.directory / "new", "--public",
                  keys.directory / "new.pub"})
            .error()
            .message.contains("nor a terminal to ask"));
  CHECK_FALSE(fs::exists(keys.directory / "new"));
}

TEST_CASE("a public key in the place of a secret one is called that, and a secret one too") {
  const SmallRelease small;
  const std::string trusted = small / "keys/ci.pub", secret = small / "ci.pem";
  const auto said = [](const std::string& words) {
    const CommandResult ran = Shell(HOSTIMAGE " " + words);
    CHECK(ran.status == 2);
    CHECK_FALSE(ran.output.contains("chmod"));
    return ran.output;
  };
  const std::string expected = trusted + ": expected a secret key, found a public one";
  CHECK(said("public --key " + trusted).contains(expected));  // whose mode is 0644
  WriteText(trusted, "# of the team\n" + ReadText(trusted));
  fs::permissions(trusted, fs::perms(0600));
  CHECK(said("public --key " + trusted).contains(expected));
  REQUIRE(::setenv("RELEASE_KEY", ReadText(trusted).c_str(), 1) == 0);
  CHECK(said("public --key env:RELEASE_KEY").contains("found a public one"));
  CHECK(said("root --root-key " + secret + " --repo " + (small / "new"))
            .contains(secret +
                      ":1: expected a public key, found a secret one; its public half: "
                      "hostimage public --key " +
                      secret));
}

TEST_CASE("hostimage asks a terminal for a passphrase, twice for a new key") {
  const TempDir directory;
  // script(1) gives it a terminal, and types.
  const auto type = [&](const std::string& lines, const std::string& words) {
    return Shell("cd " + directory.path() + " && printf '" + lines +
                 "' | script -qec '" HOSTIMAGE " " + words + "' /dev/null");
  };
  const std::string keygen = "keygen --encrypt --secret key --public key.pub";
  CHECK(type("correct horse\\nbattery\\n", keygen).status != 0);
  CHECK_FALSE(fs::exists(directory / "key"));
  REQUIRE(type("correct horse\\ncorrect horse\\n", keygen).status == 0);
  CHECK(SecretKey::Load(directory / "key", Answer("correct horse")));
  const CommandResult opened = type("correct horse\\n", "public --key key");
  CHECK(opened.status == 0);
  CHECK(opened.output.contains("Passphrase of key: "));
  CHECK(type("battery\\n", "public --key key").status == 2);
}

TEST_CASE("hostimage keygen makes a key of one algorithm when asked to") {
  const TempDir directory;
  for (const Algorithm algorithm : kAlgorithms) {
    const std::string name(Name(algorithm)), path = directory / name;
    REQUIRE(RunProgram(
        {HOSTIMAGE, "keygen", "--algorithm", name, "--secret", path, "--public", path + ".pub"}));
    const auto keys = PublicKey::Load(path + ".pub");
    REQUIRE(keys);
    REQUIRE(keys->size() == 1);
    CHECK(keys->front().algorithm == algorithm);
    CHECK(SecretKey::Load(path)->at(0).Public()->SameAs(keys->front()));
  }
  CHECK_FALSE(RunProgram({HOSTIMAGE, "keygen", "--algorithm", "rsa", "--secret", directory / "rsa",
                          "--public", directory / "rsa.pub"}));
}

}  // namespace
}  // namespace hostos
