// A HostOS node in a virtual machine, and the server its releases come from.
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
  // A boot may share two cores with anything: a limit is for what will never end.
  static constexpr Seconds kBootLimit{600};
  static constexpr Seconds kUpdateLimit{600};
  static constexpr Seconds kCommandLimit{180};

  // Starts a machine: with `snapshot` empty from the disk of 1.0.0 that nobody booted yet.
  static Result<std::unique_ptr<Node>> Start(const std::string& name, const ReleaseSet& releases,
                                             const std::string& snapshot = "", Rig rig = {});
  // Tells snapshots apart that machines of this kind can't share.
  static Result<std::string> Fingerprint();

  Vm& vm() { return *vm_; }
  PublishedReleases& published() { return published_; }
  const HttpServer& server() const { return published_.server(); }
  const ReleaseSet& releases() const { return releases_; }

  // Waits until everything that a boot starts has been started, the health gate included.
  Result<> WaitBooted();
  // What a program prints, which must end with this exit code.
  Result<std::string> Run(const std::vector<std::string>& argv, int exit_code = 0,
                          Seconds limit = kCommandLimit);
  // `hostctl VERB... --json` in the same way.
  Result<nlohmann::json> Json(std::vector<std::string> verb, int exit_code = 0);
  // Runs a program that must end in a reboot; what it printed. The machine is then `boots` boots
  // further, in the last of which the agent answers.
  Result<std::string> RunToReboot(const std::vector<std::string>& argv, int boots);

 private:
  explicit Node(const ReleaseSet& releases) : releases_(releases), published_(releases_) {}

  ReleaseSet releases_;
  PublishedReleases published_;
  std::unique_ptr<Vm> vm_;
};

// A failure, with what was found, unless the value at `pointer` (RFC 6901) is `expected`.
Result<> Expect(const nlohmann::json& found, const std::string& pointer,
                const nlohmann::json& expected);
// The same for text that must contain some other; when there is no text, why there is none.
Result<> ExpectContains(const std::string& what, Result<std::string> found,
                        const std::string& expected);

}  // namespace hostos
