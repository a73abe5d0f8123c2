#include <cctype>

#include "images/sbom/sbom.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

// As package URLs have it: all but letters, digits and ".-_~" by their bytes.
std::string Encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || std::string_view(".-_~").contains(c))
      encoded += c;
    else
      encoded += std::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace

std::string PackageUrl(const Identity& identity, const DebianSource& package,
                       std::string_view architecture) {
  return std::format("pkg:deb/{}/{}@{}?arch={}&distro={}-{}", Encoded(identity.id),
                     Encoded(package.name), Encoded(package.version), Encoded(architecture),
                     Encoded(identity.id), Encoded(identity.version_id));
}

std::string PackageUrl(const Identity& identity, const DebianPackage& package) {
  const DebianSource own = {package.name, package.version}, &source = package.Described();
  const std::string url = PackageUrl(identity, own, package.architecture);
  if (source == own) return url;
  return url + "&upstream=" + Encoded(source.name + "@" + source.version);
}

std::string UuidOf(std::string_view text) {
  Digest digest = Sha256::Of(AsBytes(text));
  digest.bytes[6] = static_cast<uint8_t>((digest.bytes[6] & 0x0f) | 0x80);
  digest.bytes[8] = static_cast<uint8_t>((digest.bytes[8] & 0x3f) | 0x80);
  std::string uuid = digest.Hex().substr(0, 32);
  for (const size_t at : {20, 16, 12, 8}) uuid.insert(at, "-");
  return uuid;
}

}  // namespace hostos
