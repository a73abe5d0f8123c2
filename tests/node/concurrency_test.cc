// Many hostctl at once on one node, and others that get in their way.
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/held.h"
#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/vm/process.h"
#include "updater/hostctl/exit_code.h"

namespace hostos {
namespace {

struct Asked {
  std::vector<std::string> words;
  std::set<ExitCode> answers;
};

TEST_CASE("fifty hostctl at once: one works, the others read or say who is at work") {
  ReleaseLine line;
  line.Publish("1.1.0", 50);
  const HttpServer server(line.releases().repo, "limit_rate 400k;");
  const FileNode node(line.releases(), server.url());
  using enum ExitCode;
  const Asked kinds[] = {
      {{"update"}, {kStaged, kBusy}},
      {{"update", "--check", "--json"}, {kDone, kStaged, kBusy}},
      {{"update", "--plan", "--json"}, {kDone, kStaged, kBusy}},
      {{"status", "--json"}, {kDone, kStaged}},
      {{"history", "--json"}, {kDone}},
  };
  std::vector<Process> running;
  for (size_t i = 0; i < 50; i++)
    running.push_back(
        Held(Process::Start(node.Hostctl(kinds[i % 5].words), node / ("log" + std::to_string(i)))));

  size_t had_the_lock = 0;
  for (size_t i = 0; i < running.size(); i++) {
    const auto code = static_cast<ExitCode>(running[i].Wait());
    const std::string said = ReadText(node / ("log" + std::to_string(i)));
    CAPTURE(kinds[i % 5].words, Number(code), said);
    CHECK(kinds[i % 5].answers.contains(code));
    if (code == kBusy)
      CHECK((said.contains("hostctl update, pid") || said.contains("hostctl update --") ||
             said.contains("just begun")));
    had_the_lock += i % 5 < 3 && code != kBusy;
  }
  CHECK(had_the_lock >= 1);
  // That one may have been a check that blocked every update; the next update is alone.
  Process next = Held(Process::Start(node.Hostctl({"update"}), node / "next"));
  CHECK(next.Wait() == Number(kStaged));
  Process asked = Held(Process::Start(node.Hostctl({"status", "--json"}), node / "log"));
  CHECK(asked.Wait() == Number(kStaged));
  const auto status = nlohmann::json::parse(ReadText(node / "log"));
  CHECK(status["boots_next"] == "B");
  CHECK(Held(node.Boot()) == Slot::B);
}

// A process of another user, who was given /run/hostos (docs/operations.md): it locks everything
// that it can open, until it is killed.
class Locker {
 public:
  explicit Locker(const std::string& directory) {
    auto [ours, theirs] = Held(StreamPair());
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      if (::setgid(65534) == 0 && ::setuid(65534) == 0) locked = LockAll(directory);
      (void)!::write(theirs.get(), &locked, 1);
      for (;;) ::pause();
    }
    theirs = UniqueFd();
    REQUIRE(::read(ours.get(), &locked, 1) == 1);
  }
  ~Locker() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  unsigned char locked = 0;

 private:
  static unsigned char LockAll(const std::string& directory) {
    namespace fs = std::filesystem;
    unsigned char count = 0;
    const auto lock = [&](const std::string& path) {
      const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
      count += fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0;
    };
    lock(directory);
    std::error_code error;
    for (fs::recursive_directory_iterator
             it(directory, fs::directory_options::skip_permission_denied, error),
         end;
         !error && it != end; it.increment(error))
      lock(it->path());
    return count;
  }

  pid_t pid_ = -1;
};

TEST_CASE("what another user can open and lock holds up no verb, and not the gate") {
  ReleaseLine line;
  line.Publish("1.1.0", 5);
  const HttpServer server(line.releases().repo);
  const FileNode node(line.releases(), server.url());
  Held(Process::Run(node.Hostctl({"gate"}), node / "log"));
  // With the modes that they have on a node (tmpfiles.d/hostos.conf, efi.mount).
  REQUIRE(::chmod(node.directory().c_str(), 0755) == 0);
  for (const char* directory : {"state", "fetch", "esp"})
    REQUIRE(::chmod((node / directory).c_str(), 0700) == 0);
  for (const auto& file : std::filesystem::directory_iterator(node.directory()))
    if (file.path().filename().string().starts_with("disk.img"))
      REQUIRE(::chmod(file.path().c_str(), 0660) == 0);

  const Locker locker(node.directory());
  REQUIRE(locker.locked >= 3);  // at least the node, its run directory, and the metrics in it
  const std::string metrics = node / "run/metrics.prom";
  REQUIRE(std::filesystem::remove(metrics));
  using enum ExitCode;
  const std::pair<std::vector<std::string>, ExitCode> verbs[] = {{{"status"}, kDone},
                                                                 {{"gate"}, kDone},
                                                                 {{"update"}, kStaged},
                                                                 {{"verify", "--slot", "B"}, kDone},
                                                                 {{"rollback"}, kDone}};
  for (const auto& [words, code] : verbs) {
    CAPTURE(words);
    Process verb = Held(Process::Start(node.Hostctl(words), node / "log"));
    pollfd ended = {verb.pidfd(), POLLIN, 0};
    REQUIRE(::poll(&ended, 1, 300'000) == 1);  // otherwise it would wait for ever
    CHECK(verb.Wait() == Number(code));
    CHECK((words[0] == "status" || std::filesystem::exists(metrics)));
    std::filesystem::remove(metrics);
  }
}

}  // namespace
}  // namespace hostos
