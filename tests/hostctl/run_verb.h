// Runs a verb on a whole machine in memory: what it prints, and its exit code.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/scenario/machine.h"
#include "updater/hostctl/verbs.h"

namespace hostos {

struct Said {
  int code;
  std::string out, err;
};

inline Said Hostctl(Machine& machine, std::vector<const char*> words,
                    const Error* problem = nullptr) {
  machine.config.url = "https://releases.test/repo";
  Result<Invocation> invocation = ParseCommandLine(words);
  REQUIRE(invocation);
  std::ostringstream out, err;
  Console console{
      .out = out,
      .err = err,
      .style = invocation->quiet ? PhaseProgress::Style::kQuiet : PhaseProgress::Style::kLog};
  ExitCode code = RunVerb(*invocation, machine.world, machine.config, problem, console);
  return {Number(code), out.str(), err.str()};
}

inline nlohmann::json Json(const Said& said) {
  return nlohmann::json::parse(said.out, nullptr, false);
}

}  // namespace hostos
