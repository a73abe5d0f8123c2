// Others read what we publish: python-tuf's client and python-cryptography.
#include <catch2/catch_test_macros.hpp>

#include "images/publish/secret_key.h"
#include "tests/announce.h"
#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"
#include "updater/release/commit.h"
#include "updater/source/archive.h"

namespace hostos {
namespace {

CommandResult Interop(const std::string& arguments) {
  return Shell("python3 " HOSTOS_SOURCE_DIR "/tests/images/interop.py " + arguments);
}

TEST_CASE("python-tuf's client finds a release of ours, also after the keys were rotated") {
  const SmallRelease small;
  const Release release = small.Commit().value();
  const std::vector<SecretKey> keys = SecretKey::Load(small / "ci.pem").value();
  const std::string repo = small / "repo";
  REQUIRE(Announce(repo, release.version, keys));
  const std::string ask = "tuf " + repo + " hostos/x86-64/stable.json";
  const auto found = [&] {
    const CommandResult said = Interop(ask);
    INFO(said.output);
    REQUIRE(said.status == 0);
    return ParseReleaseTarget(said.output).value().commit;
  };
  CHECK(found() == release.commit);

  const std::vector<SecretKey> next = {SecretKey::Generate(Algorithm::kEd25519).value()};
  {
    TufRepository repository = TufRepository::Open(repo, SystemClock().Now()).value();
    const RoleChange to = {.keys = {next[0].Public().value()}, .threshold = {}, .days = {}};
    REQUIRE(
        repository.StageRoot({{"root", to}, {"targets", to}, {"snapshot", to}, {"timestamp", to}}));
    REQUIRE_FALSE(repository.Sign(keys)->missing.empty());  // the new ones have to sign too
    REQUIRE(repository.Sign(next)->missing.empty());
  }
  CHECK(found() == release.commit);
}

TEST_CASE("python-cryptography verifies a commit's signature of ours") {
  const SmallRelease small;
  const Release release = small.Commit().value();
  const std::string commit = small / ("repo/" + ObjectPath(release.commit, "commit"));
  const std::vector<Signature> signatures = ReadSignatures(ReadText(commit + "meta")).value();
  for (const Signature& signature : signatures)
    if (signature.algorithm == Algorithm::kEd25519) WriteText(small / "signature", signature.bytes);
  const std::string ask =
      std::format("ed25519 {} {} <{}", commit, small / "keys/ci.pub", small / "signature");
  CHECK(Interop(ask).output == "");
  CHECK(Interop(ask).status == 0);
  ChangeByte(small / "signature", 0);
  CHECK(Interop(ask).output.contains("InvalidSignature"));
}

}  // namespace
}  // namespace hostos
