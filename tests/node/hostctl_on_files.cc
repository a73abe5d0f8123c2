// hostctl on the files of a FileNode: hostctl_on_files DIRECTORY WORD...
#include <iostream>
#include <span>

#include "tests/node/file_world.h"
#include "updater/hostctl/verbs.h"

namespace hostos {

static ExitCode RunOnFiles(const std::string& directory, std::span<const char* const> words) {
  const Result<Invocation> invocation = ParseCommandLine(words);
  if (!invocation) {
    std::cerr << invocation.error().message << "\n";
    return ExitCode::kUsage;
  }
  FileWorld node(directory);
  Config config{.url = "of the node"};
  config.health.window = Seconds(0);
  Console console{.out = std::cout, .err = std::cerr, .style = PhaseProgress::Style::kLog};
  return RunVerb(*invocation, node.world, config, nullptr, console);
}

}  // namespace hostos

int main(int count, char** arguments) {
  if (count < 3) return 2;
  const std::span<const char* const> words(arguments + 2, static_cast<size_t>(count - 2));
  return Number(hostos::RunOnFiles(arguments[1], words));
}
