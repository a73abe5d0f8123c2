// CycloneDX 1.6.
#include "images/sbom/json_text.h"
#include "images/sbom/sbom.h"
#include "updater/base/clock.h"

namespace hostos {
namespace {

using Json = nlohmann::ordered_json;

Json Properties(const std::vector<std::pair<std::string, std::string>>& all) {
  Json properties = Json::array();
  for (const auto& [name, value] : all)
    if (!value.empty()) properties.push_back({{"name", name}, {"value", value}});
  return properties;
}

Json Sha256Of(const Digest& digest) {
  return Json::array({{{"alg", "SHA-256"}, {"content", digest.Hex()}}});
}

class CycloneDxDocument {
 public:
  explicit CycloneDxDocument(const Sbom& sbom) : sbom_(sbom) {}

  Json Make() {
    AddDistribution();
    for (const SbomPackage& package : sbom_.packages) AddPackage(package);
    for (const SbomSource& source : sbom_.sources) AddSource(source);
    for (const SbomProgram& program : sbom_.programs) AddProgram(program);
    for (const SbomImage& image : sbom_.images) AddImage(image);
    // What the root consists of; sources come with their packages.
    Json all = Json::array({kDistribution});
    for (const SbomPackage& package : sbom_.packages) all.push_back(Url(package));
    for (const SbomProgram& program : sbom_.programs) all.push_back(Ref(program));
    for (const SbomImage& image : sbom_.images) all.push_back(Ref(image));
    AddDependencies(kRoot, std::move(all));
    Json document = {{"$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json"},
                     {"bomFormat", "CycloneDX"},
                     {"specVersion", "1.6"},
                     {"serialNumber", ""},
                     {"version", 1},
                     {"metadata", Metadata()},
                     {"components", std::move(components_)},
                     {"dependencies", std::move(dependencies_)}};
    if (!incomplete_.empty())
      document["compositions"] =
          Json::array({{{"aggregate", "incomplete"}, {"dependencies", std::move(incomplete_)}}});
    return document;
  }

 private:
  static constexpr const char* kRoot = "hostos";
  static constexpr const char* kDistribution = "distribution";

  std::string Url(const SbomPackage& package) const { return PackageUrl(sbom_.identity, package); }
  std::string Url(const DebianSource& source) const {
    return PackageUrl(sbom_.identity, source, "source");
  }
  static std::string Ref(const SbomProgram& program) { return "file:" + program.path; }
  static std::string Ref(const SbomImage& image) { return "boot:" + image.name; }

  void AddDependencies(const std::string& ref, Json on) {
    dependencies_.push_back({{"ref", ref}, {"dependsOn", std::move(on)}});
  }

  // Of the type `platform`: with two of the type `operating-system`, trivy takes either.
  Json Metadata() const {
    const Identity& identity = sbom_.identity;
    Json component = {{"type", "platform"},
                      {"bom-ref", kRoot},
                      {"name", identity.name},
                      {"version", identity.image_version}};
    if (!identity.pretty_name.empty()) component["description"] = identity.pretty_name;
    if (!identity.vendor.empty()) component["supplier"]["name"] = identity.vendor;
    Json metadata = {
        {"timestamp", FormatTimeIso(sbom_.timestamp)},
        {"lifecycles", Json::array({{{"phase", "build"}}})},
        {"tools",
         {{"components", Json::array({{{"type", "application"}, {"name", "hostimage"}}})}}},
        {"component", std::move(component)}};
    if (!identity.vendor.empty()) metadata["supplier"]["name"] = identity.vendor;
    return metadata;
  }

  // No `cpe`: osv-scalibr takes a component with one for a package, of no ecosystem, and ends with an
  // error when it matches offline.
  void AddDistribution() {
    const Identity& identity = sbom_.identity;
    Json component = {{"type", "operating-system"},
                      {"bom-ref", kDistribution},
                      {"name", identity.id},
                      {"version", identity.version_id}};
    component["properties"] = Properties({{"syft:distro:id", identity.id},
                                          {"syft:distro:versionID", identity.version_id},
                                          {"syft:distro:versionCodename", identity.codename},
                                          {"syft:distro:prettyName", identity.pretty_name}});
    components_.push_back(std::move(component));
  }

