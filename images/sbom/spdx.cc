// SPDX 2.3, in JSON.
#include <map>

#include "images/sbom/json_text.h"
#include "images/sbom/licences.h"
#include "images/sbom/sbom.h"
#include "updater/base/clock.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kUnknown = "NOASSERTION";
constexpr const char* kDocument = "SPDXRef-DOCUMENT";
constexpr const char* kHostOs = "SPDXRef-HostOS";

std::string IdOf(const SbomPackage& package) {
  return "SPDXRef-Package-" + SpdxName(package.name + "-" + package.architecture);
}
std::string IdOf(const DebianSource& source) {
  return "SPDXRef-Source-" + SpdxName(source.name + "-" + source.version);
}
std::string IdOf(const SbomProgram& program) {
  return "SPDXRef-Program-" + SpdxName(program.path.substr(1));
}
std::string IdOf(const SbomImage& image) {
  return "SPDXRef-Boot-" + SpdxName(image.name);
}

// dpkg writes "Name <address>", SPDX "Name (address)". Most maintainers are teams, and nothing says
// which are not.
std::string Supplier(std::string maintainer) {
  if (const size_t open = maintainer.rfind('<');
      open != maintainer.npos && maintainer.ends_with('>')) {
    maintainer[open] = '(';
    maintainer.back() = ')';
  }
  return "Organization: " + maintainer;
}

class SpdxDocument {
 public:
  explicit SpdxDocument(const Sbom& sbom) : sbom_(sbom) {}

  Json Make() {
    const Identity& identity = sbom_.identity;
    Json& root = Add(kHostOs, identity.name, identity.image_version, "OPERATING-SYSTEM");
    if (!identity.vendor.empty()) root["supplier"] = "Organization: " + identity.vendor;
    Relate(kDocument, "DESCRIBES", kHostOs);
    // trivy knows the distribution by how its identifier begins.
    const std::string distribution = "SPDXRef-OperatingSystem-" + SpdxName(identity.id);
    Add(distribution, identity.id, identity.version_id, "OPERATING-SYSTEM");
    Relate(kHostOs, "CONTAINS", distribution);
    for (const SbomPackage& package : sbom_.packages) AddPackage(package);
    for (const SbomSource& source : sbom_.sources) AddSource(source);
    for (const SbomProgram& program : sbom_.programs) AddProgram(program);
    for (const SbomImage& image : sbom_.images) AddImage(image);
    Json creators = Json::array({"Tool: hostimage"});
    if (!identity.vendor.empty()) creators.push_back("Organization: " + identity.vendor);
    Json licences = Json::array();
    for (const auto& [reference, name] : licences_)
      licences.push_back({{"licenseId", reference},
                          {"name", name},
                          {"extractedText",
                           std::format("What Debian calls '{}'. Its text is in "
                                       "/usr/share/doc/NAME/copyright of each package that has it.",
                                       name)}});
    return {{"spdxVersion", "SPDX-2.3"},
            {"dataLicense", "CC0-1.0"},
            {"SPDXID", kDocument},
            {"name", identity.name + "-" + identity.image_version},
            {"documentNamespace", ""},
            {"creationInfo",
             {{"created", FormatTimeIso(sbom_.timestamp)}, {"creators", std::move(creators)}}},
            {"packages", std::move(packages_)},
            {"relationships", std::move(relationships_)},
            {"hasExtractedLicensingInfos", std::move(licences)}};
  }

