// Reports how far a phase of an update is. The engine and the libraries below it report, hostctl
// draws.
#pragma once

#include <cstdint>
#include <string_view>

namespace hostos {

class Progress {
 public:
  virtual ~Progress() = default;
  // Begins a phase: "resolve", "fetch", "write", "prove", "arm". `detail` is one line for people.
  virtual void Begin(std::string_view phase, std::string_view detail) = 0;
  // How many bytes of the phase's total are done; a total of 0 means unknown. Called often, so it
  // must be cheap.
  virtual void Bytes(uint64_t done, uint64_t total) = 0;
  // From here on something is changed that a failure leaves behind.
  virtual void Changing() {}
  // Whether the running work should end early. Asked during work that may take long.
  virtual bool Cancelled() { return false; }
};

}  // namespace hostos
