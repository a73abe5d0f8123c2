#include "updater/hostctl/update_request.h"

#include <filesystem>

#include "updater/base/mask.h"

namespace hostos {

UpdateOptions OptionsOf(const Invocation& invocation, const Config& config) {
  return {.version = invocation.version,
          .retry = invocation.retry,
          .ignore_health = invocation.ignore_health,
          .refuse_metered = config.refuse_metered && !invocation.from,
          .allow_metered = invocation.allow_metered};
}

Result<> NeedSource(const Invocation& invocation, const Config& config) {
  if (invocation.from) {
    std::error_code error;
    if (std::filesystem::is_directory(*invocation.from + "/metadata", error) ||
        std::filesystem::is_regular_file(*invocation.from, error))
      return {};
    return Fail(Code::kUsage,
                "--from {}: expected a repository of releases or a bundle, found none",
                *invocation.from);
  }
  if (config.url.starts_with("http://") && !config.allow_http)
    return Fail(
        Code::kUsage,
        "[source] url: expected https://, found {}; to use it all the same: allow_http = true",
        Masked(config.url));
  if (config.url.starts_with("http://") && !config.token_file.empty())
    return Fail(Code::kUsage, "[source] url: expected https:// for a token, found {}",
                Masked(config.url));
  if (!config.url.empty()) return {};
  return Fail(Code::kUsage,
              "no source of releases is configured: [source] url is empty; set it in "
              "/etc/hostctl/hostctl.toml, or give a directory or a bundle with --from");
}

}  // namespace hostos
