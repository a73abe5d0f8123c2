// A HostOS node in a virtual machine, and the server of its releases.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/vm/release_set.h"
#include "tests/vm/vm.h"

namespace hostos {

class Node {
 public:
  // A boot may share two cores with other work, so the limits only catch what would never end.
  static constexpr Seconds kBootLimit{600};
  static constexpr Seconds kUpdateLimit{600};
  static constexpr Seconds kCommandLimit{180};

  // Starts a machine. An empty `snapshot` means the disk of 1.0.0, which has never booted.
  static Result<std::unique_ptr<Node>> Start(const std::string& name, const ReleaseSet& releases,
                                             const std::string& snapshot = "", Rig rig = {});
  // Identifies the kind of machine: snapshots of another kind cannot be used.
  static Result<std::string> Fingerprint();

  Vm& vm() { return *vm_; }
  PublishedReleases& published() { return published_; }
  const HttpServer& server() const { return published_.server(); }
  const ReleaseSet& releases() const { return releases_; }

  // Waits until a boot has started everything, the health gate included.
  Result<> WaitBooted();
  // Returns a program's output; it must end with this exit code.
  Result<std::string> Run(const std::vector<std::string>& argv, int exit_code = 0,
                          Seconds limit = kCommandLimit);
  // The same for `hostctl VERB... --json`.
  Result<nlohmann::json> Json(std::vector<std::string> verb, int exit_code = 0);
  // Runs a program that must end in a reboot, and returns its output. Waits for `boots` more boots,
  // and for the agent to answer in the last of them.
  Result<std::string> RunToReboot(const std::vector<std::string>& argv, int boots);

 private:
  explicit Node(const ReleaseSet& releases) : releases_(releases), published_(releases_) {}

  ReleaseSet releases_;
  PublishedReleases published_;
  std::unique_ptr<Vm> vm_;
};

// Fails, showing what was found, unless the value at `pointer` (RFC 6901) is `expected`.
Result<> Expect(const nlohmann::json& found, const std::string& pointer,
                const nlohmann::json& expected);
// The same for text that must contain another; if there is no text, fails with the reason.
Result<> ExpectContains(const std::string& what, Result<std::string> found,
                        const std::string& expected);

}  // namespace hostos
