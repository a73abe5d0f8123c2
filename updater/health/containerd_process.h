// The checks of containerd, by a program of their own (updater/containerd). gRPC and protobuf are
// in it alone: an update need not hold what they take of memory. The questions are its one argument,
// as JSON; so is what it writes when all are answered.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "updater/health/health.h"

namespace hostos {

// In the order in which they are made.
inline constexpr std::array<std::string_view, 5> kContainerdChecks = {
    "containerd-serving", "containerd-version", "containerd-plugins", "containerd-settings",
    "canary"};

// How long past its deadline a hung canary may take to clean up.
inline constexpr Milliseconds kCanaryCleanup{5000};
// For the program to start and to end, on a machine that is busy.
inline constexpr Milliseconds kProgramTime{5000};

struct ContainerdQuestions {
  std::string socket;
  std::vector<std::string> plugins;
  bool settings = false;  // pods must run with what HostOS sets for CRI
  std::string canary, runtime;
  Milliseconds check_timeout{0};  // of one check
  Milliseconds limit{0};          // of all
};

std::string ToJson(const ContainerdQuestions& questions);
Result<ContainerdQuestions> QuestionsFromJson(std::string_view text);
std::string ToJson(const std::vector<CheckResult>& checks);

// Always every check. If the program is not there, dies, hangs or does not answer all of them as
// expected, all have failed, and say so. Ends within `limit`, plus `cleanup` and kProgramTime.
std::vector<CheckResult> AskContainerd(const std::string& program,
                                       const ContainerdQuestions& questions,
                                       Milliseconds cleanup = kCanaryCleanup + kProgramTime);

}  // namespace hostos
