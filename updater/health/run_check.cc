#include "updater/health/run_check.h"

#include "updater/base/printable.h"

namespace hostos {

Result<std::string> NotTried(std::string_view why) {
  return Fail(Code::kUnhealthy, "not tried: {}", why);
}

CheckResult RunCheck(const std::string& name, Milliseconds limit,
                     const std::function<Result<std::string>(const Deadline&)>& run) {
  const auto begin = std::chrono::steady_clock::now();
  const Result<std::string> result =
      limit > Milliseconds(0) ? run(Deadline(limit)) : NotTried("no time was left");
  return {
      .name = name,
      .ok = result.has_value(),
      .detail = OneLine(result ? *result : result.error().message),
      .took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begin),
  };
}

}  // namespace hostos