 private:
  Json& Add(const std::string& id, const std::string& name, const std::string& version,
            const char* purpose) {
    packages_.push_back({{"SPDXID", id},
                         {"name", name},
                         {"versionInfo", version},
                         {"primaryPackagePurpose", purpose},
                         {"downloadLocation", kUnknown},
                         {"filesAnalyzed", false},
                         {"supplier", kUnknown},
                         {"licenseConcluded", kUnknown},
                         {"licenseDeclared", kUnknown},
                         {"copyrightText", kUnknown}});
    return packages_.back();
  }
  void Relate(const std::string& from, const char* how, const std::string& to) {
    relationships_.push_back(
        {{"spdxElementId", from}, {"relationshipType", how}, {"relatedSpdxElement", to}});
  }
  static Json Url(const std::string& url) {
    return Json::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                         {"referenceType", "purl"},
                         {"referenceLocator", url}}});
  }
  static Json Checksums(const Digest& digest) {
    return Json::array({{{"algorithm", "SHA256"}, {"checksumValue", digest.Hex()}}});
  }

  void AddPackage(const SbomPackage& package) {
    Json& json = Add(IdOf(package), package.name, package.version, "LIBRARY");
    if (!package.maintainer.empty()) json["supplier"] = Supplier(package.maintainer);
    // trivy reads these words.
    const DebianSource& described = package.Described();
    json["sourceInfo"] =
        std::format("built package from: {} {}", described.name, described.version);
    if (!package.licences.expression.empty()) json["licenseDeclared"] = package.licences.expression;
    licences_.insert(package.licences.references.begin(), package.licences.references.end());
    json["externalRefs"] = Url(PackageUrl(sbom_.identity, package));
    Relate(kHostOs, "CONTAINS", IdOf(package));
    Relate(IdOf(package), "GENERATED_FROM", IdOf(package.source));
    // grype skips the target of GENERATED_FROM, which it knows by its packages.
    for (const DebianSource& used : package.built_using)
      if (used != package.source)
        Relate(IdOf(package), used == described ? "GENERATED_FROM" : "CONTAINS", IdOf(used));
  }

  void AddSource(const SbomSource& source) {
    Json& json = Add(IdOf(source), source.name, source.version, "SOURCE");
    json["externalRefs"] = Url(PackageUrl(sbom_.identity, source, "source"));
  }

  void AddProgram(const SbomProgram& program) {
    Json& json = Add(IdOf(program), program.path.substr(program.path.rfind('/') + 1),
                     sbom_.identity.image_version, "APPLICATION");
    json["packageFileName"] = "." + program.path;
    json["checksums"] = Checksums(program.digest);
    for (const std::string& library : program.unknown)
      json["comment"] = json.value("comment", "Loads libraries of no package:") + " " + library;
    Relate(kHostOs, "CONTAINS", IdOf(program));
    for (const size_t package : program.packages)
      Relate(IdOf(program), "DYNAMIC_LINK", IdOf(sbom_.packages[package]));
  }

  void AddImage(const SbomImage& image) {
    Json& json = Add(IdOf(image), image.name, image.version, "FILE");
    if (!image.path.empty()) json["packageFileName"] = "." + image.path;
    json["checksums"] = Checksums(image.digest);
    if (image.other_bytes > 0)
      json["comment"] = std::format(
          "{} bytes of it are no file of the root, and not described. Programs in them: {}.",
          image.other_bytes,
          image.other_programs.empty() ? "none known" : Joined(image.other_programs));
    Relate(kHostOs, "CONTAINS", IdOf(image));
    for (const size_t package : image.packages)
      Relate(IdOf(image), "CONTAINS", IdOf(sbom_.packages[package]));
    for (const size_t program : image.programs)
      Relate(IdOf(image), "CONTAINS", IdOf(sbom_.programs[program]));
  }

  const Sbom& sbom_;
  std::map<std::string, std::string> licences_;
  Json packages_ = Json::array(), relationships_ = Json::array();
};

}  // namespace

std::string Spdx(const Sbom& sbom) {
  Json document = SpdxDocument(sbom).Make();
  document["documentNamespace"] =
      std::format("https://spdx.org/spdxdocs/{}-{}", SpdxName(document["name"].get<std::string>()),
                  UuidOf(JsonText(document)));
  return JsonText(document);
}

}  // namespace hostos
