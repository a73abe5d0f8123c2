// How far a phase of an update is. The engine and the libraries below it report; hostctl draws.
#pragma once

#include <cstdint>
#include <string_view>

namespace hostos {

class Progress {
 public:
  virtual ~Progress() = default;
  // A phase begins: "resolve", "fetch", "write", "prove", "arm". `detail` is one line for people.
  virtual void Begin(std::string_view phase, std::string_view detail) = 0;
  // Bytes done of the phase's total; total 0 means not known. Called often: cheap in the callee.
  virtual void Bytes(uint64_t done, uint64_t total) = 0;
  // Somebody wants what goes on to end early. Asked where that may take long.
  virtual bool Cancelled() { return false; }
};

}  // namespace hostos
