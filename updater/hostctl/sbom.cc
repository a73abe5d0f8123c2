#include "updater/hostctl/sbom.h"

#include "updater/base/sbom_path.h"
#include "updater/base/unique_fd.h"

namespace hostos {

Result<std::string> ReadSbom(const std::string& root, const std::string& format) {
  const std::string path = root + (format == "spdx" ? kSpdxPath : kCycloneDxPath);
  Result<std::string> text = ReadFile(path, kMaxSbomBytes);
  if (!text && text.error().code == Code::kNotFound)
    return Fail(Code::kNotFound,
                "{}: this release has no SBOM: whoever publishes it adds one (hostimage sbom)",
                path);
  return text;
}

}  // namespace hostos
