// hostctl's exit codes: one enum and one table, which the man page, --help and docs/cli.md show.
// They are an interface: scripts branch on them.
#pragma once

#include <string_view>

#include "updater/base/result.h"

namespace hostos {

enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNothingToDo = 3,
  kStaged = 4,
  kFellBack = 5,
  kBusy = 6,
  kNotTrusted = 7,
  kNetwork = 8,
  kNoSpace = 9,
  kNotHealthy = 10,
  kNotSupported = 11,
  kRefused = 12,
  kNotNow = 13,
  kUnsupported = 14,
};

struct ExitCodeMeaning {
  ExitCode code;
  std::string_view meaning;
};

inline constexpr ExitCodeMeaning kExitCodes[] = {
    {ExitCode::kDone, "done"},
    {ExitCode::kFailed, "failed: standard error says why"},
    {ExitCode::kUsage, "usage: the command line or a configuration file is wrong"},
    {ExitCode::kNothingToDo, "nothing to do: that release is running already"},
    {ExitCode::kStaged, "staged: a reboot starts another release"},
    {ExitCode::kFellBack, "this system fell back, and nothing newer was committed since"},
    {ExitCode::kBusy, "busy: another operation is in progress, standard error says whose"},
    {ExitCode::kNotTrusted, "not trusted: a signature, a digest or a root hash does not hold"},
    {ExitCode::kNetwork, "network: the server was not reached, or answered badly"},
    {ExitCode::kNoSpace, "no space in the slot, on the ESP or on the state partition"},
    {ExitCode::kNotHealthy, "not healthy: a required check does not hold"},
    {ExitCode::kNotSupported, "not supported by this machine or this version"},
    {ExitCode::kRefused, "refused: that release fell back or was rolled back here before"},
    {ExitCode::kNotNow, "not now: the network is metered"},
    {ExitCode::kUnsupported, "unsupported: the support of the running release has ended"},
};

constexpr int Number(ExitCode code) {
  return static_cast<int>(code);
}

constexpr ExitCode ExitCodeOf(Code code) {
  switch (code) {
    case Code::kUsage:
      return ExitCode::kUsage;
    case Code::kNothingToDo:
      return ExitCode::kNothingToDo;
    case Code::kStaged:
      return ExitCode::kStaged;
    case Code::kBusy:
      return ExitCode::kBusy;
    case Code::kNotTrusted:
      return ExitCode::kNotTrusted;
    case Code::kNetwork:
      return ExitCode::kNetwork;
    case Code::kNoSpace:
      return ExitCode::kNoSpace;
    case Code::kUnhealthy:
      return ExitCode::kNotHealthy;
    case Code::kNotSupported:
      return ExitCode::kNotSupported;
    case Code::kRefused:
      return ExitCode::kRefused;
    case Code::kNotNow:
      return ExitCode::kNotNow;
    case Code::kFailed:
    case Code::kNotFound:
      break;
  }
  return ExitCode::kFailed;
}

}  // namespace hostos
