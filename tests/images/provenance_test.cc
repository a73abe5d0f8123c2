#include "images/provenance.h"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "tests/images/small_release.h"
#include "updater/base/unique_fd.h"
#include "updater/release/openssl_key.h"

using namespace hostos;
using tuf::Json;

namespace {

constexpr const char* kInputs = R"({"id": "debian", "version_id": "13", "source": "c0ffee-dirty",
  "parameters": {"version": "1.0.0", "packages": ["systemd", "runc"]},
  "debs": [{"name": "runc", "version": "1:1.1-2", "architecture": "amd64", "sha256": "ab"}],
  "builders": [{"name": "gcc", "version": "14.2", "architecture": "amd64"}],
  "install": [{"path": "usr/bin/hostctl", "sha256": "cd"}]})";

struct Made {
  SmallRelease small;
  Release release;
  std::string envelope;

  Made() {
    CommitOptions options = small.Options();
    options.inputs = small / "inputs.json";
    options.cmdline_append = "quiet";
    WriteText(options.inputs, kInputs);
    release = small.Commit(options).value();
    envelope = small / "repo/" + ProvenancePath(release.root_hash);
  }
};

}  // namespace

TEST_CASE("a release tells what it was made of, signed by its keys") {
  const Made made;
  const auto read = ReadProvenance(made.small.Query(), "hostos");
  REQUIRE(read);
  CHECK(read->signers == 1);
  const Json& statement = read->statement;
  CHECK(statement["_type"] == "https://in-toto.io/Statement/v1");
  CHECK(statement["predicateType"] == "https://slsa.dev/provenance/v1");
  CHECK(statement["subject"][0]["digest"]["dmVerityRootHash"] == made.release.root_hash.Hex());
  CHECK(statement["subject"][1]["digest"]["sha256"] == made.release.uki_digest.Hex());
  const Json& build = statement["predicate"]["buildDefinition"];
  const Json& parameters = build["externalParameters"];
  CHECK(parameters["packages"] == Json{"systemd", "runc"});
  CHECK(parameters["kernel_arguments"] == "quiet");
  CHECK(parameters["timestamp"] == kReleaseTime);
  const Json& materials = build["resolvedDependencies"];
  REQUIRE(materials.size() == 3);
  CHECK(materials[0]["uri"] == "pkg:deb/debian/runc@1%3A1.1-2?arch=amd64&distro=debian-13");
  CHECK(materials[0]["digest"]["sha256"] == "ab");
  CHECK(materials[1]["name"] == "usr/bin/hostctl");
  CHECK(materials[2]["digest"]["gitCommit"] == "c0ffee");
  CHECK(materials[2]["annotations"]["changed"] == true);
  const Json& builder = statement["predicate"]["runDetails"]["builder"];
  CHECK(builder["builderDependencies"][0]["name"] == "gcc");

  const std::string text = TextOf(*read);
  CHECK(text.contains("commit c0ffee, with changes that were not committed\n"));
  CHECK(text.contains("made of        1 Debian packages, 1 files"));
}

TEST_CASE("provenance counts only with the signatures that the release needs, and for that one") {
  const Made made;
  const auto refused = [&](const std::string& envelope) {
    WriteText(made.envelope, envelope);
    const auto read = ReadProvenance(made.small.Query(), "hostos");
    return !read && read.error().code == Code::kNotTrusted;
  };
  const std::string good = ReadText(made.envelope);
  CHECK_FALSE(refused(good));
  const auto changed = [&](const auto& change) {
    Json envelope = Json::parse(good);
    change(envelope);
    return refused(envelope.dump());
  };
  CHECK(changed([](Json& envelope) {
    std::string statement = DecodeBase64(envelope["payload"].get<std::string>());
    statement.replace(statement.find("c0ffee"), 6, "decaff");
    envelope["payload"] = EncodeBase64(statement);
  }));
  CHECK(changed([](Json& envelope) { envelope["payloadType"] = "text/plain"; }));
  CHECK(changed([](Json& envelope) { envelope["signatures"].erase(1); }));  // half of a hybrid one
  CHECK(changed([](Json& envelope) { envelope["signatures"] = Json::array(); }));
  CHECK(changed([](Json& envelope) { envelope.erase("payload"); }));
  CHECK(refused("{"));

  // Another key of the publisher's, which nobody trusts.
  const auto stranger = SecretKey::GenerateHybrid();
  REQUIRE(stranger);
  const std::string statement = DecodeBase64(Json::parse(good)["payload"].get<std::string>());
  CHECK(refused(Envelop(statement, *stranger).value()));
  // The right keys, about another release.
  std::string other = statement;
  other.replace(other.find(made.release.root_hash.Hex()), 64, std::string(64, '0'));
  const auto keys = SecretKey::Load(made.small / "ci.pem");
  REQUIRE(keys);
  CHECK(refused(Envelop(other, *keys).value()));
  CHECK_FALSE(refused(Envelop(statement, *keys).value()));

  std::filesystem::remove(made.envelope);
  const auto none = ReadProvenance(made.small.Query(), "hostos");
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::kNotFound);
  CHECK(none.error().message.contains("has no provenance"));
}

TEST_CASE("inputs that do not say what a release was made of are no provenance") {
  const SmallRelease small;
  CommitOptions options = small.Options();
  options.inputs = small / "inputs.json";
  for (const char* field :
       {"id", "version_id", "source", "parameters", "debs", "builders", "install"}) {
    CAPTURE(field);
    Json inputs = Json::parse(kInputs);
    inputs.erase(field);
    WriteText(options.inputs, inputs.dump());
    const auto made = small.Commit(options);
    REQUIRE_FALSE(made);
    CHECK(made.error().message.contains(std::format("inputs.json.{}: expected", field)));
  }
  std::filesystem::remove(options.inputs);
  CHECK_FALSE(small.Commit(options));
  CHECK_FALSE(std::filesystem::exists(small / "repo/provenance"));
  CHECK_FALSE(OpenSignedRelease(small.Query()));  // none was committed
}
