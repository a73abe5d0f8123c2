#include "images/provenance.h"

#include <format>

#include "images/sbom/sbom.h"
#include "images/tuf_fields.h"
#include "updater/base/unique_fd.h"
#include "updater/release/commit.h"
#include "updater/release/openssl_key.h"
#include "updater/release/release_target.h"

namespace hostos {
namespace {

using tuf::Json;

constexpr const char* kPayloadType = "application/vnd.in-toto+json";
constexpr const char* kStatementType = "https://in-toto.io/Statement/v1";
constexpr const char* kPredicateType = "https://slsa.dev/provenance/v1";
constexpr const char* kBuildType = "urn:hostos:build:1";
constexpr const char* kBuilder = "urn:hostos:hostimage";
constexpr std::string_view kDirty = "-dirty";

// What a signature covers, so that a payload of one type is never taken for one of another.
std::string PreAuthentication(std::string_view payload) {
  const std::string_view type = kPayloadType;
  return std::format("DSSEv1 {} {} {} {}", type.size(), type, payload.size(), payload);
}

Json SubjectsOf(const Release& release) {
  Json subjects = {{{"name", "root"}, {"digest", {{"dmVerityRootHash", release.root_hash.Hex()}}}},
                   {{"name", "boot image"}, {"digest", {{"sha256", release.uki_digest.Hex()}}}}};
  if (release.rescue)
    subjects.push_back(
        {{"name", "rescue"}, {"digest", {{"sha256", release.rescue->digest.Hex()}}}});
  return subjects;
}

// Null where there is no such thing.
Json At(const Json& json, const char* pointer) {
  const Json::json_pointer place(pointer);
  return json.contains(place) ? json[place] : Json();
}

Result<Json> PackagesOf(const tuf::Object& inputs, const char* key, bool digests) {
  Identity debian;
  debian.id = TRY(inputs.Text("id"));
  debian.version_id = TRY(inputs.Text("version_id"));
  Json packages = Json::array();
  for (const tuf::Object& package : TRY(inputs.Children(key))) {
    DebianSource named;
    named.name = TRY(package.Text("name"));
    named.version = TRY(package.Text("version"));
    const std::string architecture = TRY(package.Text("architecture"));
    Json described = {{"name", named.name}, {"uri", PackageUrl(debian, named, architecture)}};
    if (digests) described["digest"] = {{"sha256", TRY(package.Text("sha256"))}};
    packages.push_back(std::move(described));
  }
  return packages;
}

}  // namespace

Result<std::string> DescribeBuild(const BuildInputs& inputs, const Release& release) {
  const std::string text = TRY(ReadFile(inputs.file, kMaxProvenanceBytes));
  const Json json = TRY_CONTEXT(inputs.file, tuf::ParseJson(text, kMaxProvenanceBytes));
  const tuf::Object object = TRY(tuf::Object::From(json, inputs.file));
  Json parameters = TRY(object.Child("parameters")).json();
  parameters.update({{"channel", release.channel},
                     {"architecture", release.architecture},
                     {"kernel_arguments", inputs.cmdline_append},
                     {"after", inputs.after},
                     {"timestamp", release.timestamp}});
  Json materials = TRY(PackagesOf(object, "debs", true));
  for (const tuf::Object& file : TRY(object.Children("install"))) {
    const std::string path = TRY(file.Text("path"));
    const std::string sha256 = TRY(file.Text("sha256"));
    materials.push_back({{"name", path}, {"digest", {{"sha256", sha256}}}});
  }
  std::string source = TRY(object.Text("source"));
  const bool changed = source.ends_with(kDirty);
  if (changed) source.resize(source.size() - kDirty.size());
  if (!source.empty())
    materials.push_back({{"name", "source"},
                         {"digest", {{"gitCommit", source}}},
                         {"annotations", {{"changed", changed}}}});
  const Json builders = TRY(PackagesOf(object, "builders", false));
  const Json statement = {
      {"_type", kStatementType},
      {"subject", SubjectsOf(release)},
      {"predicateType", kPredicateType},
      {"predicate",
       {{"buildDefinition",
         {{"buildType", kBuildType},
          {"externalParameters", std::move(parameters)},
          {"resolvedDependencies", std::move(materials)}}},
        {"runDetails", {{"builder", {{"id", kBuilder}, {"builderDependencies", builders}}}}}}}};
  return statement.dump();
}

Result<std::map<std::string, std::string>> DebsIn(std::string_view inputs) {
  const Json json = TRY(tuf::ParseJson(inputs, kMaxProvenanceBytes));
  const tuf::Object object = TRY(tuf::Object::From(json, "inputs"));
  std::map<std::string, std::string> debs;
  for (const Json& package : TRY(PackagesOf(object, "debs", true)))
    debs[package["uri"]] = package["digest"]["sha256"];
  return debs;
}

std::string ProvenancePath(const Digest& root_hash) {
  return std::format("provenance/{}.intoto.json", root_hash.Hex());
}

Result<std::string> Envelop(std::string_view statement, std::span<const SecretKey> keys) {
  Json envelope = {{"payloadType", kPayloadType},
                   {"payload", EncodeBase64(statement)},
                   {"signatures", Json::array()}};
  const std::string covered = PreAuthentication(statement);
  for (const SecretKey& key : keys) {
    const PublicKey public_key = TRY(key.Public());
    const Signature signature = TRY(key.Sign(covered));
    // A hint which key to try, as the specification has it.
    envelope["signatures"].push_back({{"keyid", Sha256::Of(AsBytes(public_key.bytes)).Hex()},
                                      {"sig", EncodeBase64(signature.bytes)}});
  }
  return envelope.dump() + "\n";
}

Result<Provenance> OpenProvenance(std::string_view envelope, const Release& release,
                                  std::span<const PublicKey> trusted, const SignatureRule& rule) {
  const Json json = TRY(tuf::ParseJson(envelope, kMaxProvenanceBytes));
  const tuf::Object object = TRY(tuf::Object::From(json, "envelope"));
  if (const std::string type = TRY(object.Text("payloadType")); type != kPayloadType)
    return Fail(Code::kNotTrusted, "envelope.payloadType: expected {}, found '{}'", kPayloadType,
                type);
  const std::string statement = DecodeBase64(TRY(object.Text("payload")));
  std::vector<Signature> signatures;
  for (const tuf::Object& signature : TRY(object.Children("signatures"))) {
    const std::string bytes = DecodeBase64(TRY(signature.Text("sig")));
    for (const Algorithm algorithm : kAlgorithms)
      if (bytes.size() == SizesOf(algorithm).signature) signatures.push_back({algorithm, bytes});
    if (signatures.size() > kMaxSignatures)
      return Fail(Code::kNotTrusted, "envelope.signatures: expected at most {}", kMaxSignatures);
  }
  Provenance provenance;
  provenance.signers =
      TRY(CountSigners(PreAuthentication(statement), signatures, trusted, rule));
  provenance.statement = TRY(tuf::ParseJson(statement, kMaxProvenanceBytes));
  const Json subjects = SubjectsOf(release);
  const Json found = At(provenance.statement, "/subject");
  if (found != subjects)
    return Fail(Code::kNotTrusted, "statement.subject: expected {}, found {}", subjects.dump(),
                found.dump().substr(0, 1000));
  return provenance;
}

Result<Provenance> ReadProvenance(const ReleaseQuery& query, const std::string& product) {
  const SignedRelease signed_release = TRY(OpenSignedRelease(query));
  const Release& release = signed_release.commit.release;
  ReleaseTarget target = TargetOf(release);
  target.product = product;
  std::string path = query.repo + "/" + SbomPath(target, kProvenanceFormat);
  Result<std::string> envelope = ReadFile(path, kMaxProvenanceBytes);
  if (!envelope && envelope.error().code == Code::kNotFound) {
    path = query.repo + "/" + ProvenancePath(release.root_hash);
    envelope = ReadFile(path, kMaxProvenanceBytes);
  }
  if (!envelope && envelope.error().code == Code::kNotFound)
    return Fail(Code::kNotFound,
                "{}: this release has no provenance: it is made by hostimage commit --inputs",
                path);
  const std::string text = TRY(std::move(envelope));
  const std::vector<PublicKey> trusted = TRY(LoadGivenKeys(query.keys));
  return TRY_CONTEXT(path, OpenProvenance(text, release, trusted, query.signatures));
}

std::string TextOf(const Provenance& provenance) {
  const Json& statement = provenance.statement;
  std::string text = std::format("signed by      {} trusted keys\n", provenance.signers);
  size_t packages = 0, files = 0;
  for (const Json& material : At(statement, "/predicate/buildDefinition/resolvedDependencies")) {
    if (material.contains("uri")) {
      packages++;
    } else if (TextIn(material, "name") == "source") {
      text +=
          std::format("source         commit {}{}\n", TextIn(At(material, "/digest"), "gitCommit"),
                      At(material, "/annotations/changed") == Json(true)
                          ? ", with changes that were not committed"
                          : "");
    } else {
      files++;
    }
  }
  text += std::format(
      "made of        {} Debian packages, {} files of HostOS and its publisher\n"
      "made on        {} Debian packages\n",
      packages, files, At(statement, "/predicate/runDetails/builder/builderDependencies").size());
  const Json parameters = At(statement, "/predicate/buildDefinition/externalParameters");
  for (const auto& [name, value] : parameters.items())
    text += std::format("{:<14} {}\n", name,
                        value.size() > 1 ? std::format("{} lines", value.size()) : value.dump());
  return text;
}

}  // namespace hostos
