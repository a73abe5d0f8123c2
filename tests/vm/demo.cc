// `dev demo`: the story of a node, told with what its guest really prints. Exits with 0 only when
// every step held.
#include <chrono>
#include <cstdio>
#include <sstream>

#include "tests/vm/story.h"

namespace hostos {
namespace {

class Printing : public Narrator {
 public:
  void Chapter(const std::string& title) override { Print("\n{} {}\n", Elapsed(), title); }
  void Shown(const std::string& command, const std::string& output) override {
    Print("{}   node-1# {}\n", Elapsed(), command);
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) Print("          {}\n", line);
  }
  void Held(const std::string& fact) override { Print("{}   ok: {}\n", Elapsed(), fact); }

  template <class... Args>
  void Print(std::format_string<Args...> format, Args&&... args) {
    (void)std::fputs(std::format(format, std::forward<Args>(args)...).c_str(), stdout);
    (void)std::fflush(stdout);  // watched live; the exit code does not depend on it
  }
  std::string Elapsed() const {
    using namespace std::chrono;
    auto seconds = duration_cast<std::chrono::seconds>(steady_clock::now() - start_).count();
    return std::format("[{:2}:{:02}]", seconds / 60, seconds % 60);
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Result<> Tell(Printing& narrator) {
  const ReleaseSet releases = TRY(ReleaseSet::Open());
  std::unique_ptr<Node> node = TRY(Node::Start("demo", releases));
  TRY(FirstBoot(*node, narrator));
  TRY(UpdateToSecond(*node, narrator));
  TRY(FallBackFromBrokenContainerd(*node, narrator));
  return FallBackFromUnbootable(*node, narrator);
}

}  // namespace
}  // namespace hostos

int main() {
  hostos::Printing narrator;
  if (hostos::Result<> told = hostos::Tell(narrator); !told) {
    narrator.Print("\n{} failed: {}\n", narrator.Elapsed(), told.error().message);
    return 1;
  }
  narrator.Print("\n{} Every step held.\n", narrator.Elapsed());
  return 0;
}
