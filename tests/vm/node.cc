#include "tests/vm/node.h"

#include <cstdlib>

#include "updater/base/digest.h"

namespace hostos {
namespace {

using nlohmann::json;

// What a node gets at its first boot. By default the health gate watches for one minute and ends
// within five; a test need not.
std::map<std::string, std::string> Credentials() {
  return {
      {"system.hostname", "node-1"},
      {"network.network.10-test",
       "[Match]\nType=ether\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n"},
      {"hostctl.config", std::format("[source]\nurl = \"{}\"\nallow_http = true\n"
                                     "[health]\nwindow = 5\ninterval = 1\ndeadline = 90\n",
                                     Vm::kServerInGuest)},
  };
}

std::string LogDirectory() {
  const char* cache = std::getenv("HOSTOS_CACHE");
  return std::string(cache ? cache : "/var/cache/hostos") + "/log/vm";
}

std::string Joined(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& argument : argv) text += (text.empty() ? "" : " ") + argument;
  return text;
}

}  // namespace

Result<std::unique_ptr<Node>> Node::Start(const std::string& name, const ReleaseSet& releases,
                                          const std::string& snapshot, Rig rig) {
  std::unique_ptr<Node> node(new Node(releases));
  rig.credentials.merge(Credentials());
  node->vm_ = TRY(Vm::Start({.name = name,
                             .disk = rig.disk.empty() ? releases.disk() : rig.disk,
                             .snapshot = snapshot,
                             .log_directory = LogDirectory(),
                             .rig = std::move(rig),
                             .server_port = node->server().port()}));
  return node;
}

Result<std::string> Node::Fingerprint() {
  std::string text = TRY(Vm::Fingerprint());
  for (const auto& [name, value] : Credentials()) text += name + "=" + value + "\n";
  return Sha256::Of(AsBytes(text)).Short();
}

Result<> Node::WaitBooted() {
  TRY(vm_->WaitAgent(kBootLimit));
  GuestResult state = TRY(vm_->Run({"systemctl", "is-system-running", "--wait"}, kBootLimit));
  if (state.exit_code == 0) return {};
  GuestResult failed = TRY(vm_->Run({"systemctl", "--failed", "--no-legend"}, kCommandLimit));
  return Fail(Code::kFailed, "expected a running system, found one that is {}{}", state.out,
              failed.out);
}

Result<std::string> Node::Run(const std::vector<std::string>& argv, int exit_code, Seconds limit) {
  GuestResult result = TRY(vm_->Run(argv, limit));
  if (result.exit_code != exit_code)
    return Fail(Code::kFailed, "{}: expected exit code {}, found {}:\n{}{}", Joined(argv),
                exit_code, result.exit_code, result.out, result.err);
  return result.out + result.err;
}

Result<json> Node::Json(std::vector<std::string> verb, int exit_code) {
  verb.insert(verb.begin(), "hostctl");
  verb.emplace_back("--json");
  GuestResult result = TRY(vm_->Run(verb, kCommandLimit));
  json parsed = json::parse(result.out, nullptr, false);
  if (result.exit_code != exit_code || parsed.is_discarded())
    return Fail(Code::kFailed, "{}: expected JSON and exit code {}, found {}:\n{}{}", Joined(verb),
                exit_code, result.exit_code, result.out, result.err);
  return parsed;
}

Result<std::string> Node::RunToReboot(const std::vector<std::string>& argv, int boots) {
  const int target = vm_->Boots() + boots;
  TRY(vm_->Spawn(argv));
  // The service manager may end the program before its exit code can be asked for.
  std::optional<int> exit_code = TRY(vm_->WaitSpawned(kUpdateLimit));
  std::string output = vm_->Output();
  if (exit_code && *exit_code != 0)
    return Fail(Code::kFailed, "{}: expected a reboot, found exit code {}:\n{}", Joined(argv),
                *exit_code, output);
  for (int boot = vm_->Boots() + 1; boot <= target; boot++) TRY(vm_->WaitBoots(boot, kBootLimit));
  TRY(WaitBooted());
  if (vm_->Boots() != target)
    return Fail(Code::kFailed, "{}: expected boot {} to last, found boot {}", Joined(argv), target,
                vm_->Boots());
  return output;
}

Result<> Expect(const json& found, const std::string& pointer, const json& expected) {
  const json::json_pointer at(pointer);
  const json value = found.contains(at) ? found.at(at) : json("nothing");
  if (value == expected) return {};
  return Fail(Code::kFailed, "{}: expected {}, found {} in\n{}", pointer, expected.dump(),
              value.dump(), found.dump(2));
}

Result<> ExpectContains(const std::string& what, Result<std::string> found,
                        const std::string& expected) {
  const std::string text = TRY_CONTEXT(what, std::move(found));
  if (text.find(expected) != std::string::npos) return {};
  return Fail(Code::kFailed, "{}: expected \"{}\" in it, found:\n{}", what, expected, text);
}

}  // namespace hostos
