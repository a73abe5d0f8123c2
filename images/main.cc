// hostimage, the release tool of HostOS. docs/publishing.md lists its exit codes.
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "images/manual.h"
#include "images/program.h"
#include "images/secrets.h"
#include "images/verbs.h"
#include "updater/base/printable.h"
#include "updater/hostctl/exit_code.h"

namespace hostos {
namespace {

int Print(const std::string& text, FILE* stream, int code) {
  return std::fputs(Printable(text).c_str(), stream) < 0 || std::fflush(stream) != 0 ? 1 : code;
}

Result<> Run(const Subcommand& verb, std::span<const char* const> words) {
  return verb.run(TRY(Arguments::Parse(verb, words)));
}

int Main(std::span<const char* const> words) {
  const std::string help = Help(kHostimage, kHostimageSummary, Subcommands());
  if (words.empty()) return Print(help, stderr, 2);
  const std::string_view name = words[0];
  if (name == "--help") return Print(help, stdout, 0);
  if (name == "--version") return Print("hostimage " HOSTOS_VERSION "\n", stdout, 0);
  const std::span<const Subcommand> verbs = Subcommands();
  const auto verb = std::ranges::find(verbs, name, &Subcommand::name);
  if (verb == verbs.end())
    return Print(std::format("{0}: no verb \"{1}\"\n\n{2}", kHostimage, name, help), stderr, 2);
  words = words.subspan(1);
  if (std::ranges::contains(words, std::string_view("--help")))
    return Print(Help(kHostimage, *verb), stdout, 0);

  ::umask(022);  // modes in an image are not its maker's affair; a secret's file has its own
  CatchInterrupts();
  HideSecrets(words);
  const Result<> result = Run(*verb, words);
  if (result)
    return std::fflush(stdout) == 0
               ? 0
               : Print(std::format("{}: standard output could not be written\n", kHostimage),
                       stderr, 1);
  const Error& error = result.error();
  std::string message = std::format("{}: {}\n", kHostimage, error.message);
  if (error.code == Code::kUsage) message += std::format("see: {} {} --help\n", kHostimage, name);
  return Print(message, stderr, Number(ExitCodeOf(error.code)));
}

}  // namespace
}  // namespace hostos

int main(int argc, char** argv) try {
  return hostos::Main(std::span<const char* const>(argv + 1, argc > 0 ? argc - 1 : 0));
} catch (const std::exception& exception) {
  // HostOS's own code does not throw: this is out of memory, or a library.
  (void)std::fprintf(stderr, "hostimage: %s\n", hostos::Printable(exception.what()).c_str());
  return 1;
}
