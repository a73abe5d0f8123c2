#include "updater/engine/support.h"

#include "bootctl/loader_lines.h"
#include "updater/base/clock.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {
constexpr size_t kMaxOsRelease = 64 << 10;
}

Result<Support> ReadSupport(const std::string& os_release) {
  const std::string text = TRY(ReadFile(os_release, kMaxOsRelease));
  std::string_view rest = text, key, value;
  Support support;
  while (NextLoaderLine(rest, "=", key, value)) {
    if (key == "RELEASE_TYPE") support.preview = value == "development";
    if (key != "SUPPORT_END") continue;
    const auto ends = ParseTimeIso(std::string(value) + "T00:00:00Z");
    if (!ends)
      return Fail(Code::kFailed, "{}: SUPPORT_END: expected a date such as 2028-08-09, found '{}'",
                  os_release, value);
    support.ends = *ends;
  }
  return support;
}

}  // namespace hostos