  void AddPackage(const SbomPackage& package) {
    Json component = {{"type", "library"},
                      {"bom-ref", Url(package)},
                      {"name", package.name},
                      {"version", package.version}};
    if (!package.maintainer.empty()) component["supplier"]["name"] = package.maintainer;
    if (!package.licences.expression.empty())
      component["licenses"] = Json::array(
          {{{"expression", package.licences.expression}, {"acknowledgement", "declared"}}});
    component["purl"] = Url(package);
    component["properties"] = SourceProperties(package.Described());
    components_.push_back(std::move(component));
    Json on = Json::array({Url(package.source)});
    for (const DebianSource& used : package.built_using)
      if (used != package.source) on.push_back(Url(used));
    AddDependencies(Url(package), std::move(on));
  }

  // The source as trivy reads it: epoch, version and revision apart.
  static Json SourceProperties(const DebianSource& source) {
    std::string_view version = source.version, epoch, revision;
    if (const size_t colon = version.find(':'); colon != version.npos) {
      epoch = version.substr(0, colon);
      version.remove_prefix(colon + 1);
    }
    if (const size_t dash = version.rfind('-'); dash != version.npos) {
      revision = version.substr(dash + 1);
      version = version.substr(0, dash);
    }
    return Properties({{"aquasecurity:trivy:SrcName", source.name},
                       {"aquasecurity:trivy:SrcVersion", std::string(version)},
                       {"aquasecurity:trivy:SrcRelease", std::string(revision)},
                       {"aquasecurity:trivy:SrcEpoch", std::string(epoch)}});
  }

  // A scanner counts the advisories of a source with its packages. What is of the type `data` it
  // does not count again; of the type `library` are those sources that no package stands for.
  void AddSource(const SbomSource& source) {
    components_.push_back({{"type", source.built_package ? "data" : "library"},
                           {"bom-ref", Url(source)},
                           {"name", source.name},
                           {"version", source.version},
                           {"purl", Url(source)}});
  }

  void AddProgram(const SbomProgram& program) {
    Json component = {{"type", "application"},
                      {"bom-ref", Ref(program)},
                      {"name", program.path.substr(program.path.rfind('/') + 1)},
                      {"version", sbom_.identity.image_version},
                      {"hashes", Sha256Of(program.digest)}};
    std::vector<std::pair<std::string, std::string>> properties = {{"hostos:path", program.path}};
    for (const std::string& library : program.unknown)
      properties.emplace_back("hostos:library-of-no-package", library);
    component["properties"] = Properties(properties);
    components_.push_back(std::move(component));
    Json on = Json::array();
    for (const size_t package : program.packages) on.push_back(Url(sbom_.packages[package]));
    AddDependencies(Ref(program), std::move(on));
  }

  void AddImage(const SbomImage& image) {
    const bool incomplete = image.other_bytes > 0;
    std::vector<std::pair<std::string, std::string>> properties = {
        {"hostos:path", image.path},
        {"hostos:bytes-of-no-file-in-the-root",
         incomplete ? std::to_string(image.other_bytes) : ""}};
    for (const std::string& program : image.other_programs)
      properties.emplace_back("hostos:program-of-no-package", program);
    components_.push_back({{"type", "file"},
                           {"bom-ref", Ref(image)},
                           {"name", image.name},
                           {"version", image.version},
                           {"hashes", Sha256Of(image.digest)},
                           {"properties", Properties(properties)}});
    Json on = Json::array();
    for (const size_t package : image.packages) on.push_back(Url(sbom_.packages[package]));
    for (const size_t program : image.programs) on.push_back(Ref(sbom_.programs[program]));
    AddDependencies(Ref(image), std::move(on));
    if (incomplete) incomplete_.push_back(Ref(image));
  }

  const Sbom& sbom_;
  Json components_ = Json::array(), dependencies_ = Json::array(), incomplete_ = Json::array();
};

}  // namespace

std::string CycloneDx(const Sbom& sbom) {
  Json document = CycloneDxDocument(sbom).Make();
  document["serialNumber"] = "urn:uuid:" + UuidOf(JsonText(document));
  return JsonText(document);
}

}  // namespace hostos
