#include "updater/health/metering.h"

namespace hostos {
namespace {

Result<uint32_t> AskNetworkManager(const std::string& address, Milliseconds limit) {
  return TRY(Systemd::Connect(address, Deadline(limit))).NetworkMetered();
}

}  // namespace

Metering AskMetering(const std::string& address, Milliseconds limit) {
  // NMMetered (nm-dbus-types).
  enum : uint32_t { kYes = 1, kNo = 2, kGuessYes = 3, kGuessNo = 4 };
  const Result<uint32_t> answer = AskNetworkManager(address, limit);
  if (!answer) return {{}, "no word from NetworkManager: " + answer.error().message};
  switch (*answer) {
    case kYes:
    case kNo:
      return {*answer == kYes, "NetworkManager says so"};
    case kGuessYes:
    case kGuessNo:
      return {*answer == kGuessYes, "NetworkManager guesses so"};
    default:
      return {{}, "NetworkManager does not know"};
  }
}

}  // namespace hostos
